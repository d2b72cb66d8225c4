"""Inspect, merge or resize LoRA files:  python scripts/lora.py mode=inspect loras=my_lora.safetensors"""

from spritelora.cli import command
from spritelora.config.invocation import Invocation
from spritelora.config.lora_files import LoraFilesConfig
from spritelora.tasks.libraries import quick_imports


@command(config_path="conf", config_name="lora_files", schema=LoraFilesConfig)
def main(config: LoraFilesConfig, _invocation: Invocation) -> None:
    """Do what `mode` says."""
    with quick_imports():  # after the check: torch is slow to import
        from spritelora.tasks.lora_files import work_on_files

    work_on_files(config)


if __name__ == "__main__":
    main()
