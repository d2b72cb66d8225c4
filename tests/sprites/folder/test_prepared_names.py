"""Prepared files have names of their own on every file system, and kohya's folders stay folders."""

import re

import pytest

from spritelora.sprites.folder.prepared_names import prepared_stems


@pytest.mark.parametrize(("source", "tag", "stem"), [
    ("knight.png", "", "knight"),
    ("undead/bosses/lich.gif", "", "undead_bosses_lich"),
    ("10_knight/a.png", "", "10_knight/a"),
    ("art/10_knight/walk/a.png", "f03", "10_knight/art_walk_a_f03"),
    ("01_knight/a.png", "", "01_knight_a"),
    ("Prinz_Übel.v2.png", "", "Prinz_Übel.v2"),
    ("e\u0301pe\u0301e.png", "", "\u00e9p\u00e9e"),
    ("line\nbreak.png", "", "line_break"),
    ("raw\udcff.png", "", "raw_"),
    ("aux.png", "", "aux_"),
    ("fx/con.png", "", "fx_con"),
    ("what?.png", "", "what_"),
    ("10_knight. /nul.png", "", "10_knight._/nul_"),
])  # fmt: skip
def test_names_are_readable(source: str, tag: str, stem: str) -> None:
    assert prepared_stems([(source, tag)]) == [stem]


def test_no_two_names_are_alike_whatever_the_case() -> None:
    names = ["a_b.png", "a/b.png", "A/B.png", "a_b.jpg", "a_b-2.png", "e\u0301.png", "\u00e9.png"]
    stems = prepared_stems([(name, "") for name in names])
    assert len({stem.casefold() for stem in stems}) == len(names)
    assert stems[:2] == ["a_b", "a_b-2"]


def test_long_names_fit_the_file_system_and_stay_apart() -> None:
    stems = prepared_stems([("ü" * 120 + "/" + "x" * 200 + end, "") for end in ("1.png", "2.png")])
    assert stems[0] != stems[1]
    assert all(len(stem.encode()) <= 200 and not re.search(r"-\d$", stem) for stem in stems)
