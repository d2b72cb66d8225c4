"""Which latent cells a sprite covers: its alpha, placed as its training image is and reduced by area."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spritelora.errors import DatasetError
from spritelora.sprites.fit import canvas_shapes, draw_on_canvas, fit_sprite
from spritelora.sprites.folder import CaptionedSprite
from spritelora.sprites.image import LATENT_PX, Pixels, read_sprite, shrink_to_fit, without_hidden_colour
from spritelora.sprites.manifest import MANIFEST, PreparedSprite, read_manifest
from spritelora.sprites.names import printable
from spritelora.sprites.write_set import MASKS

Areas = NDArray[np.float32]


def sprite_alpha(sprite: CaptionedSprite, side_px: int) -> Pixels:
    """The sprite's alpha where `training_image` shows it, (side_px, side_px); 0 in the padding.

    Of an opaque image that `prepare` wrote it is the mask beside it. Raises DatasetError for a mask that is not of
    this image.
    """
    pixels = read_sprite(sprite.file)
    alpha = pixels[..., 3]
    if alpha.min() == 255 and (prepared := _prepared_alpha(sprite)) is not None:
        alpha = prepared
    if alpha.shape != pixels.shape[:2]:
        raise DatasetError(
            f"{printable(sprite.file)}: its mask in {MASKS} is of another size; prepare the set again, or delete the "
            f"mask to count the image whole"
        )
    native = shrink_to_fit(without_hidden_colour(pixels), side_px)
    step = len(pixels) // len(native)
    fit = fit_sprite((native.shape[1], native.shape[0]), sprite.factor, canvas_shapes(side_px, buckets=False))
    return draw_on_canvas(alpha[::step, ::step, None], fit, (0,))[..., 0]


def cell_areas(alpha: Pixels) -> Areas:
    """The covered share of each latent cell, in 0 to 1, (S/8, S/8). `alpha`: (S, S)."""
    cells = len(alpha) // LATENT_PX
    sums = alpha.reshape(cells, LATENT_PX, cells, LATENT_PX).sum(axis=(1, 3), dtype=np.int64)
    return (sums / (255 * LATENT_PX**2)).astype(np.float32)


def _prepared_alpha(sprite: CaptionedSprite) -> Pixels | None:
    """The alpha that `prepare` has kept of an image, (H, W); None where it kept none."""
    folder = next((f for f in sprite.file.resolve().parents if (f / MASKS).is_dir() and (f / MANIFEST).is_file()), None)
    if folder is None:
        return None
    record = _manifest(folder).get(sprite.file.resolve().relative_to(folder).as_posix())
    if record is None or record.mask is None or not (folder / record.mask).is_file():
        return None
    if record.sha256 != sprite.sha256:
        raise DatasetError(
            f"{printable(sprite.file)}: changed since prepare wrote it, so its mask in {MASKS} may not be its own; "
            f"prepare the set again, or delete the mask to count the image whole"
        )
    return read_sprite(folder / record.mask)[..., 0]


def _manifest(folder: Path) -> dict[str, PreparedSprite]:
    return _manifest_as_of(folder, (folder / MANIFEST).stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _manifest_as_of(folder: Path, changed_ns: int) -> dict[str, PreparedSprite]:  # noqa: ARG001 (tells versions apart)
    return read_manifest(folder)
