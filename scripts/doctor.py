"""Whether a run would fit this machine, and what would:  python scripts/doctor.py preset=balanced lora=rank64"""

from spritelora.cli import command
from spritelora.config.doctor import in_own_folder
from spritelora.config.invocation import Invocation
from spritelora.config.schema import TrainConfig
from spritelora.tasks.libraries import quick_imports


@command(config_path="../conf", config_name="train", schema=TrainConfig, rewrite=in_own_folder)
def main(config: TrainConfig, _invocation: Invocation) -> None:
    """Look at the machine, print one table and a verdict."""
    with quick_imports():  # after the configuration is checked: torch is slow to import
        from spritelora.tasks.doctor import examine

    examine(config)


if __name__ == "__main__":
    main()
