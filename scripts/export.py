"""Write a run's LoRA for other programs:  python scripts/export.py run=RUN format=kohya workflow=true"""

from spritelora.cli import command
from spritelora.config.export import ExportConfig
from spritelora.config.invocation import Invocation
from spritelora.tasks.libraries import quick_imports


@command(config_path="conf", config_name="export", schema=ExportConfig)
def main(config: ExportConfig, _invocation: Invocation) -> None:
    """Write the file, and a ComfyUI workflow that uses it."""
    with quick_imports():  # after the configuration is checked: torch is slow to import
        from spritelora.tasks.export import export

    export(config)


if __name__ == "__main__":
    main()
