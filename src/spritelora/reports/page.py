"""Pages from templates: one file each, nothing from outside, pictures enlarged without smoothing."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from PIL import Image

from spritelora.evaluation.statistics import Outcome
from spritelora.shown import printable
from spritelora.sprites.pixels.image import Pixels

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

LOSSLESS_PX = 256 * 256
"""Pixels up to which a picture is kept to the bit; above, a page of them would not open on a phone."""
TONES = {Outcome.BETTER: "good", Outcome.WORSE: "bad"}


@dataclass(frozen=True)
class Picture:
    """An image on a page. `url`: its bytes; `width`, `height`: as shown, in CSS pixels."""

    url: str
    width: int
    height: int
    label: str = ""


@dataclass(frozen=True)
class Tile:
    """A picture over its caption. `narrow_px`: width on a phone, 0: as elsewhere. `warning`: under the caption."""

    picture: Picture
    caption: str
    narrow_px: int = 0
    is_best: bool = False
    warning: str = ""


@dataclass(frozen=True)
class TableCell:
    """A cell: a text, in the colour of its tone where it has one, what follows it, and a note on a line of its own."""

    text: str
    tone: str = ""
    rest: str = ""
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table. Columns from `numbers_from` on are numbers."""

    heads: Sequence[str]
    rows: Sequence[Sequence[TableCell]]
    numbers_from: int = 1


def verdict_cell(outcome: Outcome, rest: str = "") -> TableCell:
    """The outcome of a comparison, in its tone."""
    return TableCell(outcome.value, TONES.get(outcome, "unknown"), rest)


def render(template: str, **values: Any) -> str:
    """A template of this folder with its values. All text is escaped and made printable."""
    return _templates().get_template(template).render(values)


def render_part(template: str, **values: Any) -> "Markup":
    """A part of a page, to be put into another template as it is."""
    from markupsafe import Markup

    return Markup(render(template, **values))


def make_picture(pixels: Pixels, side_px: int, label: str = "") -> Picture:
    """An image (H, W, C) shown about `side_px` wide or high, enlarged by a whole factor where it is smaller."""
    return Picture(encode_picture(pixels), *shown_size(pixels, side_px), label)


def shown_size(pixels: Pixels, side_px: int) -> tuple[int, int]:
    """Width and height at which an image fills `side_px` as far as whole factors let it."""
    height, width = pixels.shape[:2]
    factor = side_px // max(height, width)
    return (width * factor, height * factor) if factor else (side_px, side_px * height // width)


def encode_picture(pixels: Pixels) -> str:
    """An image (H, W, C) as a URL that holds its bytes."""
    is_lossless = pixels.shape[0] * pixels.shape[1] <= LOSSLESS_PX
    stream = io.BytesIO()
    options: dict[str, Any] = {"format": "PNG", "optimize": True} if is_lossless else {"format": "WEBP", "quality": 85}
    Image.fromarray(pixels).save(stream, **options)
    kind = "png" if is_lossless else "webp"
    return f"data:image/{kind};base64," + base64.b64encode(stream.getvalue()).decode()


@cache
def _templates() -> "Environment":
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader("spritelora.reports"), PackageLoader("spritelora", "assets")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if hasattr(value, "__html__") else printable(value),
    )
    environment.filters["lines"] = _printable_lines
    return environment


def _printable_lines(text: str) -> "Markup":
    """A text of several lines that keeps them."""
    from markupsafe import escape

    return escape("\n".join(printable(line) for line in text.split("\n")))
