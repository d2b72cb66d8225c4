"""Prompts to game-ready sprites:  python scripts/generate.py run=outputs/train/RUN 'prompts=pixel art, red potion'"""

from spritelora.cli import command
from spritelora.config.generate import GenerateConfig, refuse_occupied
from spritelora.config.invocation import Invocation


@command(config_path="conf", config_name="generate", schema=GenerateConfig, rewrite=refuse_occupied)
def main(config: GenerateConfig, invocation: Invocation) -> None:
    """Draw, find the grid, lock the palette, clear the background, and write native sprites."""
    from spritelora.tasks.generate import generate  # after the configuration is checked

    generate(config, invocation)


if __name__ == "__main__":
    main()
