"""The report of a set as one HTML page: its sprites, its colours, and every finding beside its picture."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from spritelora.reports.before_after import Change
from spritelora.reports.pack_part import PackPart
from spritelora.reports.page import Picture, encode_picture, render
from spritelora.sprites.findings import Finding, Severity, group_findings
from spritelora.sprites.passes import steps_advice
from spritelora.sprites.pixels.image import Pixels, apply_matte, hex_colour, visible_colours
from spritelora.sprites.pixels.palette import count_colours
from spritelora.sprites.pixels.placement import Fit, draw_on_canvas

MAX_CARDS = 1000
MAX_SWATCHES = 32
MAX_PICTURE_PX = 256 * 256
PICTURE_SIDE_PX = 128
COMMON_SHARE = 0.95
"""Of the sprites, those that the scale of the cards is made for; larger ones are shown smaller."""
MOST_GROUPS, MOST_TRAINED = 3, 8


@dataclass(frozen=True)
class Trained:
    """A sprite's place as training shows it: enlarged on its canvas, over a background colour."""

    fit: Fit
    matte: tuple[int, int, int]

    def picture(self, pixels: Pixels) -> Picture:
        """The native sprite (h, w, 4) on its canvas, shown at a whole factor or as small as native pixels allow."""
        cells = [
            (-(-canvas // factor), offset // factor)
            for canvas, offset, factor in zip(self.fit.canvas, self.fit.offset, self.fit.factors, strict=True)
        ]
        (width, x), (height, y) = cells
        native = draw_on_canvas(apply_matte(pixels, self.matte), Fit((1, 1), (x, y), (width, height)), self.matte)
        scale = max(1, PICTURE_SIDE_PX // max(width, height))
        return Picture(encode_picture(native), width * scale, height * scale)

    def text(self, pixels: Pixels) -> str:
        """Factor, padding and canvas in words."""
        (across, down), (left, top), (width, height) = self.fit.factors, self.fit.offset, self.fit.canvas
        right, bottom = width - left - across * pixels.shape[1], height - top - down * pixels.shape[0]
        factor = f"{across}" if across == down else f"{across} x {down}"
        return (
            f"one sprite pixel = {factor} image pixels; canvas {width} x {height} px; padding {left} left, {right} "
            f"right, {top} above, {bottom} below; background #{bytes(self.matte).hex()}"
        )


@dataclass(frozen=True)
class ReportSprite:
    """A sprite in the report.

    `name`: path below the set's folder. `pixels`: native, RGBA, (h, w, 4). `caption`: None where there is none.
    `facts`: further lines below the picture, by what they tell, such as `scale`. `trained`: its place on the canvas.
    """

    name: str
    pixels: Pixels
    caption: str | None
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    findings: Sequence[Finding] = ()
    trained: Trained | None = None


@dataclass(frozen=True)
class TrainedSprite:
    """A sprite on its canvas, and what is said of it."""

    name: str
    picture: Picture
    text: str


@dataclass(frozen=True)
class Card:
    """A sprite on the page. `picture`: None for one that would make the page heavy."""

    name: str
    picture: Picture | None
    caption: str
    facts: str
    findings: Sequence[Finding]

    @property
    def kinds(self) -> list[str]:
        """The kinds of its findings."""
        return sorted({f.kind for f in self.findings})


def make_report(
    title: str,
    sprites: Sequence[ReportSprite],
    findings: Sequence[Finding] = (),
    pack: PackPart | None = None,
    changes: Sequence[Change] = (),
    base_note: str | None = None,
) -> str:
    """The report of a set, as the text of a page.

    `findings`: of the set, and of files that are not among `sprites` for they cannot be read. `pack`: what is
    said first. `changes`: sprites shown before and after. `base_note`: what the embedded base cannot draw of them.
    """
    every = [*findings, *(f for s in sprites for f in s.findings)]
    counts = Counter(f.severity for f in every)
    groups = group_findings(dict.fromkeys(every), shows_left_out=pack is not None)
    told = ", ".join(_number(counts[s], s.value) for s in Severity if counts[s]) or "no findings"
    shown = sorted(sprites, key=_worst)[:MAX_CARDS]
    pictures = {id(s): _picture(s.pixels) for s in shown}
    scale = _common_scale(shown)
    cards = [_card(s, pictures[id(s)], scale) for s in shown]
    more = len(sprites) - len(shown)
    note, palette = _palette(sprites) if sprites else ("", [])
    return render(
        "set_report.html",
        title=title,
        pack=pack,
        changes=changes,
        subtitle=f"{_number(len(sprites), 'sprite')}, {told}",
        summary=_summary(sprites).items(),
        base_note=base_note,
        groups=groups[:MOST_GROUPS],
        other_groups=groups[MOST_GROUPS:],
        trained=_trained(sprites),
        palette_note=note,
        palette=palette,
        left_out=f"{more:,} more sprites are not shown; those with findings come first." if more else "",
        natives=[p for s in sprites if (p := pictures.get(id(s)))],
        kinds=Counter(kind for card in cards for kind in card.kinds).most_common(),
        cards=cards,
    )


def _trained(sprites: Sequence[ReportSprite]) -> list[TrainedSprite]:
    """A few sprites of the set on their canvases."""
    known = [(s, s.trained) for s in sprites if s.trained is not None]
    step = max(1, len(known) // MOST_TRAINED)
    chosen = known[::step][:MOST_TRAINED]
    return [TrainedSprite(s.name, t.picture(s.pixels), t.text(s.pixels)) for s, t in chosen]


def _summary(sprites: Sequence[ReportSprite]) -> dict[str, str]:
    if not sprites:
        return {}
    sizes = Counter(s.pixels.shape[1::-1] for s in sprites)
    colours = [len(visible_colours(s.pixels)) for s in sprites]
    words = [len(s.caption.split()) for s in sprites if s.caption]
    common = ", ".join(f"{w} x {h} px ({n})" for (w, h), n in sizes.most_common(4))
    captions = f"{len(words)} of {len(sprites)}"
    if words:
        captions += f", {_range(words)} words each"
    return {
        "Native sizes": common + (f" and {len(sizes) - 4} more" if len(sizes) > 4 else ""),
        "Colours in a sprite": _range(colours),
        "Captions": captions,
        "Training": steps_advice(len(sprites)),
    }


def _range(numbers: Sequence[int]) -> str:
    """The least and the largest number, and the middle one where it is neither."""
    least, middle, most = min(numbers), round(median(numbers)), max(numbers)
    if least == most:
        return str(least)
    return f"{least} to {most}" + (f" (typically {middle})" if least < middle < most else "")


def _worst(sprite: ReportSprite) -> int:
    """The place of a sprite's gravest finding among the severities."""
    order = list(Severity)
    return min((order.index(f.severity) for f in sprite.findings), default=len(order))


def _palette(sprites: Sequence[ReportSprite]) -> tuple[str, list[tuple[str, str]]]:
    """A note on the colours that are shown; their codes, each with its share."""
    visible = np.concatenate([s.pixels[s.pixels[..., 3] > 0][:, :3] for s in sprites])
    colours, counts = count_colours(visible)
    most = np.argsort(-counts, kind="stable")[:MAX_SWATCHES]
    note = f"the {len(most)} most used of {len(colours):,} colours" if len(colours) > len(most) else "by use"
    codes = (hex_colour(colours[i].tolist()) for i in most)
    shares = (f"{100 * int(counts[i]) / len(visible):.2g} %" for i in most)
    return note, list(zip(codes, shares, strict=True))


def _picture(pixels: Pixels) -> Picture | None:
    """A sprite at native size, None where the picture would make the page heavy."""
    height, width = pixels.shape[:2]
    return Picture(encode_picture(pixels), width, height) if 0 < height * width <= MAX_PICTURE_PX else None


def _common_scale(sprites: Sequence[ReportSprite]) -> int:
    """The factor that cards show sprites at, so that sizes can be compared: as large as all but the largest fit."""
    sides = sorted(max(s.pixels.shape[:2]) for s in sprites)
    return max(1, PICTURE_SIDE_PX // max(1, sides[int(COMMON_SHARE * (len(sides) - 1))])) if sides else 1


def _card(sprite: ReportSprite, native: Picture | None, common_scale: int) -> Card:
    height, width = sprite.pixels.shape[:2]
    facts = {"size": f"{width} x {height} px", "colours": str(len(visible_colours(sprite.pixels))), **sprite.facts}
    scale = max(1, min(common_scale, PICTURE_SIDE_PX // max(width, height)))
    return Card(
        name=sprite.name,
        picture=native and Picture(native.url, width * scale, height * scale),
        caption=" ".join((sprite.caption or "").split()),
        facts=", ".join(f"{what} {value}" for what, value in facts.items()),
        findings=sprite.findings,
    )


def _number(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
