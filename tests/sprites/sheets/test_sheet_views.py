"""Side views are told where the cells of a sheet show them, and nothing is said where they do not."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.sheets.sheet import SheetLayout, cut_image
from tests.conftest import ROOT
from tests.sprites.sheets.made_sheets import lay_out, save

MONSTERS = next((p for up in ROOT.parents if (p := up / "shared" / "data" / "packs" / "ninja-monsters").is_dir()), None)


def figure(seed: int, frame: int) -> Pixels:
    """A blob that is not its own mirror image, with feet that differ from frame to frame: 16 x 16, RGBA."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[3:13, 4:12] = [*rng.integers(40, 200, 3), 255]
    pixels[4:6, 5:7] = [255, 255, 255, 255]
    pixels[13, 4 + frame : 6 + frame] = [20, 20, 20, 255]
    return pixels


def directions(num_frames: int = 4, sides: tuple[int, int] = (2, 3)) -> list[list[Pixels]]:
    """Four directions, each a list of frames, the second of `sides` the first one mirrored."""
    lines = [[figure(line, frame) for frame in range(num_frames)] for line in range(4)]
    lines[sides[1]] = [frame[:, ::-1] for frame in lines[sides[0]]]
    return lines


def words(sheet: Pixels, file: Path) -> dict[str, tuple[str, ...]]:
    save(sheet, file)
    return {cut.tag: cut.words for cut in cut_image(file, SheetLayout((16, 16)), all_frames=False)}


def in_columns(lines: list[list[Pixels]]) -> Pixels:
    return lay_out([line[frame] for frame in range(len(lines[0])) for line in lines], columns=len(lines))


def in_rows(lines: list[list[Pixels]]) -> Pixels:
    return lay_out([frame for line in lines for frame in line], columns=len(lines[0]))


@pytest.mark.parametrize("sides", [(2, 3), (1, 3), (0, 1)])
@pytest.mark.parametrize("num_frames", [3, 4, 6])
def test_two_columns_that_mirror_one_another_are_side_views(
    sides: tuple[int, int], num_frames: int, tmp_path: Path
) -> None:
    told = words(in_columns(directions(num_frames, sides)), tmp_path / "a.png")
    assert {tag for tag, told_words in told.items() if told_words == ("side view",)} == {
        f"r{row}c{column}" for row in range(num_frames) for column in sides
    }
    assert Counter(told.values()) == {("side view",): 2 * num_frames, (): 2 * num_frames}


def test_rows_are_told_as_columns_are(tmp_path: Path) -> None:
    told = words(in_rows(directions(3)), tmp_path / "a.png")
    assert {tag for tag, told_words in told.items() if told_words} == {f"r{r}c{c}" for r in (2, 3) for c in range(3)}


def test_one_frame_may_differ_and_rows_may_be_mirrored_as_a_whole(tmp_path: Path) -> None:
    lines = directions()
    lines[3][1] = figure(9, 1)
    assert sum(map(bool, words(in_columns(lines), tmp_path / "a.png").values())) == 8
    lines = directions()
    lines[3] = lines[3][::-1]
    assert sum(map(bool, words(in_rows(lines), tmp_path / "b.png").values())) == 8


def no_pair() -> Pixels:
    lines = directions()
    lines[3] = [figure(7, frame) for frame in range(4)]
    return in_columns(lines)


def two_pairs() -> Pixels:
    lines = directions()
    lines[1] = [frame[:, ::-1] for frame in lines[0]]
    return in_columns(lines)


def symmetric() -> Pixels:
    lines = directions()
    for line in lines[2:]:
        line[:] = [np.maximum(figure(3, frame), figure(3, frame)[:, ::-1]) for frame in range(4)]
    return in_columns(lines)


def many_subjects() -> Pixels:
    """Rows that have nothing in common: a bar at another height in each."""
    lines = directions()
    for frame in range(4):
        bar = np.zeros((16, 16, 4), np.uint8)
        bar[4 * frame : 4 * frame + 2, 3 : 9 + frame] = [200, 40, 40, 255]
        lines[2][frame], lines[3][frame] = bar, bar[:, ::-1]
    return in_columns(lines)


def tiles() -> Pixels:
    """A wall: left end, two middles, right end, each up to the edge of its cell."""
    ends = np.zeros((16, 16, 4), np.uint8)
    ends[:, 4:] = [90, 90, 90, 255]
    ends[::4, 6:] = [50, 50, 50, 255]
    middle = np.full((16, 16, 4), (90, 90, 90, 255), np.uint8)
    middle[2, 3] = [10, 10, 10, 255]
    return in_columns([[ends] * 4, [middle] * 4, [middle] * 4, [ends[:, ::-1]] * 4])


@pytest.mark.parametrize("make", [no_pair, two_pairs, symmetric, many_subjects, tiles])
def test_nothing_is_said_where_it_cannot_be_told(make: Callable[[], Pixels], tmp_path: Path) -> None:
    assert not any(words(make(), tmp_path / "a.png").values())


@pytest.mark.parametrize("shape", [(4, 2), (5, 4), (3, 5)])
def test_other_sheets_are_left_alone(shape: tuple[int, int], tmp_path: Path) -> None:
    num_lines, num_frames = shape
    lines = [[figure(line, frame) for frame in range(num_frames)] for line in range(num_lines)]
    lines[1] = [frame[:, ::-1] for frame in lines[0]]
    assert not any(words(in_columns(lines), tmp_path / "a.png").values())


@pytest.mark.skipif(MONSTERS is None, reason="needs ../shared/data/packs")
def test_monsters_whose_columns_mirror_one_another() -> None:
    assert MONSTERS is not None
    columns: Counter[tuple[str, ...]] = Counter()
    for file in MONSTERS.rglob("*.png"):
        with Image.open(file) as image:
            size = image.size
        if size == (64, 64):
            cuts = cut_image(file, SheetLayout((16, 16)), all_frames=False)
            columns[tuple(sorted({cut.tag[-2:] for cut in cuts if cut.words}))] += 1
    assert columns == {("c2", "c3"): 58, ("c1", "c3"): 1, (): 7}
