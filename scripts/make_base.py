"""Make the embedded base again:  python scripts/make_base.py"""

from spritelora.cli import command
from spritelora.config.invocation import Invocation
from spritelora.config.make_base import MakeBaseConfig
from spritelora.tasks.libraries import quick_imports


@command(config_path="conf", config_name="make_base", schema=MakeBaseConfig)
def main(config: MakeBaseConfig, _invocation: Invocation) -> None:
    """Draw sprites, train the tiny SDXL on them, judge it and write its folder."""
    with quick_imports():  # after the configuration is checked: torch is slow to import
        from spritelora.tasks.make_base import make_base

    make_base(config)


if __name__ == "__main__":
    main()
