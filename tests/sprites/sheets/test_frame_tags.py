"""A frame gets the tags it had in its file, or none: never those of another frame or file."""

import random
import re

import pytest

from spritelora.sprites.sheets.frame_tags import FrameName, FrameTag, TagPlace, parse_name, place_frames

PATTERN = re.compile(
    r"(?P<title>.*?)(?: \((?P<layer>[^()]*)\))?(?: ?#(?P<tag>.*?))?(?:[ _.-]*(?P<number>\d+))?", re.DOTALL
)
"""What a name is, as a pattern whose time grows with the cube of a name's length."""

IDLE, RUN = FrameTag("idle", 0, 3), FrameTag("run", 4, 7)


def names(title: str, numbers: range | list[int], suffix: str = ".aseprite") -> list[str]:
    return [f"{title} {number}{suffix}" for number in numbers]


def told(frame_names: list[str], tags: list[FrameTag]) -> list[str]:
    """Each frame's first tag as `run_2`, empty without one; nothing may be said."""
    places, note = place_frames(frame_names, tags)
    assert note == ""
    return [f"{p[0].tag}_{p[0].number}" if p else "" for p in places]


def test_a_name_is_parted_as_the_pattern_says() -> None:
    draw = random.Random(0)
    for _ in range(5000):
        name = "".join(draw.choice("ab #()12._- ") for _ in range(draw.randrange(14)))
        match = PATTERN.fullmatch(name)
        assert match is not None
        number = None if match["number"] is None else int(match["number"])
        assert parse_name(name) == FrameName(match["title"], match["layer"] or "", match["tag"] or "", number), name


def left_off(frame_names: list[str], tags: list[FrameTag]) -> str:
    """Why no frame has a tag."""
    places, note = place_frames(frame_names, tags)
    assert places == [()] * len(frame_names)
    assert "{title} #{tag} {tagframe}" in note
    return note


IDLE_AND_RUN = [f"idle_{i}" for i in range(4)] + [f"run_{i}" for i in range(4)]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("hero 3.aseprite", FrameName("hero", "", "", 3)),
        ("hero.png", FrameName("hero", "", "", None)),
        ("hero (Body) 12.ase", FrameName("hero", "Body", "", 12)),
        ("hero #walk left 0.aseprite", FrameName("hero", "", "walk left", 0)),
        ("hero (Body) #walk.aseprite", FrameName("hero", "Body", "walk", None)),
        ("hero # 4.aseprite", FrameName("hero", "", "", 4)),
        ("goblin_attack_007.png", FrameName("goblin_attack", "", "", 7)),
        ("5", FrameName("", "", "", 5)),
        ("", FrameName("", "", "", None)),
        ("two\nlines 1", FrameName("two\nlines", "", "", 1)),
        ("#" * 256, FrameName("#" * 256, "", "", None)),
    ],
)
def test_a_name_has_the_parts_that_aseprite_gives_it(name: str, parts: FrameName) -> None:
    assert parse_name(name) == parts


@pytest.mark.parametrize("numbers", [range(8), range(1, 9)])
def test_all_frames_of_a_file_have_their_tags(numbers: range) -> None:
    assert told(names("hero", numbers), [IDLE, RUN]) == IDLE_AND_RUN
    assert told(names("hero", numbers), [FrameTag("run", 4, 5)]) == [""] * 4 + ["run_0", "run_1", "", ""]


def test_frames_without_numbers_are_all_of_a_file_by_their_order() -> None:
    assert told(["hero"] * 8, [IDLE, RUN]) == IDLE_AND_RUN


def test_frames_in_another_order_go_by_their_numbers() -> None:
    """As text `hero 10` comes before `hero 2`."""
    tags = [FrameTag("idle", 0, 8), FrameTag("hit", 9, 10)]
    ordered = sorted(names("hero", range(11)))
    assert dict(zip(ordered, told(ordered, tags), strict=True)) == {
        f"hero {i}.aseprite": f"idle_{i}" if i < 9 else f"hit_{i - 9}" for i in range(11)
    }


def test_empty_frames_that_were_left_out_shift_no_tag() -> None:
    assert told(names("hero", [0, 2, 3, 4, 7]), [IDLE, RUN]) == ["idle_0", "idle_2", "idle_3", "run_0", "run_3"]


