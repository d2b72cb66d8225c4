"""What the embedded base was made for, and what is said of sprites beyond it."""

from pathlib import Path

import pytest

from spritelora.embedded.location import embedded_base
from spritelora.embedded.reach import reach_note, size_note
from spritelora.sprites.pixels.placement import Fit

AT_16, AT_64 = Fit((8, 8), (0, 0), (128, 128)), Fit((2, 2), (0, 0), (128, 128))


@pytest.mark.parametrize(("fits", "is_beyond"), [([AT_16], False), ([AT_16, AT_64], True)])
def test_sprites_beyond_the_embedded_base_are_told_with_what_would_draw_them(fits: list[Fit], is_beyond: bool) -> None:
    note = reach_note(embedded_base(), fits)
    assert (note is not None) == is_beyond
    if note is not None:
        for part in (
            "made for canvases of 40x40 sprite pixels at most",
            "your sprites are on 64x64",
            "model=sdxl model.path=SDXL",
        ):
            assert part in note
        assert "doctor.py model=sdxl data.path=FOLDER" in note


def test_of_another_base_nothing_is_said(tmp_path: Path) -> None:
    assert reach_note(tmp_path, [AT_64]) is None


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ([(40, 40), (12, 7)], None),
        ([(40, 41), (16, 16)], "1 of 2 sprites do not fit 40x40 px"),
        ([(48, 48)], "1 of 1 sprite does not fit"),
    ],
)
def test_sprites_too_large_for_the_embedded_base_are_counted_at_native_size(
    sizes: list[tuple[int, int]], told: str | None
) -> None:
    note = size_note(sizes)
    assert (note is not None) == (told is not None)
    assert (told or "") in (note or "")
    assert note is None or "model=sdxl draws every size" in note
