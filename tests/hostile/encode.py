"""Encodes captioned sprites with a cache as training does, and shows their numbers: `python encode.py FOLDER CACHE`."""

import sys
from pathlib import Path

import torch

from spritelora.data.cache import Cache
from spritelora.data.encode import Encoder, Picture
from spritelora.embedded.location import embedded_base
from spritelora.errors import SpriteLoraError
from spritelora.sdxl.files.base import find_base
from spritelora.sprites.folder.sprite_folder import read_folder, set_matte
from spritelora.streams import lasting_streams


@lasting_streams()
def main(folder: str, cache: str) -> None:
    torch.set_num_threads(1)
    try:
        sprites = read_folder(Path(folder), 64)
        encoder = Encoder(find_base(str(embedded_base())), Cache(Path(cache)), torch.device("cpu"))
        latents = encoder.latents([Picture(s) for s in sprites], set_matte(sprites))
        texts = encoder.texts([sprite.caption for sprite in sprites])
    except SpriteLoraError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_status)
    numbers = [
        *(float(t.double().abs().sum()) for t in latents),
        *(float(t.states.abs().sum()) for t in texts.values()),
    ]
    print(*(f"{number:.4f}" for number in numbers))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
