"""Training samples: sprites on canvases with captions, each a pure function of (seed, step, sample)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spritelora.embedded.drawn import draw_sprite, sample_spec
from spritelora.embedded.drawn import write_caption as write_drawn_caption
from spritelora.embedded.drawn.drawn_sprite import held_out_pairs
from spritelora.embedded.real.canvases import (
    CANVASES,
    SMALL,
    TILE,
    Canvas,
    Ground,
    canvas_at,
    draw_ground,
    suits,
)
from spritelora.embedded.real.characters import Wardrobe
from spritelora.embedded.real.hues import HUE_NAMES, recolour
from spritelora.embedded.real.records import PackedSet, Record, is_recolour_held_out, shows_held_out_pair
from spritelora.embedded.real.wording import Subject, full_caption, in_colour, subject_of, write_caption

Pixels = NDArray[np.uint8]

LESSON_STREAM, CANVAS_STREAM = 17, 18

DRAWN_SHARES = {SMALL: 0.3, TILE: 0.15}
"""Of the sprites on a canvas: those that code draws."""

CHARACTER_SHARE, VIEWS_SHARE = 0.1, 0.08
"""Of the real ones on canvases of 256 px: characters, and four views of one subject."""

RECOLOURED, FLIPPED, CENTRED, PLAIN_WHITE = 0.15, 0.25, 0.85, 0.65

FOUR_VIEWS = ("seen from the front", "seen from the back", "facing left", "facing right")
VIEWS_PHRASE = "front, back, left, right"
SIDES = {"facing left": "facing right", "facing right": "facing left"}
SIDED = {"left", "right"}

SELDOM = frozenset(
    {
        "altars",
        "artefact",
        "demonspawn",
        "doors",
        "floor",
        "gateways",
        "runes",
        "spell icon",
        "traps",
        "unique",
        "vaults",
        "wall",
        "water",
    }
)
"""Kinds of one game, whose names say little of what one sees, and tiles that differ little from one another."""
SELDOM_SHARE = 0.25
"""The chance of one of their subjects, as a share of the chance of any other."""


@dataclass(frozen=True)
class Lesson:
    """One training image in native pixels, (H, W, 3), and its caption."""

    pixels: Pixels
    caption: str


class Lessons:
    """The real sprites in order of subject, and the canvases that they suit."""

    def __init__(self, packed: PackedSet) -> None:
        self.packed = packed
        self.wardrobe = Wardrobe(packed)
        self.taught = {canvas: self.by_subject(canvas, held_out=False) for canvas in CANVASES}
        self.chances = {canvas: self.chances_of(subjects) for canvas, subjects in self.taught.items()}
        self.tiles = [
            number
            for number, record in enumerate(packed.records)
            if record.is_opaque and record.group == "dungeon" and not record.is_held_out and "floor" in record.kinds
        ]
        views = self.by_subject(SMALL, held_out=False)
        self.turning = [numbers for numbers in map(self.four_views, views) if numbers]

    def by_subject(self, canvas: Canvas, held_out: bool) -> list[list[int]]:
        """The records that suit a canvas, in lists of one subject each."""
        subjects: dict[str, list[int]] = {}
        for number, record in enumerate(self.packed.records):
            if record.is_held_out == held_out and suits(record, canvas):
                subjects.setdefault(record.subject, []).append(number)
        return list(subjects.values())

    def chances_of(self, subjects: list[list[int]]) -> NDArray[np.float64]:
        """The chance of each subject to be the one shown, (S,); their sum is 1."""
        seldom = np.array([is_seldom(self.packed.records[numbers[0]]) for numbers in subjects], bool)
        weights = np.where(seldom, SELDOM_SHARE, 1.0)
        return weights / weights.sum()

    def four_views(self, numbers: list[int]) -> list[int]:
        """One record for each of FOUR_VIEWS, in the same pose; empty where a view is missing."""
        for pose in ("standing", "walking", ""):
            found = {
                self.packed.records[number].view: number for number in numbers
                if self.packed.records[number].pose == pose
            }  # fmt: skip
            if all(view in found for view in FOUR_VIEWS):
                return [found[view] for view in FOUR_VIEWS]
        return []

    def canvas_of(self, seed: int, step: int) -> Canvas:
        """The canvas of a step."""
        among = [canvas for canvas, subjects in self.taught.items() if subjects]
        return canvas_at(step, np.random.default_rng([seed, CANVAS_STREAM, step]), among)

    def batch(self, seed: int, step: int, samples: Iterable[int]) -> list[Lesson]:
        """These samples of a step."""
        canvas = self.canvas_of(seed, step)
        generators = (np.random.default_rng([seed, LESSON_STREAM, step, sample]) for sample in samples)
        return [self.lesson(canvas, rng) for rng in generators]

    def lesson(self, canvas: Canvas, rng: np.random.Generator) -> Lesson:
        """One lesson on a canvas."""
        if rng.random() < DRAWN_SHARES.get(canvas, 0):
            return drawn_lesson(canvas, rng)
        draw = rng.random()
        if canvas == TILE and draw < VIEWS_SHARE and self.turning:
            return self.views_lesson(rng)
        if canvas == TILE and draw < VIEWS_SHARE + CHARACTER_SHARE and self.wardrobe.bases:
            sprite, subject = self.wardrobe.dress(rng)
        else:
            subjects = self.taught[canvas]
            numbers = subjects[int(rng.choice(len(subjects), p=self.chances[canvas]))]
            return self.real_lesson(numbers[int(rng.integers(len(numbers)))], canvas, rng)
        return self.place(sprite, subject, canvas, rng)

    def real_lesson(self, number: int, canvas: Canvas, rng: np.random.Generator) -> Lesson:
        """A record's sprite on a canvas that it suits."""
        return self.place(*self.vary(number, rng), canvas, rng)

    def vary(self, number: int, rng: np.random.Generator) -> tuple[Pixels, Subject]:
        """A record's sprite, now and then in another colour or turned to its other side."""
        record, sprite = self.packed.records[number], self.packed.sprite(number)
        subject = subject_of(record)
        if rng.random() < RECOLOURED and record.colours and not record.is_opaque:
            colour = str(rng.choice(HUE_NAMES))
            renamed = in_colour(subject, colour)
            if renamed and not is_recolour_held_out(record.subject, colour):
                painted = recolour(sprite, colour)
                if painted is not None and not shows_held_out_pair(renamed.name, renamed.kinds, renamed.colours):
                    sprite, subject = painted, renamed
        words = set(" ".join((subject.name, *subject.kinds)).split())
        if rng.random() < FLIPPED and words.isdisjoint(SIDED):
            sprite = sprite[:, ::-1]
            subject = replace(subject, views=tuple(SIDES.get(view, view) for view in subject.views))
        return sprite, subject

    def place(self, sprite: Pixels, subject: Subject, canvas: Canvas, rng: np.random.Generator) -> Lesson:
        """A sprite on its canvas, with something behind it, and the caption that says so."""
        height, width = sprite.shape[:2]
        spare = np.array([canvas.height - height, canvas.width - width])
        top, left = spare // 2 if rng.random() < CENTRED else rng.integers(0, spare + 1)
        fill = max(height / canvas.height, width / canvas.width)
        size = "small" if fill < 0.66 else "large" if fill > 0.95 and not is_full(sprite) else ""
        ground = corner_ground(sprite) if is_full(sprite) else self.choose_ground(subject, canvas, rng)
        caption = write_caption(replace(subject, ground=ground.words, size=size), rng)
        return Lesson(lay(sprite, ground.paint(canvas), int(top), int(left)), caption)

    def choose_ground(self, subject: Subject, canvas: Canvas, rng: np.random.Generator) -> Ground:
        """Chooses the ground behind a sprite: white, another plain colour, or a floor of tiles."""
        if rng.random() < PLAIN_WHITE:
            return Ground("white", np.full((1, 1, 3), 255, np.uint8))
        if self.tiles and min(canvas.height, canvas.width) >= 16 and rng.random() < 0.15:
            number = self.tiles[int(rng.integers(len(self.tiles)))]
            return Ground(self.packed.records[number].name, self.packed.sprite(number)[..., :3])
        return draw_ground(subject.colours, rng)

    def views_lesson(self, rng: np.random.Generator) -> Lesson:
        """Four views of one subject on a canvas of 256 px: front and back above, left and right below."""
        numbers = self.turning[int(rng.integers(len(self.turning)))]
        subject = replace(subject_of(self.packed.records[numbers[0]]), views=(), details=(VIEWS_PHRASE,))
        ground = self.choose_ground(subject, TILE, rng)
        pixels = ground.paint(TILE)
        for place, number in enumerate(numbers):
            sprite = self.packed.sprite(number)
            height, width = sprite.shape[:2]
            top, left = 16 * (place // 2) + 15 - height + (height == 16), 16 * (place % 2) + (16 - width) // 2
            pixels = lay(sprite, pixels, top, left)
        return Lesson(pixels, write_caption(replace(subject, ground=ground.words), rng))

    def plain_lesson(self, number: int, canvas: Canvas) -> Lesson:
        """The lesson of a record that tests use: in the middle of white, with its full caption."""
        sprite, subject = self.packed.sprite(number), subject_of(self.packed.records[number])
        white = np.full((canvas.height, canvas.width, 3), 255, np.uint8)
        height, width = sprite.shape[:2]
        return Lesson(
            lay(sprite, white, (canvas.height - height) // 2, (canvas.width - width) // 2), full_caption(subject)
        )


def is_seldom(record: Record) -> bool:
    """True for a record of `SELDOM`, of no kind but `dungeon`, or of a symbol."""
    return not SELDOM.isdisjoint(record.kinds) or record.kinds == ("dungeon",) or record.name.endswith(" symbol")


def drawn_lesson(canvas: Canvas, rng: np.random.Generator) -> Lesson:
    """A sprite that code draws for a canvas of 128 or 256 px, never of a pair held out."""
    excluded = set(held_out_pairs())
    spec = sample_spec(rng)
    while (spec.subject, spec.colour) in excluded:
        spec = sample_spec(rng)
    return Lesson(draw_sprite(spec, rng, is_doubled=canvas == TILE), write_drawn_caption(spec, rng))


def is_full(sprite: Pixels) -> bool:
    """Whether a sprite hides what is behind it."""
    return bool((sprite[..., 3] == 255).mean() > 0.97)


def corner_ground(sprite: Pixels) -> Ground:
    """The colour of a full sprite's corner, of which nothing is said: it only fills what the canvas has more."""
    return Ground("", sprite[:1, :1, :3])


def lay(sprite: Pixels, pixels: Pixels, top: int, left: int) -> Pixels:
    """A sprite (h, w, 4) over an image (H, W, 3)."""
    out = pixels.copy()
    height, width = sprite.shape[:2]
    region = out[top : top + height, left : left + width]
    region[sprite[..., 3] > 127] = sprite[..., :3][sprite[..., 3] > 127]
    return out
