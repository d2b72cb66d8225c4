"""Names that are made here exist on every system; names that a user typed are refused only where they cannot."""

import ntpath
import re
from pathlib import Path, PureWindowsPath

import pytest

from spritelora.errors import ConfigError
from spritelora.file_names import check_name, safe_name, tell_apart, told_of_names

NASTY = (
    "aux", "AUX", "con.txt", "nul .png", "com1", "LPT9.a.b", "com\u00b9", "CONIN$", "a:b", 'a"b', "a<b>", "what?",
    "a|b*", "back\\slash", "a/b", "dot.", "dots..", "space ", ".", "..", "", " ", ".hidden", "tab\tnew\nline", "nul\0",
    "raw\udcff", "x" * 400, "\u00fc" * 200, "e\u0301" * 90,
)  # fmt: skip


def is_reserved(name: str) -> bool:
    """As Python itself says of Windows; before 3.13 it knew devices alone."""
    if hasattr(ntpath, "isreserved"):
        return ntpath.isreserved(name)
    return PureWindowsPath(name).is_reserved() or name[-1] in ". " or bool(re.search(r'[\x00-\x1f<>:"/\\|?*]', name))


@pytest.mark.parametrize("text", NASTY)
def test_every_system_has_a_file_of_a_name_made_here(text: str) -> None:
    name = safe_name(text)
    assert not is_reserved(name), name
    assert not is_reserved(f"{name}.png")
    assert 0 < len(f"{name}.safetensors".encode()) <= 255
    assert not name.startswith(".")


@pytest.mark.parametrize("text", ["knight", "Prinz_\u00dcbel.v2", "\u5263 of 10", "auxiliary", "icon", "a-b (1)"])
def test_a_good_name_stays(text: str) -> None:
    assert safe_name(text) == text


def test_long_names_that_differ_at_their_ends_stay_apart() -> None:
    assert safe_name("x" * 400 + "1") != safe_name("x" * 400 + "2")


def test_names_are_told_apart_whatever_their_case() -> None:
    names = tell_apart(["Key", "key", "KEY", "key-2"])
    assert names[:3] == ["Key", "key-2", "KEY-3"]
    assert len({name.casefold() for name in names}) == 4


@pytest.mark.parametrize("typed", ["out/aux", "a:b/c", "runs/first.", "what?", "out/nul.txt"])
def test_a_typed_name_is_refused_only_where_it_cannot_be(typed: str) -> None:
    check_name("output", typed, is_windows=False)
    with pytest.raises(ConfigError, match=r"^output=.*: Windows has no file named .* is one it takes$"):
        check_name("output", typed, is_windows=True)


def test_a_typed_name_may_be_hidden_long_or_above() -> None:
    check_name("output", f"../.cache/{'x' * 200}/run", is_windows=True)


def test_a_name_longer_than_file_systems_have_is_refused_everywhere() -> None:
    with pytest.raises(ConfigError, match=r"output: .* has over 255 bytes; give a shorter name"):
        check_name("output", "runs/" + "\u00fc" * 130, is_windows=False)


def test_any_path_that_is_too_long_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'aaaa.*too long; give another path"), told_of_names():
        Path("a" * 300).stat()
    with pytest.raises(FileNotFoundError), told_of_names():
        Path("nowhere").stat()
