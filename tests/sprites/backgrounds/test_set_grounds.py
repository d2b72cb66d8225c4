"""A set tells whose a ground is: it is cut out where it is nobody's, and named where it may be a sprite's."""

from collections.abc import Sequence

import numpy as np
import pytest

from spritelora.sprites.backgrounds.candidate import Cutting, find_candidate, parse_cutting
from spritelora.sprites.backgrounds.ground import Colour
from spritelora.sprites.backgrounds.set_grounds import SetGrounds, settle_grounds
from spritelora.sprites.backgrounds.treatment import Treatment
from spritelora.sprites.findings import Finding
from spritelora.sprites.pixels.image import Pixels, read_sprite
from spritelora.sprites.pixels.matte import sprite_colours
from spritelora.sprites.pixels.outline import flood_border
from tests.conftest import ROOT
from tests.sprites.backgrounds.test_ground import DARK, MAGENTA, RED, TEAL, WHITE, drawn_on, figure

DATA = next((p for up in ROOT.parents if (p := up / "shared" / "data").is_dir()), None)
NAVY, GREY, NIGHT = (0, 0, 255), (128, 128, 128), (20, 27, 27)
GROUNDS = [WHITE, MAGENTA, (0, 255, 0), (0, 255, 255), NAVY, GREY, (192, 192, 192), TEAL]
KEYS = [MAGENTA, (0, 255, 0), (0, 255, 255), NAVY, TEAL]


def settle(sprites: Sequence[Pixels], wish: Cutting = Cutting()) -> SetGrounds:  # noqa: B008 (frozen)
    found = [find_candidate(f"{i:03d}.png", s, sprite_colours(s), wish) for i, s in enumerate(sprites)]
    return settle_grounds(found, wish)


def masks(sprites: Sequence[Pixels], grounds: SetGrounds) -> list[np.ndarray]:
    return [Treatment(grounds.grounds.get(f"{i:03d}.png")).apply(s)[..., 3] > 0 for i, s in enumerate(sprites)]


def kinds(findings: Sequence[Finding]) -> list[str]:
    return [f.kind for f in findings]


def test_drawn_sprites_on_eight_colours_get_their_own_outline_back_to_the_bit() -> None:
    pairs = drawn_on(GROUNDS, 300)
    sprites = [sprite for sprite, _ in pairs]
    grounds = settle(sprites)
    asked = settle(sprites, Cutting(holes=True))
    assert len(grounds.grounds) == len(asked.grounds) == 300
    num_holed = num_left = 0
    for i, (cut, cut_all, (sprite, covered)) in enumerate(
        zip(masks(sprites, grounds), masks(sprites, asked), pairs, strict=True)
    ):
        holes = ~covered & ~flood_border(~covered)
        num_holed += bool(holes.any())
        is_left = not np.array_equal(cut, covered)
        if is_left:  # holes of a colour that figures have too: they are named, and cut out where that is asked for
            assert np.array_equal(cut, covered | holes)
            assert not grounds.grounds[f"{i:03d}.png"].holes
            num_left += 1
        own = (sprite[..., :3] == GROUNDS[i % 8]).all(axis=-1) & covered
        assert np.array_equal(cut_all, covered & ~own)
    assert 0 < num_left < num_holed < 20
    assert kinds(grounds.findings) == ["cut_background", "enclosed_background"]
    assert "cut_holes=true" in grounds.findings[-1].message


def test_a_key_colour_in_a_hole_is_no_part_of_a_figure_unless_it_has_others_like_it() -> None:
    holed, pink = figure(MAGENTA), figure(MAGENTA)
    holed[6:8, 6:8, :3] = MAGENTA
    pink[6:8, 6:8, :3] = MAGENTA
    pink[5, 5:8, :3] = (200, 0, 190)
    grounds = settle([holed, pink])
    assert [g.holes for g in grounds.grounds.values()] == [True, False]
    assert kinds(grounds.findings) == ["cut_background", "enclosed_background"]


def noisy(sprite: Pixels, rng: np.random.Generator) -> Pixels:
    """The native pixels that a JPEG of a sprite leaves."""
    changed = sprite.astype(np.int16)
    changed[..., :3] += rng.integers(-3, 4, (*sprite.shape[:2], 3), dtype=np.int16)
    return changed.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("is_soft", [False, True])
def test_figures_on_magenta_are_cut_out_also_where_they_cover_their_border(is_soft: bool) -> None:
    rng = np.random.default_rng(0)
    wide, full = figure(MAGENTA), figure(MAGENTA)
    wide[2:-2, :6] = RED  # its left side touches the border
    full[:] = RED
    full[:2, :2] = (*MAGENTA, 255)
    sprites = [noisy(s, rng) if is_soft else s for s in (wide, full)]
    others = [figure(c) for c in (WHITE, GREY, NIGHT) for _ in range(20)]
    wish = Cutting()
    found = [find_candidate(f"{i:03d}.png", s, sprite_colours(s), wish, is_soft) for i, s in enumerate(sprites)]
    found += [find_candidate(f"{i:03d}.png", s, sprite_colours(s), wish) for i, s in enumerate(others, len(sprites))]
    cut = masks(sprites, settle_grounds(found, wish))
    assert np.array_equal(cut[0], (wide[..., :3] != MAGENTA).any(axis=-1))
    assert np.array_equal(cut[1], (full[..., :3] != MAGENTA).any(axis=-1))


