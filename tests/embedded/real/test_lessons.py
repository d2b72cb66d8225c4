"""What training shows: pure functions of (seed, step, sample), true captions, nothing that is held out."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spritelora.embedded.drawn.drawn_captions import FOREIGN_WORD
from spritelora.embedded.drawn.drawn_sprite import held_out_pairs
from spritelora.embedded.real.canvases import CANVASES, FACE, SMALL, TILE, Canvas, batch_size, canvas_at, suits
from spritelora.embedded.real.lessons import VIEWS_PHRASE, Lessons
from spritelora.embedded.real.records import PackedSet, is_recolour_held_out, pack, shows_held_out_pair
from spritelora.embedded.real.wording import all_words, full_caption, in_colour, subject_of, write_caption
from spritelora.sprites.pixels.image import LATENT_PX


def test_a_sample_depends_on_seed_step_and_number_alone(lessons: Lessons, packed: PackedSet) -> None:
    first = lessons.batch(3, 7, range(4))
    lessons.batch(3, 8, range(4))
    again = [sample for number in range(4) for sample in Lessons(packed).batch(3, 7, [number])]
    assert [lesson.caption for lesson in first] == [lesson.caption for lesson in again]
    np.testing.assert_array_equal([lesson.pixels for lesson in first], [lesson.pixels for lesson in again])
    other = lessons.batch(4, 7, range(4))
    assert [lesson.caption for lesson in first] != [lesson.caption for lesson in other]


def test_every_lesson_fills_its_canvas(lessons: Lessons) -> None:
    rng = np.random.default_rng(0)
    for canvas in (SMALL, TILE, Canvas(32, 24)):
        for _ in range(20):
            lesson = lessons.lesson(canvas, rng)
            assert lesson.pixels.shape == (canvas.height, canvas.width, 3)
            assert lesson.caption


def test_the_canvases_are_those_of_the_card_and_steps_cost_alike() -> None:
    sides = {(canvas.height * LATENT_PX, canvas.width * LATENT_PX) for canvas in CANVASES}
    oblong = {(128, 192), (128, 256), (192, 256), (192, 320)}
    assert sides == {(side, side) for side in (128, 192, 256, 320)} | oblong | {pair[::-1] for pair in oblong}
    assert all(0.7 * 8192 < batch_size(canvas, 8192) * canvas.num_cells <= 8192 for canvas in CANVASES)


def test_small_canvases_come_first_and_tiles_later() -> None:
    for step, most, share in ((0, SMALL, 0.55), (20_000, TILE, 0.48)):
        drawn = Counter(canvas_at(step, np.random.default_rng([1, number])) for number in range(2000))
        assert drawn.most_common(1)[0][0] == most
        assert drawn[most] > share * 2000
        assert set(drawn) == set(CANVASES)


def test_a_canvas_that_no_sprite_suits_is_never_shown(lessons: Lessons) -> None:
    shown = {lessons.canvas_of(0, step) for step in range(300)}
    assert {SMALL, TILE} <= shown < set(CANVASES)
    assert all(lessons.taught[canvas] for canvas in shown)


def test_held_out_subjects_are_never_shown(packed: PackedSet) -> None:
    held = [replace(record, is_held_out="aaa" in record.name) for record in packed.records]
    lessons = Lessons(pack(held, [packed.sprite(number) for number in range(len(held))]))
    shown = {number for subjects in lessons.taught.values() for numbers in subjects for number in numbers}
    assert not any(held[number].is_held_out for number in shown)
    assert lessons.by_subject(TILE, held_out=True)


def test_the_pairs_of_the_card_are_recognised_by_name_and_by_colour() -> None:
    subject, colour = held_out_pairs()[0]
    assert shows_held_out_pair(f"{colour} {subject}", (), ())
    assert shows_held_out_pair(f"big {subject}", (), (colour, "white"))
    assert not shows_held_out_pair(f"big {subject}", (), ("white", colour))
    assert sum(is_recolour_held_out(f"subject {number}", "red") for number in range(2000)) == pytest.approx(100, abs=40)


def test_each_subject_weighs_alike_however_many_frames_it_has(lessons: Lessons) -> None:
    names = [{lessons.packed.records[number].subject for number in numbers} for numbers in lessons.taught[SMALL]]
    assert all(len(subjects) == 1 for subjects in names)
    assert len({next(iter(subjects)) for subjects in names}) == len(names)


@pytest.mark.parametrize(
    "changes", [{"kinds": ("altars", "dungeon")}, {"kinds": ("dungeon",)}, {"name": "flight symbol"}]
)
def test_what_the_names_of_one_game_say_little_of_is_shown_a_quarter_as_often(
    changes: dict[str, Any], packed: PackedSet
) -> None:
    plain = replace(packed.records[0], name="dragon", kinds=("dragons", "monster"))
    two = Lessons(pack([plain, replace(plain, **changes)], [packed.sprite(0)] * 2))
    assert two.chances_of([[0], [1]]).tolist() == pytest.approx([0.8, 0.2])


def test_four_views_stand_on_one_canvas(lessons: Lessons) -> None:
    assert lessons.turning
    rng = np.random.default_rng(2)
    captions = [lessons.views_lesson(rng).caption for _ in range(30)]
    assert sum(VIEWS_PHRASE in caption for caption in captions) > 15


def test_captions_use_no_word_that_the_tokenizer_does_not_know_but_made_up_ones(lessons: Lessons) -> None:
    words = set(all_words(lessons.packed.records))
    rng = np.random.default_rng(5)
    captions = [lessons.lesson(canvas, rng).caption for canvas in (SMALL, TILE) for _ in range(300)]
    strange = [set(caption.replace(",", " ").replace("-", " ").split()) - words - {"16"} for caption in captions]
    assert sum(map(bool, strange)) / len(captions) == pytest.approx(FOREIGN_WORD, abs=0.04)


def test_a_name_is_painted_in_another_colour_only_where_it_stays_true(packed: PackedSet) -> None:
    ninja = next(subject_of(record) for record in packed.records if record.name == "ninja")
    assert in_colour(ninja, "blue") == replace(ninja, colours=("blue",))
    red = replace(ninja, name="red ninja with a white hat")
    painted = in_colour(red, "blue")
    assert painted is not None
    assert painted.name == "blue ninja with a white hat"
    assert in_colour(replace(red, name="ninja with a white hat"), "blue") is None


def test_the_caption_of_tests_names_colour_kind_and_view(packed: PackedSet) -> None:
    ninja = next(record for record in packed.records if record.name == "ninja" and record.view == "facing left")
    assert full_caption(subject_of(ninja)) == "pixel art, red ninja, person, standing, facing left"
    rng = np.random.default_rng(0)
    assert len({write_caption(subject_of(ninja), rng) for _ in range(20)}) > 5


def test_a_sprite_suits_a_canvas_that_it_fits_and_fills(packed: PackedSet) -> None:
    beast = next(record for record in packed.records if record.name.startswith("gray beast"))
    assert [str(canvas) for canvas in CANVASES if suits(beast, canvas)] == ["256x256", "320x320", "256x192", "320x192"]
    stone = next(record for record in packed.records if record.name == "stone")
    assert [canvas for canvas in CANVASES if suits(stone, canvas)] == [TILE]
    assert not suits(stone, FACE)
