"""The views of a sprite: each of its variants with the captions that are true of it, and what it covers there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spritelora.data.augment import Augmentation, Variant, list_variants, show_mask, vary_caption
from spritelora.errors import DatasetError
from spritelora.sprites.folder.mask import Areas, cell_areas, sprite_alpha
from spritelora.sprites.folder.sprite_folder import CaptionedSprite, training_image
from spritelora.sprites.names import printable
from spritelora.sprites.pixels.image import Pixels


@dataclass(frozen=True)
class View:
    """One way to show a sprite. `captions`: as written, then with its phrases in further orders.

    `mask`: the share of each latent cell that the sprite covers, (H/8, W/8); None where the loss is not masked.
    """

    variant: Variant
    captions: Sequence[str]
    mask: Areas | None = None


@dataclass(frozen=True)
class ViewedSprite:
    """A sprite and its views, as drawn first."""

    sprite: CaptionedSprite
    views: Sequence[View]


def view_sprite(
    sprite: CaptionedSprite,
    matte: tuple[int, int, int],
    is_masked: bool = False,
    augmentation: Augmentation = Augmentation(),  # noqa: B008 (frozen)
    orders: Callable[[str], Sequence[str]] = lambda caption: [caption],
) -> ViewedSprite:
    """All views of a sprite. `orders`: a caption, then the same with its phrases in further orders.

    Raises DatasetError where a mask would leave nothing.
    """
    if not (is_masked or augmentation.is_on):
        return ViewedSprite(sprite, [View(Variant(), orders(sprite.caption))])
    image = training_image(sprite, matte)
    is_varied, alpha = augmentation.is_on, _alpha(sprite) if is_masked else None
    variants = list_variants(image, sprite.caption, matte, augmentation, sprite.stretched) if is_varied else [Variant()]

    def view(variant: Variant) -> View:
        captions = orders(vary_caption(sprite.caption, variant))
        if alpha is None:
            return View(variant, captions)
        return View(variant, captions, cell_areas(show_mask(alpha, image, variant, matte, sprite.stretched)))

    return ViewedSprite(sprite, [view(variant) for variant in variants])


def _alpha(sprite: CaptionedSprite) -> Pixels:
    alpha = sprite_alpha(sprite)
    if not alpha.any():
        raise DatasetError(
            f"{printable(sprite.file)}: every pixel is transparent, so objective.masked_loss=true leaves nothing "
            f"to learn from; remove it"
        )
    return alpha
