"""The four questions: answered from images whose answers are known."""

import json
from collections.abc import Sequence

import numpy as np
import pytest

from spritelora.embedded.drawn import draw_demo_set, draw_sprite, sample_spec
from spritelora.evaluation.colour_distance import ColourTarget, profiles_of
from spritelora.evaluation.colours import palette_of
from spritelora.evaluation.grid import Grid
from spritelora.evaluation.measure import Reference
from spritelora.evaluation.memorisation import SpriteIndex
from spritelora.evaluation.statistics import Outcome
from spritelora.evaluation.unmeasured import left_out, why_missing
from spritelora.evaluation.validation import (
    DrawnSet,
    Validation,
    against_base,
    best_strength,
    changes_nothing,
    measure_set,
    usable,
)
from spritelora.evaluation.validation_record import make_record
from spritelora.sprites.pixels.image import Pixels, scale_nearest

pytestmark = pytest.mark.numeric

NUM = 8
GREENS = [np.asarray(image) for image, _ in draw_demo_set()]
TRAINING, UNSEEN = GREENS[:40], GREENS[40:]
REFERENCE = Reference(palette_of(TRAINING), SpriteIndex(TRAINING))
TARGET = ColourTarget(profiles_of(TRAINING))


def colourful(count: int, seed: int = 0) -> list[Pixels]:
    rng = np.random.default_rng(seed)
    return [draw_sprite(sample_spec(rng), rng)[..., :3] for _ in range(count)]


def drawn(natives: Sequence[Pixels]) -> DrawnSet:
    return measure_set([scale_nearest(n, 8) for n in natives], REFERENCE, Grid(8))


def shifted(natives: Sequence[Pixels], by: int) -> list[Pixels]:
    """The same, their colours off by a few code values."""
    return [np.clip(n.astype(int) + by, 0, 255).astype(np.uint8) for n in natives]


def validation(base: DrawnSet | None, **strengths: DrawnSet) -> Validation:
    by_strength = {float(name.removeprefix("s")) / 10: d for name, d in strengths.items()}
    is_seen = np.arange(2 * NUM) < NUM
    return Validation([f"prompt {i}" for i in range(2 * NUM)], is_seen, base, by_strength, 6, TARGET)


BASE = drawn(colourful(2 * NUM))


def noise(count: int, seed: int = 0) -> list[Pixels]:
    """Images of 16 px without a grid: each pixel is another colour."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (16, 16, 3), dtype=np.uint8) for _ in range(count)]


def without_grid() -> Validation:
    """A validation of images in which no native pixels are found."""
    base, ours = (measure_set(noise(2 * NUM, seed), REFERENCE, None) for seed in (0, 1))
    return validation(base, s10=ours)


def test_identical_images_give_no_difference_and_no_best_strength() -> None:
    same = validation(BASE, s5=drawn(colourful(2 * NUM)), s10=drawn(colourful(2 * NUM)))
    assert changes_nothing(same)
    assert best_strength(same) is None
    for comparison in against_base(same, 1.0).values():
        assert comparison.num_pairs == 0 or comparison.low <= 0 <= comparison.high
        assert comparison.outcome in (Outcome.NO_DIFFERENCE, Outcome.TOO_FEW)
    assert make_record(same, {}, [])["best_strength"] is None


def test_the_best_strength_is_the_lowest_that_is_as_good_as_the_best() -> None:
    near, far = drawn(shifted(UNSEEN[: 2 * NUM], 12)), drawn(shifted(UNSEEN[: 2 * NUM], 40))
    exact = drawn(UNSEEN[: 2 * NUM])
    assert best_strength(validation(BASE, s5=far, s8=near, s10=exact)) == 1.0
    assert best_strength(validation(BASE, s5=far, s8=exact, s10=exact, s12=near)) == 0.8


def test_usable_is_one_colour_a_cell_and_few_of_them() -> None:
    flat, rng = UNSEEN[0], np.random.default_rng(0)
    many = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    rough = np.clip(scale_nearest(flat, 8) + rng.normal(0, 25, (128, 128, 3)), 0, 255).astype(np.uint8)
    images = [scale_nearest(flat, 8), scale_nearest(many, 8), rough]
    assert usable(measure_set(images, REFERENCE, Grid(8)), max_colours=16).tolist() == [True, False, False]


def test_the_record_is_strict_json_and_its_means_are_those_of_its_values() -> None:
    record = make_record(validation(BASE, s5=BASE, s10=drawn(UNSEEN[: 2 * NUM])), {"steps": 3}, [])
    again = json.loads(json.dumps(record, allow_nan=False))
    assert (again["best_strength"], again["shown_strength"], again["settings"]) == (1.0, 1.0, {"steps": 3})
    colours = again["colour_distance"]
    assert colours["by_strength"]["1"]["value"] < colours["training_sprites"] + 0.05 < colours["base"]
    assert colours["by_strength"]["1"]["against_base"]["high"] < 0
    assert again["shares"]["1"]["colour_distance"] == colours["by_strength"]["1"]["value"]
    found = again["metrics"]["palette_distance"]["by_strength"]["1"]
    assert found["mean"] == pytest.approx(np.mean(found["values"]))
    assert found["low"] <= found["mean"] <= found["high"]
    against = found["against_base"]
    assert against["difference"] == pytest.approx(against["lora"] - against["base"])
    assert against["high"] < 0
    assert again["shares"]["1"]["usable"] == 1.0


def test_reasons_say_whose_images_lack_what() -> None:
    nan, one = np.full(3, np.nan), np.ones(3)
    grid = {"snap_residual": one, "halo": one, "copy_distance": one, "phase_px": one}
    none = {"snap_residual": nan, "halo": nan, "copy_distance": nan, "phase_px": nan}
    assert why_missing(grid, grid) == {}
    assert why_missing(grid, none)["snap_residual"] == "in the LoRA's images no grid of native pixels was found"
    assert why_missing(none, grid)["phase_px"].startswith("in the base's images no grid")
    assert "plain background" in why_missing(grid, {**grid, "halo": nan})["halo"]
    assert "more native pixels than the training sprites" in why_missing(none, none)["copy_distance"]
    assert "no edge" in why_missing(grid, {**grid, "phase_px": nan})["phase_px"]
    apart = ({"seam": np.array([1.0, np.nan])}, {"seam": np.array([np.nan, 1.0])})
    assert why_missing(*apart) == {"seam": "no pair has it on both sides"}
    assert left_out({}) == ""
