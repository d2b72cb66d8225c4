"""Make a data set of a folder of game art:  python scripts/prepare.py input=art output=datasets/art"""

from spritelora.cli import command
from spritelora.config.invocation import Invocation
from spritelora.config.prepare import PrepareConfig


@command(config_path="conf", config_name="prepare", schema=PrepareConfig)
def main(config: PrepareConfig, _invocation: Invocation) -> None:
    """Read, check, fit and write."""
    from spritelora.tasks.prepare import prepare

    prepare(config)


if __name__ == "__main__":
    main()
