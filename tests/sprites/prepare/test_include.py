"""What is named to be taken is found by name or pattern; a name that means nothing is answered."""

import pytest

from spritelora.errors import ConfigError
from spritelora.sprites.grids.sheet_layout import SheetLayout
from spritelora.sprites.prepare.include import include_entry, match_include, parse_include

IMAGES = ["Preview.png", "Boss/Dragon.png", "Boss/Hydra.png", "a:b.png"]


@pytest.mark.parametrize(
    "layout", [None, SheetLayout(None), SheetLayout((16, 24)), SheetLayout((8, 8), 2, 1), SheetLayout((8, 8), 0, 3)]
)
def test_an_entry_reads_back(layout: SheetLayout | None) -> None:
    (entry,) = parse_include([include_entry("Boss/Dragon.png", layout)])
    assert (entry.pattern, entry.layout) == ("Boss/Dragon.png", layout)


def test_names_and_patterns() -> None:
    def names(*entries: str) -> list[str]:
        return list(match_include(parse_include(entries), IMAGES, "include"))

    assert names("Preview.png") == ["Preview.png"]
    assert names("Dragon.png") == ["Boss/Dragon.png"]
    assert names("Boss/*") == ["Boss/Dragon.png", "Boss/Hydra.png"]
    assert names("*.png") == IMAGES
    assert names("a:b.png") == ["a:b.png"]


def test_the_last_entry_counts_and_one_that_means_nothing_is_named() -> None:
    found = match_include(parse_include(["*", "Hydra.png:16x16"]), IMAGES, "include")
    assert found["Boss/Hydra.png"].layout == SheetLayout((16, 16))
    assert found["Preview.png"].layout is None
    with pytest.raises(ConfigError, match=r"include: no image is called Bos/\*, x\.png; name files, or patterns"):
        match_include(parse_include(["Bos/*", "x.png", "Preview.png"]), IMAGES, "include")