def test_a_figure_with_a_ramp_of_magenta_that_covers_its_border_stays_and_is_named() -> None:
    sprite = figure(MAGENTA)
    sprite[2:-2, :6] = RED
    sprite[6:8, 6:8, :3] = (200, 0, 190)
    settled = settle([sprite])
    assert not settled.grounds
    assert kinds(settled.findings) == ["boxed_background"]
    assert "cut_background=#ff00ff" in settled.findings[0].message


def test_a_figure_with_the_grounds_colour_inside_is_cut_out_where_an_outline_parts_them() -> None:
    sealed, bare = figure(WHITE), figure(WHITE)
    for sprite in (sealed, bare):
        sprite[6:8, 6:8, :3] = 255
    bare[3:-3, 3:4] = bare[3:4, 3:-3] = (250, 230, 240, 255)  # a light edge: the white may go on to the border
    grounds = settle([sealed, bare])
    assert list(grounds.grounds) == ["000.png"]
    (boxed,) = (f for f in grounds.findings if f.kind == "boxed_background")
    assert boxed.file == "001.png"
    assert "cut_background=#ffffff" in boxed.message
    assert not grounds.grounds["000.png"].holes


def test_sprites_on_the_colour_of_their_own_outlines_stay_and_are_named() -> None:
    """Of drawn sprites each on a colour of its own edge; nothing of theirs is lost where that colour is inside, too."""
    sprites: list[Pixels] = []
    for sprite, covered in drawn_on([(1, 2, 3)], 60, seed=5):
        edge = covered & ~np.pad(covered, 1)[2:, 1:-1]
        colours, counts = np.unique(sprite[edge][:, :3], axis=0, return_counts=True)
        own = sprite.copy()
        own[~covered, :3] = colours[counts.argmax()]
        own[7:9, 7:9, :3] = colours[counts.argmax()]  # and inside
        own[6:10, [6, 10], :3] = own[[6, 10], 6:10, :3] = (230, 200, 190)
        sprites.append(own)
    grounds = settle(sprites)
    assert grounds.grounds == {}
    (boxed,) = grounds.findings
    assert boxed.kind == "boxed_background"
    assert boxed.message.startswith("kept the backgrounds of 60 sprites, which may be part of the drawing")


def test_an_outline_colour_that_is_the_grounds_keeps_a_whole_set() -> None:
    dark = [figure(NIGHT, 12 + i % 3) for i in range(12)]
    for sprite in dark:
        sprite[3:-3, 3:-3] = RED
    assert len(settle(dark).grounds) == 12
    for sprite in dark[:3]:
        sprite[5:7, 5, :3] = NIGHT  # eyes
    kept = settle(dark)
    assert kept.grounds == {}
    assert kinds(kept.findings) == ["boxed_background"]


def test_floors_and_few_among_many_stay() -> None:
    earth: Colour = (118, 59, 54)
    tile = np.full((14, 14, 4), (*earth, 255), dtype=np.uint8)
    assert settle([tile, tile, figure(earth), figure(earth)]).grounds == {}  # tiles are full of it
    clear = figure(WHITE)
    clear[clear[..., 0] == 255] = 0
    icon = settle([*[clear] * 30, figure(earth)])
    assert icon.grounds == {}
    assert [f.kind for f in icon.findings] == ["boxed_background"]
    assert list(settle([*[clear] * 30, figure(MAGENTA), figure(WHITE)]).grounds) == ["030.png", "031.png"]


def test_many_on_one_ground_tell_it_to_those_that_cover_their_border() -> None:
    sprites = [figure(GREY) for _ in range(10)]
    standing_on_it = figure(GREY)
    standing_on_it[9:, 4:-4] = RED
    grounds = settle([*sprites, standing_on_it])
    assert len(grounds.grounds) == 11
    wall = np.full((14, 14, 4), RED, dtype=np.uint8)
    wall[:2, :2, :3] = MAGENTA
    of_key = settle([*[figure(MAGENTA)] * 10, wall])
    assert len(of_key.grounds) == 11
    assert int((masks([*[figure(MAGENTA)] * 10, wall], of_key)[-1] == 0).sum()) == 4


def test_a_colour_that_is_typed_is_cut_out_whatever_it_may_be() -> None:
    night = figure(NIGHT)
    night[6, 6, :3] = NIGHT
    sky = figure(NIGHT)
    sky[10:] = DARK
    assert settle([night, sky]).grounds == {}
    typed = settle([night, sky], parse_cutting("#141b1b", holes=True))
    assert len(typed.grounds) == 2
    assert all(g.holes for g in typed.grounds.values())
    assert settle([night, sky], parse_cutting("keep", holes=False)) == SetGrounds({}, [])
    missing = settle([night, sky], parse_cutting("#00ff00", holes=False))
    assert "cut_background=#00ff00" in missing.findings[0].message
    with pytest.raises(ValueError, match=r"#rrggbb.*auto.*keep"):
        parse_cutting("white", holes=False)


@pytest.mark.skipif(DATA is None, reason="needs ../shared/data, real sprites that are no part of the project")
@pytest.mark.parametrize(
    "name", ["cc0_small/portraits", "cc0_small/dungeon", "packs/tiny-dungeon/Tiles", "packs/ninja-monsters", "dcss"]
)
def test_real_tiles_and_portraits_stay_whole(name: str) -> None:
    sprites = [read_sprite(file) for file in sorted((DATA / name).rglob("*.png"))]  # pyright: ignore
    assert len(sprites) >= 83
    assert settle(sprites).grounds == {}
