"""Lists of frames as plain text, a line each: name, x, y, width, height, and how many lie side by side.

Source: `tile_list` of 0x72's DungeonTileset II, which other packs follow.
"""

import re

from spritelora import limits
from spritelora.sprites.sheets.sheet_data import SheetData, SheetFrame, make_sheet

LINE = re.compile(r"(\S+)[ \t]+(\d{1,5})[ \t]+(\d{1,5})[ \t]+(\d{1,5})[ \t]+(\d{1,5})(?:[ \t]+(\d{1,4}))?")
FEWEST_LINES = 3


def parse_frame_list(text: str) -> SheetData | None:
    """The sheet that a list describes, None where any line is of another kind. Raises ValueError for bad numbers."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    matches = [LINE.fullmatch(line) for line in lines]
    if len(lines) < FEWEST_LINES or not all(matches):
        return None
    frames: list[SheetFrame] = []
    for match in matches:
        if match is not None:
            x, y, width, height, number = (int(part or 1) for part in match.groups()[1:])
            many = bool(match[6])
            limits.SHEET_FRAMES.check(len(frames) + number)
            frames += [
                _frame(f"{match[1]}_f{i}" if many else match[1], (x + i * width, y), (width, height))
                for i in range(number)
            ]
    return make_sheet(frames, [], None, None)


def _frame(name: str, corner: tuple[int, int], size: tuple[int, int]) -> SheetFrame:
    if min(size) < 1 or max(*corner, *size) > limits.SIDE_PX.most:
        raise ValueError(f"frame {name!r} is of {size[0]}x{size[1]} px at {corner[0]}, {corner[1]}")
    return SheetFrame(name, corner, size, False, (0, 0), size)
