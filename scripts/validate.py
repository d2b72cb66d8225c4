"""Hold a LoRA against its base, image by image:  python scripts/validate.py run=RUN  or  lora=FILE data.path=FOLDER"""

from spritelora.cli import command
from spritelora.config.invocation import Invocation
from spritelora.config.validate import ValidateConfig
from spritelora.tasks.libraries import quick_imports


@command(config_path="conf", config_name="validate", schema=ValidateConfig)
def main(config: ValidateConfig, _invocation: Invocation) -> None:
    """Draw with base and LoRA, measure, and write the page, the figures and the images."""
    with quick_imports():  # after the configuration is checked: torch is slow to import
        from spritelora.tasks.validate import validate

    validate(config)


if __name__ == "__main__":
    main()
