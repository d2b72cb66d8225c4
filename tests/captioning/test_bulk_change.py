"""One change of many captions: what it makes of each, and that nothing of it can be lost or hang."""

import pytest

from spritelora.captioning.bulk_change import BulkChange
from spritelora.errors import ConfigError

CAPTION = "pixel art, red potion (large), 16-bit style"


def changed(change: BulkChange, caption: str = CAPTION) -> str:
    """The caption after a change; the same where it stays."""
    edits, problems = change.captions({"a.png": caption})
    assert problems == []
    return edits[0].after if edits else caption


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (BulkChange("potion", "flask"), "pixel art, red flask (large), 16-bit style"),
        (BulkChange("Potion", "flask"), CAPTION),
        (BulkChange("n (l", "n (L"), "pixel art, red potion (Large), 16-bit style"),
        (BulkChange(".", "x"), CAPTION),
        (BulkChange("potion", r"\1"), r"pixel art, red \1 (large), 16-bit style"),
        (BulkChange("red potion (large)", ""), "pixel art, 16-bit style"),
        (BulkChange("pixel art", ""), "red potion (large), 16-bit style"),
        (
            BulkChange(r"(\w+) potion", r"potion of \1", is_pattern=True),
            "pixel art, potion of red (large), 16-bit style",
        ),
        (BulkChange(r"(?i)\bPIXEL\b", "voxel", is_pattern=True), "voxel art, red potion (large), 16-bit style"),
        (BulkChange(r"^|$", "|", is_pattern=True), f"|{CAPTION}|"),
        (BulkChange(remove="Pixel Art, 16-BIT style, blue"), "red potion (large)"),
        (BulkChange(remove="potion"), CAPTION),
        (BulkChange(add="pixel art, game item"), f"{CAPTION}, game item"),
        (BulkChange(add="hero, game item", add_first=True), f"hero, game item, {CAPTION}"),
        (BulkChange("red", "blue", False, "pixel art", "art"), "blue potion (large), 16-bit style, art"),
    ],
)
def test_a_change_is_what_it_says(change: BulkChange, after: str) -> None:
    assert changed(change) == after


@pytest.mark.parametrize(
    "change", [BulkChange(add="x, y"), BulkChange(add="x, y", add_first=True), BulkChange(remove="pixel art")]
)
def test_adding_and_taking_out_twice_is_once(change: BulkChange) -> None:
    assert changed(change, changed(change)) == changed(change) != CAPTION


def test_a_caption_without_what_is_found_keeps_every_letter() -> None:
    odd = "a,b ,  c,"
    assert changed(BulkChange("potion", "flask", remove="d"), odd) == odd


def test_what_would_leave_no_caption_is_named_and_stays() -> None:
    captions = {"a.png": "potion", "b.png": "red potion"}
    edits, problems = BulkChange("potion", "").captions(captions)
    assert [(e.name, e.after) for e in edits] == [("b.png", "red")]
    (problem,) = problems
    assert problem == "a.png: left as it is: nothing would be left of 'potion'"


@pytest.mark.parametrize(("put", "reason"), [("a\x07b", r"control character U\+0007"), ("x" * 65_537, "65,536 bytes")])
def test_what_no_caption_can_be_is_named_and_stays(put: str, reason: str) -> None:
    edits, problems = BulkChange("potion", put).captions({"a.png": CAPTION, "b.png": "red"})
    assert edits == []
    with pytest.raises(AssertionError, match=rf"a\.png: left as it is: .*{reason}"):
        raise AssertionError("\n".join(problems))


@pytest.mark.parametrize("change", [{}, {"find": ""}, {"remove": " , "}, {"put": "x"}])
def test_a_change_of_nothing_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="nothing to change: give find= and put=, remove= or add="):
        BulkChange(**change)


@pytest.mark.parametrize(
    "pattern",
    ["(", "a{2,1}", "[", "x" * 5000, "(" * 4000, "a{99999999999}", "(?R)*a", "(?1)(a)", "(?<n>a)(?&n)", "(?z)"],
)
def test_a_pattern_that_cannot_be_searched_is_named(pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"^find: .*no pattern that can be searched .*without pattern=true"):
        BulkChange(pattern, "", is_pattern=True)


@pytest.mark.parametrize("put", [r"\3", "\\", r"\g<name>", r"\q"])
def test_a_text_that_does_not_go_with_its_pattern_is_named(put: str) -> None:
    with pytest.raises(ConfigError, match=r"^put: .*the groups of find .*written twice"):
        BulkChange("(red) potion", put, is_pattern=True).captions({"a.png": CAPTION})


def test_a_pattern_that_would_search_for_ever_is_stopped() -> None:
    captions = {f"{i}.png": "a" * 3000 for i in range(50)}
    with pytest.raises(ConfigError, match=r"^find: the search for .*takes over .*write a simpler pattern"):
        BulkChange("(?:a?){50}a{50}b", "", is_pattern=True).captions(captions)
