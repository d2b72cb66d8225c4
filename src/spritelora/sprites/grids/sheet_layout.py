"""The division of a sheet into cells, and how a command says it."""

from dataclasses import dataclass

Pair = tuple[int, int]


@dataclass(frozen=True)
class SheetLayout:
    """The division of a sheet, in pixels, x before y.

    `cell`: width and height, None to find sprites by the gaps between them. `margin`: around all cells; `spacing`:
    between two; pairs where the axes differ.
    """

    cell: Pair | None
    margin: int | Pair = 0
    spacing: int | Pair = 0

    @property
    def typed(self) -> str:
        """The layout as settings of prepare: `sheet=16x16 spacing=1`."""
        if self.cell is None:
            return "sheet=gaps"
        known = (("margin", self.margin), ("spacing", self.spacing))
        more = [f"{name}={text_of(value)}" for name, value in known if both_axes(value) != (0, 0)]
        return " ".join([f"sheet={self.cell[0]}x{self.cell[1]}", *more])

    def enlarged(self, scale: int) -> "SheetLayout":
        """The layout of the same sheet whose pixels are `scale` times as large."""
        if self.cell is None or scale == 1:
            return self
        parts = [both_axes(value) for value in (self.cell, self.margin, self.spacing)]
        cell, margin, spacing = ((x * scale, y * scale) for x, y in parts)
        return SheetLayout(cell, one_where_equal(margin), one_where_equal(spacing))


def both_axes(value: int | Pair) -> Pair:
    """A number of pixels along x and along y."""
    return value if isinstance(value, tuple) else (value, value)


def one_where_equal(pair: Pair) -> int | Pair:
    """One number for both axes where they agree."""
    return pair[0] if pair[0] == pair[1] else pair


def text_of(value: int | Pair) -> str:
    """A number of pixels as it is typed: `1`, or `1x2` where the axes differ."""
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