def test_each_layer_counts_by_itself() -> None:
    layers = names("hero (Body)", range(8)) + names("hero (Sword)", range(8))
    assert told(layers, [IDLE, RUN]) == IDLE_AND_RUN * 2


def test_numbers_of_the_file_tell_where_one_tag_was_exported() -> None:
    assert told(names("hero", range(4, 8)), [IDLE, RUN]) == [f"run_{i}" for i in range(4)]
    assert told(names("hero", range(5, 9)), [IDLE, RUN]) == [f"run_{i}" for i in range(4)]  # counted from 1


@pytest.mark.parametrize("numbers", [range(4), range(1, 5), [0, 1, 3], range(6, 10), [2, 3, 5]])
def test_one_tag_counted_anew_has_no_tag(numbers: range | list[int]) -> None:
    """Four frames of `hero 0` to `hero 3` are idle's or run's: Aseprite counts what it exports."""
    note = left_off(names("hero", numbers), [IDLE, RUN])
    assert f"they go up to frame 7, from 0, and the sheet has {len(numbers)} frames" in note


def test_untagged_frames_left_out_shift_no_tag() -> None:
    left_off(names("hero", range(4)), [FrameTag("walk", 1, 2), FrameTag("hit", 3, 4)])


@pytest.mark.parametrize("mark", ["#{}", "({})"])
def test_tags_in_names_are_told_whatever_was_exported(mark: str) -> None:
    run = names(f"hero {mark.format('run')}", range(4))
    idle = names(f"hero {mark.format('idle')}", range(4))
    assert told(run, [IDLE, RUN]) == [f"run_{i}" for i in range(4)]
    assert told(run + idle, [IDLE, RUN]) == IDLE_AND_RUN[4:] + IDLE_AND_RUN[:4]
    assert told(names(f"hero {mark.format('run')}", range(4, 8)), [IDLE, RUN]) == [f"run_{i}" for i in range(4)]


def test_brackets_with_more_frames_than_their_tag_are_a_layer() -> None:
    assert told(names("hero (run)", range(8)), [IDLE, RUN]) == IDLE_AND_RUN


def test_a_tag_around_the_named_one_is_told_too() -> None:
    tags = [FrameTag("all", 0, 7), IDLE, RUN]
    places, note = place_frames(names("hero #run", range(4)), tags)
    assert (places[1], note) == ((TagPlace("run", 1), TagPlace("all", 5)), "")
    places, _ = place_frames(names("hero #all", range(8)), tags)
    assert places[5] == (TagPlace("all", 5), TagPlace("run", 1))


def test_a_frame_whose_name_has_no_tag_has_none_beside_others_that_do() -> None:
    assert told(["hero #run 0", "hero #hit", "hero 7"], [IDLE, RUN, FrameTag("hit", 8, 8)]) == ["run_0", "hit_0", ""]


def test_frames_of_two_files_get_no_tag_of_either() -> None:
    frames = names("hero", range(8)) + names("orc", range(4))
    note = left_off(frames, [IDLE, RUN, FrameTag("walk", 0, 3)])
    assert "2 files are in one sheet (hero, orc) and tags do not say whose they are" in note
    assert "(a, b, c, ...)" in left_off([*names("a", [0]), "b", "c", "d"], [IDLE])


def test_tags_in_names_part_two_files() -> None:
    tags = [FrameTag("walk", 0, 3), FrameTag("walk", 2, 3)]
    frames = names("hero #walk", range(4)) + names("orc #walk", range(2))
    assert told(frames, tags) == ["walk_0", "walk_1", "walk_2", "walk_3", "walk_0", "walk_1"]


def test_names_of_ones_own_that_agree_with_the_order_are_believed() -> None:
    frames = ["walk_0", "walk_1", "hero idle 0", "potion"]
    tags = [FrameTag("walk", 0, 1), FrameTag("Idle", 2, 2)]
    assert told(frames, tags) == ["walk_0", "walk_1", "Idle_0", ""]
    left_off(["idle_0", *frames[1:]], tags)


def test_no_tags_say_nothing() -> None:
    assert place_frames(["a", "b 1"], []) == ([(), ()], "")
