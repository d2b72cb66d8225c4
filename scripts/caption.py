"""Write, check or edit the captions of sprites:  python scripts/caption.py dataset=FOLDER mode=caption|validate|edit"""

from spritelora.cli import command
from spritelora.config.caption import CaptionConfig
from spritelora.config.invocation import Invocation


@command(config_path="conf", config_name="caption", schema=CaptionConfig)
def main(config: CaptionConfig, _invocation: Invocation) -> None:
    """Do what the mode says."""
    from spritelora.tasks.caption import caption  # after the configuration is checked

    caption(config)


if __name__ == "__main__":
    main()
