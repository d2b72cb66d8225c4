"""Every rule finds its planted case, and none speaks up on a good set."""

import re
from pathlib import Path

import numpy as np
import pytest

from spritelora.embedded.drawn import draw_demo_set, sample_spec
from spritelora.sprites.checks.caption_lint import lint_captions, longest_run, told_once
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.folder.sources import find_sources

DCSS = Path("/work/shared/data/dcss")

GOOD = {
    "knight.png": "pixel art, knight in silver armor, standing, front view, 16-bit rpg style",
    "potion.png": "pixel art, red health potion, round glass bottle, game inventory item, 16-bit style",
    "floor.png": "pixel art, dungeon floor tile, cracked stone texture, top-down view, seamless, 16-bit",
    "ghost.png": "pixel art, transparent ghost with a candle, upright, bright eyes, 16-bit style",
    "frog.png": "pixel art sprite of a green frog on a lily pad, side view, game character",
    "lamp.png": "pixel art, brass lamp apart from its lid, a part of the set",
}

GUIDES_BAD_EXAMPLE = (
    "pixel art knight character with shiny silver armor holding a golden sword with ruby in the hilt standing on stone "
    "floor with grass in background in medieval fantasy setting with detailed shading"
)

PLANTED: list[tuple[str, str | None, str]] = [
    ("missing_caption", None, "no caption; write a line that says what it shows"),
    ("empty_caption", " , \n", "the caption is empty; write what the sprite shows"),
    ("short_caption", "pixel art, red key", "18 characters, under 20"),
    ("long_caption", "pixel art, " + "red and blue banner, " * 10, "221 characters, over 200"),
    ("cut_caption", "pixel art, " + "i v x " * 25 + "end", "80 tokens of 77, counted by a word count; "
     "this end would be cut off: 'v x end'"),
    ("generic_caption", "pixel art game sprite", "'pixel art game sprite' fits any sprite"),
    ("generic_caption", "16-bit pixel art, game item icon, 32x32 sprite, transparent background", "fits any sprite"),
    ("duplicate_caption", "Pixel art,  knight in silver armor, standing, front view, 16-bit rpg style",
     "the same caption as knight.png: say what tells them apart"),
    ("transparency", "pixel art, red dragon, transparent background", "says 'transparent background', but training"),
    ("transparency", "pixel art, red dragon, no background", "says 'no background'"),
    ("transparency", "pixel art, red dragon, transparent, roaring", "says 'transparent'"),
    ("transparency", "pixel art, red dragon on transparency", "says 'transparency'"),
    ("no_style", "a red dragon that breathes fire", "names no style"),
    ("over_detailed", GUIDES_BAD_EXAMPLE, "32 words without a comma, over 25"),
    ("variant_terms", "pixel art, dragon, 16bit style", "writes '16bit' where 4 of the set's captions write '16-bit'"),
    ("variant_terms", "pixel art, red dragon, 16 bit style", "writes '16 bit' where 4"),
    ("variant_terms", "pixel art, dragon in golden armour", "writes 'armour' where 1"),
    ("variant_terms", "pixelart sprite, dragon in gold", "writes 'pixelart' where 6"),
    ("variant_terms", "pixel art, red dragon, overhead view", "writes 'overhead view' where 1"),
    ("sided_words", "pixel art, red dragon, facing left", "says 'left', and flips are on"),
    ("sided_words", "pixel art, right-handed swordsman", "says 'right-handed'"),
]  # fmt: skip


def words_as_tokens(caption: str) -> int:
    return len(caption.split()) + 2


def cut_words(caption: str) -> str:
    return " ".join(caption.split()[75:])


def lint(captions: dict[str, str | None], flips: bool = True, **options: object) -> list[Finding]:
    rules = {"flips": flips, "matte": True, "tokenizer": "a word count", **options}
    return lint_captions(captions, words_as_tokens, cut_words, **rules)  # pyright: ignore[reportArgumentType]


def test_nothing_is_found_on_a_good_set() -> None:
    assert lint(dict(GOOD)) == []


