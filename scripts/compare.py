"""Hold runs against one another:  python scripts/compare.py runs=[RUN_A,RUN_B]  or  runs=SWEEP sort=validation_loss"""

from spritelora.cli import command
from spritelora.config.compare import CompareConfig
from spritelora.config.invocation import Invocation
from spritelora.tasks.libraries import quick_imports


@command(config_path="conf", config_name="compare", schema=CompareConfig)
def main(config: CompareConfig, invocation: Invocation) -> None:
    """Gather what runs and LoRA files say of themselves, and write one table and one page."""
    with quick_imports():  # after the configuration is checked: torch is slow to import
        from spritelora.tasks.compare import compare

    compare(config, invocation.run_dir)


if __name__ == "__main__":
    main()
