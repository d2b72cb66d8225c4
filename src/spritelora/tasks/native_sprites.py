"""The training sprites at their native size, as what is drawn is compared with them."""

import numpy as np

from spritelora.evaluation.grid import Grid
from spritelora.sprites.fit import Fit, draw_on_canvas
from spritelora.sprites.image import LATENT_PX, Pixels, apply_matte, read_sprite, shrink_to_fit, without_hidden_colour
from spritelora.tasks.training_set import TrainingSet


def native_sprites(sprites: TrainingSet, side_px: int) -> list[Pixels]:
    """Each training sprite on its matte, in the middle of the native pixels that an image has, (n, n, 3)."""
    side = -(-side_px // sprites.training[0].factor)
    natives: list[Pixels] = []
    for sprite in sprites.training:
        pixels = shrink_to_fit(without_hidden_colour(read_sprite(sprite.file)), side_px)
        native = apply_matte(np.asarray(pixels), sprites.matte)
        height, width = native.shape[:2]
        fit = Fit((1, 1), ((side - width) // 2, (side - height) // 2), (side, side))
        natives.append(draw_on_canvas(native, fit, sprites.matte))
    return natives


def wanted_grid(sprites: TrainingSet) -> Grid | None:
    """The grid that all training images share, None where they share none: then each image's own is looked for."""
    factor = sprites.training[0].factor
    return Grid(factor) if factor % LATENT_PX == 0 or LATENT_PX % factor == 0 else None
