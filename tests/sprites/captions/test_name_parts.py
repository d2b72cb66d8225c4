"""A name tells its subject and, apart from it, the view and the action; what names no subject makes none up."""

from itertools import pairwise

import pytest

from spritelora.sprites.captions.name_parts import NameParts, parts_of_names, parts_of_words

TOLD = {
    "fire_mage_02.png": ("fire mage", ()),
    "Characters/FireMage/Walk.png": ("fire mage", ("walking",)),
    "characters/knight/walk/0003.png": ("knight", ("walking",)),
    "PNG/Knight_Attack_2_Right_strip4.png": ("knight", ("attacking right",)),
    "ninja-idle-left.png": ("ninja", ("idle left",)),
    "hero_walk_se_2.png": ("hero", ("walking southeast",)),
    "Bear/SpriteSheet.png": ("bear", ()),
    "Bear/Faceset.png": ("bear", ("face",)),
    "Weapons/Big Sword/SpriteInHand.png": ("big sword", ("in hand",)),
    "Weapons/Bow/Arrow.png": ("arrow", ()),
    "icon_sword.png": ("sword", ("icon",)),
    "knight_side_view_2.png": ("knight", ("side view",)),
    "sea_view.png": ("sea view", ()),
    "sword_icon_32x32.png": ("sword", ("icon",)),
    "tiles/grass_tile_004.png": ("grass", ()),
    "01_knight.png": ("knight", ()),
    "10_red knight/001.png": ("red knight", ()),
    "ice_block.png": ("ice block", ()),
    "ice_block_anim_f0.png": ("ice", ("blocking",)),
    "doors_frame_top.png": ("doors frame top", ()),
    "wall_edge_top_left.png": ("wall edge top left", ()),
    "walk_frame_3/dwarf.png": ("dwarf", ()),
    "größeÄrmel_run_01.png": ("größe ärmel", ("running",)),
    "tile_0011.png": ("", ()),
    "dungeon/tile_0011.png": ("", ()),
    "dungeon/0011.png": ("", ()),
    "Characters/sprite.png": ("", ()),
    "tilemap_packed.png": ("", ()),
    "0x72_DungeonTilesetII_v1.5.png": ("", ()),
    "walk.png": ("", ("walking",)),
    "Preview.png": ("", ()),
}


@pytest.mark.parametrize(("name", "told"), TOLD.items())
def test_subject_view_and_action_of_a_name(name: str, told: tuple[str, tuple[str, ...]]) -> None:
    (parts,) = parts_of_names([name])
    assert (parts.subject, parts.phrases) == told


def test_a_word_that_may_be_a_subject_is_an_action_beside_others_of_the_subject() -> None:
    alone, _ = parts_of_names(["knight_dead.png", "fruit_fly.png"])
    dead, idle, fly = parts_of_names(["knight_dead.png", "knight_idle.png", "fruit_fly.png"])
    assert (alone.subject, alone.action) == ("knight dead", "")
    assert (dead.subject, dead.action, idle.action, fly.subject) == ("knight", "dead", "idle", "fruit fly")
    told = parts_of_names(["Ninja/Idle.png", "Ninja/Dead.png", "cards/Death.png"])
    assert [(p.subject, p.action) for p in told] == [("ninja", "idle"), ("ninja", "dead"), ("death", "")]


def test_letters_are_men_and_women_where_a_set_has_both() -> None:
    names = ["elf_f_run_anim_f0.png", "elf_m_run_anim_f0.png", "plan_f_run_anim_f0.png"]
    assert [p.subject for p in parts_of_names(names)] == ["female elf", "male elf", "plan f"]


@pytest.mark.parametrize(
    "names",
    [
        ["Beast/Beast.png", "Beast/Faceset.png", "Beast/Walk_01.png", "Beast/walk/002.png"],
        ["knight_walk_1.png", "knight_walk_2.png", "knight_idle_left.png", "knight.png", "knight_anim_f3.png"],
        ["floor_1.png", "floor_2.png"],
    ],
)
def test_files_of_one_subject_have_one_owner(names: list[str]) -> None:
    owners = {parts.owner for parts in parts_of_names(names)}
    assert len(owners) == 1
    assert "" not in owners


def test_owners_and_variants_tell_subjects_apart() -> None:
    names = ["Beast/Sprite.png", "Beast2/Sprite.png", "Beast2/Beast2.png", "a/orc.png", "b/orc.png"]
    told = [(parts.owner, parts.variant) for parts in parts_of_names(names)]
    assert told == [("beast", ""), ("beast", "2"), ("beast", "2"), ("a/orc", ""), ("b/orc", "")]


def test_numbers_count_frames_only_after_an_action() -> None:
    frames = [(p.frame, p.variant) for p in parts_of_names(["orc_run_2.png", "orc_2.png", "orc_f2.png", "orc.png"])]
    assert frames == [("2", ""), ("", "2"), ("2", ""), ("", "")]


def test_no_number_and_no_word_for_a_file_is_in_what_is_told() -> None:
    for name in TOLD:
        (parts,) = parts_of_names([name])
        words = " ".join([parts.subject, *parts.phrases]).split()
        assert not {"sprite", "sheet", "spritesheet", "anim", "tile", "png", "f0"} & {*words}
        assert not any(word.isdigit() for word in words)
        assert all(first != second for first, second in pairwise(words))


def test_the_name_of_a_frame_lies_in_no_folder() -> None:
    assert parts_of_words("../goblin_attack_0") == NameParts("goblin", "attacking", "", "goblin", "", "0")
