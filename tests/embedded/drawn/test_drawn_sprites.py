"""Drawn sprites are what their captions say, and the demo set is of a style of its own."""

from itertools import combinations

import numpy as np
import pytest

from spritelora.embedded.drawn import SpriteSpec, caption_words, draw_demo_set, draw_sprite, sample_spec, write_caption
from spritelora.embedded.drawn.demo import DEMO_GREENS
from spritelora.embedded.drawn.drawn_captions import NAME_COLOUR
from spritelora.embedded.drawn.drawn_sprite import draw_cells
from spritelora.embedded.drawn.material_grid import GRID_PX, Grid, Material
from spritelora.embedded.drawn.ramps import COLOURS
from spritelora.embedded.drawn.render import Style, double, render
from spritelora.embedded.drawn.subjects import SIDED_SUBJECTS, SUBJECTS


def cells_of(subject: str, form: float = 0.5) -> np.ndarray:
    grid = Grid(6.5, 6.5)
    SUBJECTS[subject](grid, form)
    return grid.cells


def test_a_seed_draws_the_same_sprite_and_caption_again() -> None:
    def draw(seed: int) -> tuple[bytes, str]:
        rng = np.random.default_rng(seed)
        spec = sample_spec(rng)
        return draw_sprite(spec, rng).tobytes(), write_caption(spec, rng)

    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subject_leaves_room_for_its_outline_unless_it_is_large(subject: str) -> None:
    rng = np.random.default_rng(0)
    for spec in (sample_spec(rng, subject) for _ in range(50)):
        cells = draw_cells(spec, rng)
        if spec.size == "large":
            continue
        border = np.concatenate([cells[0], cells[-1], cells[:, 0], cells[:, -1]])
        assert not border.any()
        assert (cells == Material.BODY).sum() >= 12


def test_silhouettes_of_two_subjects_differ() -> None:
    for first, second in combinations(SUBJECTS, 2):
        a, b = cells_of(first) > 0, cells_of(second) > 0
        assert (a & b).sum() / (a | b).sum() < 0.97, (first, second)


@pytest.mark.parametrize("style", [Style.SHADED, Style.FLAT, Style.BLACK_OUTLINE, Style.MONOCHROME, Style.DITHERED])
def test_the_colour_named_is_the_body_s(style: Style) -> None:
    for subject in SUBJECTS:
        cells = cells_of(subject)
        for colour in COLOURS.values():
            body = render(cells, style, colour, (255, 255, 255))[cells == Material.BODY]
            assert (body == colour).all(1).mean() > 0.1


def test_a_doubled_grid_keeps_its_blocks_and_smooths_its_stairs() -> None:
    corner = double(np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]], np.uint8))
    assert corner[2:4, 2:4].tolist() == [[1, 0], [0, 0]]
    assert corner[:2, :2].tolist() == [[1, 1], [1, 1]]
    blocks = np.kron(np.array([[1, 2], [3, 4]], np.uint8), np.ones((3, 3), np.uint8))
    np.testing.assert_array_equal(double(blocks), np.kron(blocks, np.ones((2, 2), np.uint8)))


@pytest.mark.parametrize("style", list(Style))
def test_a_doubled_sprite_has_the_colours_of_the_sprite(style: Style) -> None:
    spec = SpriteSpec("potion", "red", style, "white", "large", "")
    small, large = (draw_sprite(spec, np.random.default_rng(5), is_doubled) for is_doubled in (False, True))
    assert large.shape == (32, 32, 3)
    of_small, of_large = ({tuple(c) for c in image.reshape(-1, 3).tolist()} for image in (small, large))
    assert of_small <= of_large


@pytest.mark.parametrize("subject", sorted(SIDED_SUBJECTS))
def test_facing_left_mirrors_facing_right(subject: str) -> None:
    right, left = (
        draw_cells(SpriteSpec(subject, "red", Style.FLAT, "white", "large", facing), np.random.default_rng(3))
        for facing in ("right", "left")
    )
    assert (left == right[:, ::-1]).all()
    assert (left != right).any()


def test_a_caption_names_the_subject_always_and_no_other_colour_ever() -> None:
    rng = np.random.default_rng(1)
    named = 0
    for _ in range(2000):
        spec = sample_spec(rng)
        caption = write_caption(spec, rng)
        words = (
            caption.replace(f"{spec.background} background", "").replace("black outline", "").replace(",", "").split()
        )
        assert spec.subject in words
        assert not (set(COLOURS) - {spec.colour}) & set(words)
        named += spec.colour in words
    assert abs(named / 2000 - NAME_COLOUR) < 0.03


def test_the_caption_words_are_single_lower_case_words() -> None:
    words = caption_words()
    assert {*SUBJECTS, *COLOURS, "pixel", "art", "facing"} <= set(words)
    assert all(word.isalpha() and word.islower() for word in words)


def test_the_demo_set_has_every_subject_in_four_greens_that_the_base_never_uses() -> None:
    pairs = draw_demo_set()
    assert 48 <= len(pairs) <= 64
    greens = {tuple(green) for green in DEMO_GREENS.tolist()}
    for image, _ in pairs:
        assert (image.size, image.mode) == ((GRID_PX, GRID_PX), "RGB")
        assert {tuple(colour) for colour in np.asarray(image).reshape(-1, 3).tolist()} <= greens
    assert {caption.split()[-1] for _, caption in pairs} == set(SUBJECTS)
    rng = np.random.default_rng(2)
    drawn = np.stack([draw_sprite(sample_spec(rng), rng) for _ in range(500)]).reshape(-1, 3)
    assert not greens & {tuple(colour) for colour in np.unique(drawn, axis=0).tolist()}
