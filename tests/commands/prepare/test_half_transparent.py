"""Half-transparent pixels are mixed, settled or dropped as typed, told once, and shown before and after."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spritelora.commands.prepare.report import line
from spritelora.config.train.data_keys import DataConfig
from spritelora.data.training_set import read_training_set
from spritelora.errors import DatasetError
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.folder.sprite_folder import native_sprite
from spritelora.sprites.pixels.image import Pixels
from tests.commands.prepare.test_backgrounds import boxed, cutouts, natives, write
from tests.commands.prepare.test_prepare import run


def shadowed(number: int) -> list[Pixels]:
    """Sprites with a shadow of two strengths below."""
    sprites = cutouts(number)
    for sprite in sprites:
        sprite[-2, 2:8] = (0, 0, 0, 60)
        sprite[-2, 8:-2] = (0, 0, 0, 200)
    return sprites


@pytest.mark.parametrize(("wish", "alphas"), [("blend", {60, 200, 255}), ("threshold", {0, 255}), ("drop", {0, 255})])
def test_both_paths_treat_them_as_typed(tmp_path: Path, wish: str, alphas: set[int], caplog: Any) -> None:
    source = write(tmp_path / "raw", shadowed(4))
    run(source, tmp_path / "out", half_transparent=wish)
    assert len([m for m in caplog.messages if "half_transparent" in m]) == 1
    shadow = read_training_set(DataConfig(path=str(source), half_transparent=wish, holdout=0), 128).training
    for prepared, raw in zip(natives(tmp_path / "out"), map(native_sprite, shadow), strict=True):
        assert set(raw.alpha[-2, 2:-2].tolist()) | {255} == alphas | {255}
        assert np.array_equal(prepared[..., 3] > 0, raw.alpha > 0)
    clear = (raw.alpha[-2, 2:-2] == 0).sum()
    assert clear == {"blend": 0, "threshold": 6, "drop": 12}[wish]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Before and after" in page
    assert all(f"half_transparent={w}" in page for w in ("blend", "threshold", "drop"))


def test_the_report_shows_backgrounds_before_and_after(tmp_path: Path) -> None:
    run(write(tmp_path / "boxed", boxed(cutouts(9))), tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("<h3>background #ff00ff cut out</h3>") == 1
    assert page.count('alt="before"') == page.count('alt="after"') == 9
    run(write(tmp_path / "clear", cutouts(3)), tmp_path / "plain")
    assert "Before and after" not in (tmp_path / "plain" / "report.html").read_text(encoding="utf-8")


def test_lists_of_a_finding_stand_on_its_line_or_in_the_report() -> None:
    finding = Finding("two_styles", Severity.warning, "", "two styles\nfirst set: a.png\nsecond set: b\x1b.png")
    assert line(finding) == r"warning: two styles; first set: a.png; second set: b\x1b.png [two_styles]"
    assert line(finding, brief=True) == "warning: two styles; report.html lists them [two_styles]"


def test_a_sprite_of_which_nothing_is_left_is_named(tmp_path: Path) -> None:
    (ghost,) = cutouts(1)
    ghost[..., 3] = np.minimum(ghost[..., 3], 90)
    with pytest.raises(DatasetError, match=r"half_transparent=drop .*type blend"):
        run(write(tmp_path / "raw", [ghost]), tmp_path / "out", half_transparent="drop")
