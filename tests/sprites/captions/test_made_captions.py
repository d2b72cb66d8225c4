"""Captions out of names hold the words of the name once, and no more commas than phrases."""

import pytest

from spritelora.errors import ConfigError
from spritelora.sprites.captions.made_captions import CaptionForm, caption_from_name, join_caption
from spritelora.sprites.captions.name_words import words_of_name

NAMES = {
    "fire_mage_02": "fire mage",
    "fire-mage": "fire mage",
    "FireMage2": "fire mage",
    "fireMage": "fire mage",
    "HPPotion": "hp potion",
    "Red Potion (3)": "red potion",
    "potion_red_32x32": "potion red",
    "icon@2x": "icon",
    "door_v2": "door",
    "sword12": "sword",
    "16bit_knight": "16bit knight",
    "dragon_2_headed": "dragon 2 headed",
    "größeÄrmel_01": "größe ärmel",
    "0001": "",
    "__": "",
}


@pytest.mark.parametrize(("name", "words"), NAMES.items())
def test_words_of_a_name(name: str, words: str) -> None:
    assert words_of_name(name) == words


def test_a_caption_out_of_file_and_folder() -> None:
    name = "characters/wizards/fire_mage_02.png"
    assert caption_from_name(name) == "pixel art, fire mage"
    assert caption_from_name(name, CaptionForm("{folders}: {name}")) == "characters, wizards: fire mage"
    assert caption_from_name(name, CaptionForm("pixel art {folder}, {name}")) == "pixel art wizards, fire mage"
    assert caption_from_name(name, words=("walkLeft_03", "")) == "pixel art, fire mage, walking left"
    assert caption_from_name("a.b.png") == "pixel art, a b"
    assert caption_from_name("potions/003.png", CaptionForm("pixel art, {folder}")) == "pixel art, potions"


def test_words_of_action_and_view_follow_the_subject_once() -> None:
    assert caption_from_name("Bear/Faceset.png") == "pixel art, bear, face"
    assert caption_from_name("bear_walk_3.png", words=("walk", "Bear", "angry")) == "pixel art, bear, walking, angry"
    assert caption_from_name("tilemap.png", words=("goblin_run_anim_f0",)) == "pixel art, goblin, running"


def test_trigger_prefix_and_suffix_of_the_guide() -> None:
    form = CaptionForm("{name}", "mystyle", "pixel art, ", ", game sprite, 16-bit style")
    assert caption_from_name("knight.png", form) == "mystyle, pixel art, knight, game sprite, 16-bit style"


@pytest.mark.parametrize(
    ("body", "prefix", "suffix", "joined"),
    [
        ("red potion", "pixel art", "", "pixel art, red potion"),
        ("red potion", "pixel art, ", ", 16-bit,", "pixel art, red potion, 16-bit"),
        ("Pixel Art, red potion", "pixel art", "", "Pixel Art, red potion"),
        ("red potion, pixel art", "pixel art, game sprite", "", "game sprite, red potion, pixel art"),
        ("red potion,,  glass ,", " ,", ",", "red potion, glass"),
        ("red potion", "pixel art of a ", "", "pixel art of a red potion"),
        ("pixel art of a red potion", "pixel art of a ", "", "pixel art of a red potion"),
        ("red potion", "16-bit, pixel art of a ", "", "16-bit, pixel art of a red potion"),
        ("", "pixel art", "", "pixel art"),
    ],
)
def test_joining(body: str, prefix: str, suffix: str, joined: str) -> None:
    assert join_caption(body, "", prefix, suffix) == joined


def test_joining_twice_changes_nothing() -> None:
    parts = ["", "pixel art", "pixel art, ", "a sprite of ", "knight, pixel art", "KNIGHT", ", x,, y"]
    for body in parts:
        for trigger in parts:
            for prefix in parts:
                for suffix in parts:
                    once = join_caption(body, trigger, prefix, suffix)
                    assert join_caption(once, trigger, prefix, suffix) == once
                    assert ",," not in once.replace(" ", "")


def test_a_trigger_is_found_as_a_word_and_not_within_one() -> None:
    assert join_caption("a sks knight", "sks") == "a sks knight"
    assert join_caption("asks a knight", "sks") == "sks, asks a knight"


@pytest.mark.parametrize("name", ["set/0001.png", "tile_0011.png", "walk.png"])
def test_a_name_without_a_subject_makes_no_caption(name: str) -> None:
    assert caption_from_name(name) is None
    assert caption_from_name(name, CaptionForm("{folder}, {name}")) == ("set" if "/" in name else None)
    assert caption_from_name(name, CaptionForm("a sprite")) == "a sprite"


@pytest.mark.parametrize("template", ["{nam}", "{name", "{name!r}", "{name:>9}", "{name.upper}", "{0}", "{}"])
def test_a_template_with_other_fields_is_an_error(template: str) -> None:
    with pytest.raises(ConfigError, match="in braces stand only name, folder, folders, words"):
        caption_from_name("knight.png", CaptionForm(template))
