"""A few giants do not decide how small all others are; two sizes of many subjects both count."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from spritelora.commands.prepare.prepare import prepare
from spritelora.config.commands.prepare import PrepareConfig
from spritelora.errors import ConfigError
from spritelora.sprites.backgrounds.originals import Originals
from spritelora.sprites.folder.majority import Majority, SizedSprite, find_majority, match_names, names_aside
from spritelora.sprites.folder.sprite_folder import read_folder
from tests.conftest import draw_sprite
from tests.sprites.sheets.made_sheets import save

SQUARE = [(128, 128)]


def sized(*sizes: int, subjects: Sequence[str] = ()) -> list[SizedSprite]:
    names = subjects or [f"s{i}" for i in range(len(sizes))]
    return [
        SizedSprite(f"{i}.png", name, (side, side)) for i, (side, name) in enumerate(zip(sizes, names, strict=True))
    ]


def test_one_giant_of_many_is_set_aside_and_the_others_have_their_own_factor() -> None:
    assert find_majority(sized(*[16] * 11, 100), SQUARE) == Majority(("11.png",), 1, 8)


@pytest.mark.parametrize(
    ("sizes", "found"),
    [
        ([16] * 9, Majority((), 8, 8)),
        ([16] * 8 + [100], Majority((), 1, 1)),  # one of nine is not few
        ([16] * 20 + [100] * 3, Majority((), 1, 1)),  # a size of its own
        ([16] * 20 + [25], Majority((), 5, 5)),  # the others would gain little
        ([16] * 20 + [30], Majority(("20.png",), 4, 8)),
        ([40] * 20 + [100], Majority(("20.png",), 1, 3)),
        ([], Majority()),
    ],
)
def test_few_are_set_aside_where_the_others_gain_twice(sizes: list[int], found: Majority) -> None:
    assert find_majority(sized(*sizes), SQUARE) == found


def test_above_a_latent_cell_only_a_far_larger_one_is_set_aside() -> None:
    shapes = [(1024, 1024)]
    assert find_majority(sized(*[16] * 20, 40), shapes) == Majority((), 24, 24)
    assert find_majority(sized(*[16] * 20, 90), shapes) == Majority(("20.png",), 8, 64)


def test_the_fewest_are_set_aside() -> None:
    found = find_majority(sized(*[16] * 40, 30, 44, 120), SQUARE)
    assert found.aside == ("40.png", "41.png", "42.png")
    assert find_majority(sized(*[16] * 20, *[30] * 9, 120), SQUARE) == Majority(("29.png",), 1, 4)


def test_frames_count_as_one_subject() -> None:
    """A giant with as many frames as all others together is one subject of twelve."""
    subjects = [*[f"s{i}" for i in range(11)], *["giant"] * 11]
    assert len(find_majority(sized(*[16] * 11, *[100] * 11, subjects=subjects), SQUARE).aside) == 11


def test_what_is_asked_for_is_kept_and_what_fits_nowhere_is_no_matter() -> None:
    sprites = sized(*[16] * 20, 100, 200)
    assert find_majority(sprites, SQUARE).aside == ("20.png",)
    assert find_majority(sprites, SQUARE, {"20.png"}).aside == ()


def test_patterns_that_mean_nothing_are_named() -> None:
    assert match_names(["*"], [], "include") == []
    with pytest.raises(ConfigError, match=r"data\.include: no image is called drag\*; name files, or patterns"):
        match_names(["drag*", "*"], ["Dragon.png"], "data.include")
    assert match_names(["drag*"], ["Dragon.png"], "") == []


def test_a_raw_folder_is_read_without_its_giant(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(11):
        save(draw_sprite(number), tmp_path / f"thing_{'abcdefghijk'[number]}.png")
    save(draw_sprite(20, 100), tmp_path / "giant.png")
    for file in tmp_path.glob("*.png"):
        file.with_suffix(".txt").write_text("pixel art, thing\n")
    with caplog.at_level(logging.WARNING):
        sprites = read_folder(tmp_path, 128, originals=Originals(include=[]))
    assert {s.factor for s in sprites} == {8}
    assert "giant.png" not in {s.name for s in sprites}
    assert "set aside: giant.png: larger than most: with them all others are enlarged by 1, without by 8" in caplog.text
    assert "'data.include=[giant.png]' takes it" in caplog.text
    taken = read_folder(tmp_path, 128, originals=Originals(include=["giant.png"]))
    assert len(taken) == len(read_folder(tmp_path, 128)) == 12
    with pytest.raises(ConfigError, match=r"data\.include: no image is called Gaint\.png"):
        names_aside(tmp_path, {s.name: s.native_size for s in sprites}, [(128, 128)], ["Gaint.png"], True)


def test_a_prepared_set_is_read_without_its_giant_where_its_canvas_is_not_the_runs(tmp_path: Path) -> None:
    art, folder, few = tmp_path / "art", tmp_path / "ready", Originals(include=[])
    art.mkdir()
    for number in range(11):
        save(draw_sprite(number), art / f"thing_{'abcdefghijk'[number]}.png")
    save(draw_sprite(20, 32), art / "giant.png")
    for file in art.glob("*.png"):
        file.with_suffix(".txt").write_text("pixel art, thing\n")
    prepare(PrepareConfig(input=str(art), output=str(folder), resolution=256, workers=1))
    assert len(read_folder(folder, 256, originals=few)) == 12, "as it was prepared"
    anew = read_folder(folder, 128, originals=few)
    assert (len(anew), {s.factor for s in anew}) == (11, {8})
    before = read_folder(folder, 128, factor=4, originals=few)
    assert (len(before), {s.factor for s in before}) == (12, {4}), "a run that was trained on all goes on with all"
