"""The XML that Starling and Sparrow read, and that Kenney's packs hold: a TextureAtlas of SubTextures.

Source: starling.textures.TextureAtlas and SubTexture. x, y, width and height lie on the sheet; frameX and frameY are
the negative place of that part on its own canvas of frameWidth x frameHeight; a rotated part is to be turned against
the clock to be seen.
"""

from collections.abc import Mapping
from typing import Any
from xml.parsers import expat

from spritelora import limits
from spritelora.sprites.sheets.sheet_data import SheetData, SheetFrame, make_sheet, whole_number

ROOT = "TextureAtlas"


class _Elements:
    """The root of an XML text and its SubTextures, collected while it is parsed; nothing else is kept."""

    def __init__(self) -> None:
        self.root: tuple[str, Mapping[str, str]] | None = None
        self.parts: list[Mapping[str, str]] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self.root = self.root or (name, attributes)
        if name == "SubTexture":
            self.parts.append(attributes)
        limits.SHEET_FRAMES.check(len(self.parts))


def parse_atlas(text: str) -> SheetData | None:
    """The sheet that an XML text describes, None where its root is another. Raises ValueError for a bad one.

    A DOCTYPE is refused: an atlas needs none, and by its entities a small file becomes a huge one or reads others.
    """
    elements = _Elements()
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = elements.start
    parser.StartDoctypeDeclHandler = refuse_doctype
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise ValueError(f"is not XML ({error})") from error
    if elements.root is None or elements.root[0] != ROOT or not elements.parts:
        return None
    image = elements.root[1].get("imagePath")
    return make_sheet([_frame(number, part) for number, part in enumerate(elements.parts)], [], image, None)


def refuse_doctype(*_: Any) -> None:
    """Raise ValueError for a DOCTYPE, by whose entities a small file becomes a huge one or reads others."""
    raise ValueError("holds a DOCTYPE, which no atlas needs; take it out")


def _frame(number: int, part: Mapping[str, str]) -> SheetFrame:
    name = part.get("name", str(number))
    where = f"frame {name!r}"
    x, y = (whole_number(_number(part.get(key)), f"{where}: {key}", 0) for key in ("x", "y"))
    lies = [whole_number(_number(part.get(key)), f"{where}: {key}", 1) for key in ("width", "height")]
    is_turned = part.get("rotated", "").lower() in ("true", "1")
    width, height = reversed(lies) if is_turned else lies
    left, top = (whole_number(_negative(part.get(key, "0")), f"{where}: -{key}", 0) for key in ("frameX", "frameY"))
    canvas_w, canvas_h = (
        whole_number(_number(part.get(key, str(length))), f"{where}: {key}", 1)
        for key, length in (("frameWidth", left + width), ("frameHeight", top + height))
    )
    return SheetFrame(name, (x, y), (width, height), is_turned, (left, top), (canvas_w, canvas_h))


def _negative(text: str) -> object:
    value = _number(text)
    return -value if isinstance(value, int | float) else value


def _number(text: str | None) -> object:
    """A number as XML writes it; what is none stays text, for `whole_number` to name."""
    try:
        return float(text) if text is not None else None
    except ValueError:
        return text
