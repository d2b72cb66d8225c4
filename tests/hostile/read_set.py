"""Reads a folder of sprites as training does, and shows each as training sees it: `python read_set.py FOLDER`."""

import sys
from pathlib import Path

from spritelora.errors import SpriteLoraError
from spritelora.sprites.folder.sprite_folder import read_folder, set_matte, training_image
from spritelora.streams import lasting_streams


@lasting_streams()
def main(folder: str) -> None:
    try:
        sprites = read_folder(Path(folder), 512)
        matte = set_matte(sprites)
        shapes = {training_image(sprite, matte).shape for sprite in sprites}
    except SpriteLoraError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_status)
    print(len(sprites), shapes)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
