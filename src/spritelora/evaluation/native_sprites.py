"""The training sprites at their native size, as what is drawn is compared with them."""

from spritelora.data.training_set import TrainingSet
from spritelora.evaluation.grid import Grid
from spritelora.sprites.folder.sprite_folder import CaptionedSprite, native_sprite
from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.pixels.placement import Fit, draw_on_canvas


def native_sprites(sprites: TrainingSet) -> list[Pixels]:
    """Each training sprite on its matte, where it lies among the native pixels that its image has, (h, w, 3)."""
    return [on_native_canvas(sprite, sprites.matte) for sprite in sprites.training]


def on_native_canvas(sprite: CaptionedSprite, matte: tuple[int, int, int]) -> Pixels:
    """A sprite on its matte, where it lies among the native pixels that its image has, (h, w, 3)."""
    factors, offset, canvas = sprite.fit.factors, sprite.fit.offset, sprite.fit.canvas
    (width, x), (height, y) = ((-(-c // f), o // f) for c, o, f in zip(canvas, offset, factors, strict=True))
    return draw_on_canvas(native_sprite(sprite).on_matte(matte), Fit((1, 1), (x, y), (width, height)), matte)


def wanted_grid(sprites: TrainingSet) -> Grid | None:
    """The grid that all training images share, None where they share none: then each image's own is looked for."""
    factor = sprites.factor
    if factor is None:
        return None
    offsets = {(s.fit.offset[0] % factor, s.fit.offset[1] % factor) for s in sprites.training}
    return Grid(factor, offsets.pop()) if len(offsets) == 1 else None
