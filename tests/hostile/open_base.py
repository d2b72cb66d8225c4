"""Opens a base model as training does, and loads what it trains on: `python open_base.py PLACE [VAE]`."""

import sys

import torch

from spritelora.config.train.schema import Prediction
from spritelora.data.run_canvases import settle_canvases
from spritelora.embedded.location import embedded_base
from spritelora.errors import SpriteLoraError
from spritelora.sdxl.files.base import find_base, load_scheduler, load_unet, read_alphas, read_prediction
from spritelora.sdxl.text import load_tokenizers
from spritelora.streams import lasting_streams


@lasting_streams()
def main(place: str, vae: str | None = None) -> None:
    try:
        base = find_base(place or str(embedded_base()), vae)
        settle_canvases(["auto"], 128, place or None)
        load_tokenizers(base)
        read_alphas(base)
        load_scheduler(base, read_prediction(base, Prediction.auto))
        load_unet(base, torch.float32)
    except SpriteLoraError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main(*sys.argv[1:])
