"""The captioned sprites that are trained on."""

from dataclasses import dataclass
from enum import Enum

from omegaconf import MISSING

from spritelora.config.background_keys import cut_background_key, cut_holes_key, half_transparent_key
from spritelora.config.fields import Affects, OnResume, key, section


class Split(Enum):
    """The sprites that the hold-out keeps together.

    `group`: a character, sheet or folder, by the sprite's folder and its name without the number at its end; sets
    whose groups are too large for that are split by sprite. `sprite`: nothing.
    """

    group = "group"
    sprite = "sprite"


class Balance(Enum):
    """The things that training shows equally often, times their repeats.

    `subject`: a hero with 28 frames as often as a potion with one; frames, views and recolours come in turn. `file`:
    each image.
    """

    subject = "subject"
    file = "file"


@dataclass
class AugmentConfig:
    """Variants that keep every native pixel: the training sprites are shown in them in turn."""

    flip: bool = key(False, "mirror sprites; left and right change places in their captions", need=16)
    shift: int = key(
        0, "move sprites by up to this many native pixels within their padding", at_least=0, at_most=8, need=17
    )
    turn: bool = key(
        False,
        "turn sprites by right angles, for tiles; oblong canvases by half a turn; not sprites whose caption names a "
        "direction",
    )
    variants: int = key(16, "the most variants of one sprite, itself among them; more cost time and memory", at_least=1)


@dataclass
class SetConfig:
    """One of several data sets."""

    path: str = key(
        MISSING,
        "folder of one of several data sets, NAME being yours, as data.path",
        is_place=True,
        on_resume=OnResume.run,
    )
    repeats: int = key(
        1, "how often a pass shows each of its sprites, times its kohya folder's number", at_least=1, at_most=1000
    )
    weight: float = key(1.0, "factor of the loss of its sprites", above=0)


@dataclass
class RegularisationConfig:
    """Images of what the base draws already and is to keep: prior preservation."""

    path: str | None = key(
        None,
        "folder of captioned pictures of things that must not change; unset: none",
        is_place=True,
        on_resume=OnResume.run,
        need=20,
    )
    weight: float = key(1.0, "factor of their loss, beside 1 of a sprite", above=0)
    every: int = key(1, "sprites after which one of them is shown; 1: as many of them as sprites", at_least=1)


@dataclass
class DataConfig:
    """The captioned sprites."""

    path: str | None = key(
        None,
        "folder of sprites, each with a .txt caption of its name; unset: the demo set",
        is_place=True,
        on_resume=OnResume.run,
        need=1,
    )
    sets: dict[str, SetConfig] = key({}, "several data sets by name, in place of data.path")
    regularisation: RegularisationConfig = section(RegularisationConfig)
    include: list[str] = key(
        [],
        "large sprites to take all the same, by name or pattern: [A.png], [Bosses/*]; they would be set aside, "
        "because all others become small beside them",
        text=True,
        on_resume=OnResume.run,
        need=14,
    )
    shapes: list[str] = key(
        ["auto"],
        "canvases to train on, each sprite on the one most like its shape: auto (all that the base knows, of about "
        "model.resolution squared), square, or a list of width x height, [832x1216,1024x1024]",
        text=True,
        at_least=1,
        affects=Affects.encodings,
    )
    limit: int | None = key(None, "train on a seeded choice of this many sprites", at_least=1)
    holdout: float = key(
        0.1,
        "share of the sprites to test on: not trained on, for the validation loss",
        at_least=0,
        at_most=0.5,
        need=21,
    )
    split: Split = key(Split.group, "what the hold-out keeps together: group (character, sheet, folder) or sprite")
    balance: Balance = key(
        Balance.subject, "what is shown equally often: subject (its frames, views and recolours in turn) or file"
    )
    caption_dropout: float = key(0.0, "share of samples trained without their caption", at_least=0, at_most=1, need=18)
    shuffle_tags: bool = key(False, "show captions with the phrases between their commas in several orders", need=19)
    keep_tags: int = key(1, "phrases at the start of a caption that shuffle_tags leaves in place", at_least=0)
    caption_variants: int = key(4, "orders of one caption, as written among them", at_least=2, at_most=64)
    augment: AugmentConfig = section(AugmentConfig)
    cut_background: str = cut_background_key(", in folders that prepare did not write")
    cut_holes: bool = cut_holes_key()
    half_transparent: str = half_transparent_key()
    matte: str = key(
        "auto",
        "colour under transparent pixels, #rrggbb; auto: as prepared, else white or what parts from the sprites' edges",
        text=True,
        need=15,
    )
    cache: str = key(
        "~/.cache/spritelora",
        "folder of the latents and text embeddings computed once",
        is_place=True,
        on_resume=OnResume.sweep,
        is_told=False,
    )

    @property
    def share_of_sprites(self) -> float:
        """The share of samples that are sprites to learn from; the others regularise."""
        every = self.regularisation.every
        return 1.0 if self.regularisation.path is None else every / (every + 1)
