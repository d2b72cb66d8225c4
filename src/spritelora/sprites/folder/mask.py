"""Which latent cells a sprite covers: its alpha, placed as its training image is and reduced by area."""

import numpy as np
from numpy.typing import NDArray

from spritelora.sprites.folder.sprite_folder import CaptionedSprite, native_sprite
from spritelora.sprites.pixels.image import LATENT_PX, Pixels
from spritelora.sprites.pixels.placement import draw_on_canvas

Areas = NDArray[np.float32]


def sprite_alpha(sprite: CaptionedSprite) -> Pixels:
    """The sprite's alpha where `training_image` shows it, (H, W); 0 in the padding.

    Of an image that `prepare` wrote it is that of the mask beside it.
    """
    return draw_on_canvas(native_sprite(sprite).alpha[..., None], sprite.fit, (0,))[..., 0]


def cell_areas(alpha: Pixels) -> Areas:
    """The covered share of each latent cell, in 0 to 1, (H/8, W/8). `alpha`: (H, W)."""
    rows, columns = alpha.shape[0] // LATENT_PX, alpha.shape[1] // LATENT_PX
    sums = alpha.reshape(rows, LATENT_PX, columns, LATENT_PX).sum(axis=(1, 3), dtype=np.int64)
    return (sums / (255 * LATENT_PX**2)).astype(np.float32)
