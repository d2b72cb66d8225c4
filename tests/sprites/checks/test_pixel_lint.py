"""Every fault of an image that is planted is found, and sprites without one are left alone."""

import re
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw

from spritelora.sprites.checks.pixel_lint import lint_image
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.pixels.image import Pixels, read_sprite
from spritelora.sprites.pixels.native import detect_scale
from tests.sprites.checks.planting import (
    DCSS,
    as_jpeg,
    demo_sprites,
    draw_scene,
    drawn_sprites,
    enlarge,
    opaque,
    soften,
)

pytestmark = pytest.mark.numeric


def lint(image: Pixels) -> list[Finding]:
    return lint_image("sprite.png", image, detect_scale(image))


def times(sprite: Pixels, factor: int) -> Pixels:
    return sprite.repeat(factor, axis=0).repeat(factor, axis=1)


def single_pixel_on_twice_enlarged(sprite: Pixels) -> Pixels:
    image = times(sprite, 2)
    image[13, 15] = (255, 0, 255, 255)
    return image


def twice_enlarged_beside(sprite: Pixels) -> Pixels:
    image = np.zeros((32, 48, 4), dtype=np.uint8)
    image[8:24, :16], image[:, 16:] = sprite, times(sprite, 2)
    return image


def finer_detail_on_enlarged(sprite: Pixels) -> Pixels:
    image = times(sprite, 8)
    image[61:64, 60:63] = (255, 0, 255, 255)
    return image


def half_a_pixel_off(sprite: Pixels) -> Pixels:
    image = times(sprite, 8)
    image[:, 68:] = image[:, 64:-4].copy()
    return image


def smooth_discs(_: Pixels) -> Pixels:
    """What a drawing program with smoothing makes: discs at 16 times the size, averaged down to 32 px."""
    large = Image.new("RGB", (512, 512), (30, 40, 60))
    pencil = ImageDraw.Draw(large)
    for x, y, radius, colour in (
        (180, 200, 130, (220, 60, 50)),
        (330, 300, 140, (60, 200, 90)),
        (250, 400, 70, "white"),
    ):
        pencil.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)
    return opaque(np.asarray(large.resize((32, 32), Image.Resampling.BOX)))


def softened(sprite: Pixels) -> Pixels:
    return soften(times(sprite, 8), 8, (0, 0))


def dotted(sprite: Pixels) -> Pixels:
    """A sprite whose body has a colour of its own in every pixel, 300 in all, far apart from its neighbours'."""
    image = times(sprite, 2)
    colours = np.random.default_rng(0).integers(0, 256, (300, 3), dtype=np.uint8)
    image[4:24, 4:19, :3] = colours.reshape(20, 15, 3)
    return image


def half_transparent(sprite: Pixels) -> Pixels:
    image = sprite.copy()
    image[3, 2:7, 3] = 128
    return times(image, 4)


def enlarged_by_a_fraction(sprite: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(sprite).resize((75, 75), Image.Resampling.NEAREST))


PLANTED: list[tuple[str, Callable[[Pixels], Pixels], str]] = [
    ("mixels", single_pixel_on_twice_enlarged, r"are drawn in pixels 2 times as large as elsewhere"),
    ("mixels", twice_enlarged_beside, r"are drawn in pixels 2 times as large as elsewhere"),
    ("mixels", half_a_pixel_off, r"are drawn in pixels 2 times as large as elsewhere"),
    ("mixels", finer_detail_on_enlarged, r"% of the native pixels' inside has finer detail"),
    ("antialiased", smooth_discs, r"\d+ pixels along edges have colours in between"),
    ("antialiased", softened, r"\d+ pixels along edges have colours in between"),
    ("jpeg", lambda sprite: as_jpeg(times(sprite, 8)), r"compression noise in \d+%"),
    ("jpeg", as_jpeg, r"compression noise in \d+%"),
    ("too_many_colours", dotted, r"30\d colours, over 64: reduce it"),
    ("half_transparent", half_transparent, "5 half-transparent pixels"),
    ("uncertain_scale", enlarged_by_a_fraction, "factor that is no whole number: its smallest detail is 4 px"),
    ("uncertain_scale", lambda _: np.full((200, 300, 4), 255, np.uint8), "300x200 px with too few edges"),
    ("photograph", lambda _: draw_scene(400, np.random.default_rng(0)), "no native pixels in 400x400 px"),
    ("photograph", lambda _: as_jpeg(draw_scene(400, np.random.default_rng(1))), "no native pixels in 400x400 px"),
]


@pytest.mark.parametrize(("kind", "plant", "message"), PLANTED, ids=[f"{k}-{i}" for i, (k, _, _) in enumerate(PLANTED)])
def test_a_planted_fault_is_found(kind: str, plant: Callable[[Pixels], Pixels], message: str) -> None:
    findings = [finding for finding in lint(plant(drawn_sprites(1, seed=11)[0])) if finding.kind == kind]
    assert [finding.file for finding in findings] == ["sprite.png"]
    assert re.search(message, findings[0].message)


@pytest.mark.parametrize("plant", [as_jpeg, softened, half_transparent, twice_enlarged_beside])
def test_a_fault_is_found_in_nearly_every_sprite(plant: Callable[[Pixels], Pixels]) -> None:
    sprites = demo_sprites()[::3]
    assert sum(bool(lint(plant(sprite))) for sprite in sprites) >= 0.9 * len(sprites)


def test_clean_sprites_have_no_finding_at_any_scale() -> None:
    rng = np.random.default_rng(12)
    for sprite in (*demo_sprites(), *drawn_sprites(100, seed=12)):
        assert lint(sprite) == []
        assert lint(enlarge(sprite, int(rng.integers(2, 17)), rng)[0]) == []


def test_an_image_has_at_most_one_finding_of_a_kind() -> None:
    image = softened(drawn_sprites(1, seed=13)[0])
    image[60:70, 60:70, 3] = 100
    kinds = [finding.kind for finding in lint(image)]
    assert sorted(kinds) == sorted(set(kinds))
    assert {"antialiased", "half_transparent"} <= set(kinds)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 3), (9, 9)])
@pytest.mark.filterwarnings("error")
def test_any_size_is_taken(size: tuple[int, int]) -> None:
    assert lint(np.full((*size, 4), 255, dtype=np.uint8)) == []


@pytest.mark.skipif(not DCSS.is_dir(), reason="the shared sprites are not here")
def test_published_sprites_raise_few_alarms() -> None:
    files = sorted(DCSS.glob("*/*.png"))
    found = [finding for file in files for finding in lint(read_sprite(file))]
    kinds = Counter(finding.kind for finding in found)
    assert not {"mixels", "uncertain_scale", "photograph"} & set(kinds)
    assert kinds["jpeg"] + kinds["antialiased"] <= 0.08 * len(files)
    assert not [finding for finding in found if finding.severity is Severity.error]
