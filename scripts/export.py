"""Write a run's LoRA for other programs:  python scripts/export.py run=RUN format=kohya workflow=true"""

from spritelora.cli import command
from spritelora.config.export import ExportConfig
from spritelora.config.invocation import Invocation


@command(config_path="conf", config_name="export", schema=ExportConfig)
def main(config: ExportConfig, _invocation: Invocation) -> None:
    """Write the file, and a ComfyUI workflow that uses it."""
    from spritelora.tasks.export import export  # after the configuration is checked: torch is slow to import

    export(config)


if __name__ == "__main__":
    main()
