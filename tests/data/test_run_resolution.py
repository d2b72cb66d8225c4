"""model.resolution=auto: the square of the base that the sprites fit by whole latent cells."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spritelora.commands.prepare.prepare import prepare
from spritelora.config.commands.prepare import PrepareConfig
from spritelora.config.train.schema import TrainConfig
from spritelora.data.run_resolution import settle_resolution
from spritelora.embedded.drawn import draw_demo_set
from spritelora.embedded.location import write_canvases
from spritelora.errors import ResumeError
from spritelora.runs.record import RunRecord
from tests.composing import compose
from tests.records import a_record

Settled = Callable[..., TrainConfig]


def write(folder: Path, sizes: list[tuple[int, int]], scale: int = 1) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number, (width, height) in enumerate(sizes):
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8).repeat(scale, 0).repeat(scale, 1)
        name = f"thing{chr(97 + number)}"
        Image.fromarray(pixels).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(f"pixel art, {name}\n")
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bases") / "four squares"
    folder.mkdir()
    write_canvases(folder, [*((side, side) for side in (128, 192, 256, 320)), (128, 192), (192, 128)])
    return folder


@pytest.fixture
def settled(base: Path) -> Settled:
    def settle(folder: Path, *more: str) -> TrainConfig:
        return settle_resolution(compose(f"model.path={base}", f"data.path={folder}", *more))

    return settle


@pytest.mark.parametrize(
    ("sizes", "side_px"),
    [
        ([(16, 16)] * 4, 128),
        ([(12, 9)] * 4, 128),
        ([(24, 24), (16, 16)], 192),
        ([(32, 32), (20, 31)], 256),
        ([(38, 38)], 320),
        ([(64, 64)], 320),
        ([(16, 16)] * 19 + [(30, 44)], 128),
        ([(16, 24)] * 4, 128),
    ],
    ids=["16", "small", "24", "32", "38", "larger than all", "one is too large", "tall ones have a canvas beside it"],
)
def test_the_smallest_square_that_most_sprites_fit(
    sizes: list[tuple[int, int]], side_px: int, settled: Settled, tmp_path: Path
) -> None:
    assert settled(write(tmp_path / "art", sizes)).model.side_px == side_px


def test_enlarged_sprites_count_by_their_own_pixels(settled: Settled, tmp_path: Path) -> None:
    assert settled(write(tmp_path / "art", [(32, 32)] * 3, scale=4)).model.side_px == 256


def test_what_is_asked_for_stays_and_the_one_that_is_included_counts(settled: Settled, tmp_path: Path) -> None:
    folder = write(tmp_path / "art", [(16, 16)] * 19 + [(24, 24)])
    assert settled(folder, "model.resolution=320").model.side_px == 320
    assert settled(folder).model.side_px == 192
    assert settled(folder, "data.include=[thinga]").model.side_px == 192


def test_canvases_that_are_typed_choose_the_square_of_their_area(settled: Settled, tmp_path: Path) -> None:
    folder = write(tmp_path / "art", [(16, 30)] * 3)
    assert settled(folder, "data.shapes=[192x320]").model.side_px == 192
    assert settled(folder, "data.shapes=[wide]").model.side_px == 320


def test_a_prepared_set_is_shown_as_it_was_prepared(settled: Settled, tmp_path: Path) -> None:
    art = write(tmp_path / "art", [(16, 16)] * 12)
    for asked, side_px in ((256, 256), (1024, 128)):
        folder = tmp_path / f"at_{asked}"
        prepare(PrepareConfig(input=str(art), output=str(folder), resolution=asked, workers=1))
        assert settled(folder).model.side_px == side_px


def test_a_base_says_which_squares_it_knows(settled: Settled, tmp_path: Path) -> None:
    art, other = write(tmp_path / "art", [(16, 16)] * 3), tmp_path / "base"
    other.mkdir()
    assert settled(art, f"model.path={other}").model.side_px == 1024
    write_canvases(other, [(192, 192)])
    assert settled(art, f"model.path={other}").model.side_px == 192


def test_the_demo_set_has_8_px_to_a_pixel(tmp_path: Path) -> None:
    native_px = draw_demo_set()[0][0].width
    assert settle_resolution(compose(f"data.cache={tmp_path}")).model.side_px == 8 * native_px


def test_a_run_goes_on_at_the_size_that_it_recorded(base: Path, tmp_path: Path) -> None:
    art, run = write(tmp_path / "art", [(16, 16)] * 3), tmp_path / "run"
    run.mkdir()
    plain = a_record(settings={"model": {"resolution": 64}}).as_plain
    (run / "run.json").write_text(json.dumps(plain))
    config = compose(f"model.path={base}", f"data.path={art}")
    config.resume = str(run)
    assert settle_resolution(config).model.side_px == 64
    plain["settings"]["model"]["resolution"] = "auto"
    (run / "run.json").write_text(json.dumps(plain))
    with pytest.raises(ResumeError, match=r"settings\.model\.resolution must be a number.*resume from"):
        RunRecord.read(run)