@pytest.mark.parametrize(("kind", "caption", "message"), PLANTED, ids=[f"{k} {m[:20]}" for k, _, m in PLANTED])
def test_a_planted_case_is_found(kind: str, caption: str | None, message: str) -> None:
    found = [f for f in lint({**GOOD, "planted.png": caption}) if f.file == "planted.png"]
    assert kind in [f.kind for f in found]
    assert message in next(f.message for f in found if f.kind == kind)


@pytest.mark.parametrize(("kind", "caption"), [(kind, caption) for kind, caption, _ in PLANTED])
def test_the_other_files_stay_clean(kind: str, caption: str | None) -> None:
    others = [f.kind for f in lint({**GOOD, "planted.png": caption}) if f.file != "planted.png"]
    assert others == (["duplicate_caption"] if kind == "duplicate_caption" else [])


def test_only_a_caption_that_is_not_there_is_an_error() -> None:
    captions = {f"{i}.png": caption for i, (_, caption, _) in enumerate(PLANTED)}
    errors = {f.kind for f in lint(captions) if f.severity is Severity.error}
    assert errors == {"missing_caption", "empty_caption"}


def test_sides_and_transparency_depend_on_what_training_does() -> None:
    caption: dict[str, str | None] = {"a.png": "pixel art, dragon facing left, transparent background"}
    assert {f.kind for f in lint(caption)} == {"sided_words", "transparency"}
    assert lint(caption, flips=False, matte=False) == []


def test_a_trigger_counts_as_style_and_variants_can_be_added() -> None:
    assert lint({"a.png": "ohwx, a dragon breathing fire"}, style_words=["ohwx"]) == []
    pair: dict[str, str | None] = {"a.png": "pixel art, goblin on foot", "b.png": "pixel art, green orc with axe"}
    assert lint(pair) == []
    assert [f.file for f in lint(pair, variants=[("orc", "goblin")])] == ["a.png"]


def test_findings_come_in_the_order_of_the_files() -> None:
    files = [f.file for f in lint({"b.png": None, "a.png": "pixel art, red key", "c.png": None})]
    assert files == ["b.png", "a.png", "c.png"]


def test_words_without_a_comma() -> None:
    assert longest_run("a b c, d e") == 3
    assert longest_run("") == 0
    assert longest_run("a b. c d e; f") == 3


def test_the_demo_set_has_short_captions_only() -> None:
    captions = {f"{i}.png": caption for i, (_, caption) in enumerate(draw_demo_set())}
    assert {f.kind for f in lint(dict(captions))} <= {"short_caption"}


def test_drawn_captions_are_read_in_any_order_and_number() -> None:
    from spritelora.embedded.drawn import write_caption

    rng = np.random.default_rng(0)
    captions: dict[str, str | None] = {f"{i}.png": write_caption(sample_spec(rng), rng) for i in range(300)}
    found = lint(captions)
    sided = {file for file, caption in captions.items() if re.search(r"\b(left|right)\b", caption or "")}
    assert {f.file for f in found if f.kind == "sided_words"} == sided
    backwards = lint(dict(reversed(captions.items())))
    assert {(f.kind, f.file) for f in backwards} == {(f.kind, f.file) for f in found}


@pytest.mark.skipif(not DCSS.is_dir(), reason="the DCSS sprites are not on this machine")
def test_dcss_captions_speak_of_transparency_and_repeat_themselves() -> None:
    captions = {source.name: source.caption for source in find_sources(DCSS)}
    kinds = {f.kind for f in lint(captions)}
    assert {"transparency", "duplicate_caption"} <= kinds
    assert not kinds & {"missing_caption", "empty_caption", "no_style", "over_detailed", "long_caption", "cut_caption"}


def test_frames_of_one_animation_are_told_once_and_missing_captions_each() -> None:
    captions = {"a_f0.png": "x", "a_f1.png": "x", "a_f2.png": "y", "b_f0.png": "x", "c.png": None, "c_f1.png": None}
    animations = {name: name[0] for name in captions if "_f" in name}
    assert list(told_once(captions, animations)) == ["a_f0.png", "a_f2.png", "b_f0.png", "c.png", "c_f1.png"]
    assert told_once(captions, {}) == captions
