"""Merges and resized LoRAs hold the changes that they should, and the loss told is the loss."""

from pathlib import Path

import pytest
import torch

from spritelora.adapters.files.formats import write_form
from spritelora.adapters.files.lora_file import Form, LoraFile, read_lora_file
from spritelora.adapters.files.lowrank import LowRank, distance
from spritelora.adapters.files.merge import merge_loras, merged_metadata, resize, total_loss
from spritelora.adapters.layers.proof import live_changes
from spritelora.errors import WeightsError
from spritelora.sdxl.files.base import load_unet
from tests.adapters.layers.test_proof import trained
from tests.bounds import assert_within, exact_delta, half_the_digits, magnitude, rounding, size_error, stored_error

pytestmark = pytest.mark.numeric

FORMATS = [torch.float32, torch.float16]


@pytest.fixture(scope="module")
def files(base, tmp_path_factory: pytest.TempPathFactory) -> list[LoraFile]:
    """Two LoRAs of other ranks, alphas and layers, convolutions among them."""
    loras, folder = [], tmp_path_factory.mktemp("merge")
    for i, (rank, alpha) in enumerate(((4, 2.0), (6, 9.0))):
        live = live_changes(trained(load_unet(base, torch.float32), rank, alpha, seed=i))
        modules = {f"unet.{p}": c for n, (p, c) in enumerate(live.items()) if n % 3 != i}
        metadata = {"modelspec.title": "ab"[i], "ss_seed": "0", "ss_sd_model_name": "tiny", "ss_steps": str(i)}
        metadata["modelspec.trigger_phrase"] = ("pixel art", "gem")[i]
        write_form(folder / f"{i}.safetensors", Form.kohya, modules, torch.float32, metadata)
        loras.append(read_lora_file(folder / f"{i}.safetensors"))
    return loras


@pytest.mark.parametrize("dtype", FORMATS)
def test_one_lora_at_strength_1_stays_what_it_is(files: list[LoraFile], tmp_path: Path, dtype: torch.dtype) -> None:
    write_form(tmp_path / "m.safetensors", Form.kohya, merge_loras([(files[0], 1.0)]), dtype, {})
    again = read_lora_file(tmp_path / "m.safetensors").modules
    for name, change in files[0].modules.items():
        assert distance(again[name], change) <= stored_error(change, dtype) + size_error(change, change)


@pytest.mark.parametrize("dtype", FORMATS)
def test_the_same_rank_gives_the_same_deltas(files: list[LoraFile], tmp_path: Path, dtype: torch.dtype) -> None:
    resized, losses = resize(files[0].modules, 4)
    for name, loss in losses.items():  # factors are rounded to fp32 when they are cut, and when alphas are evened
        change = files[0].modules[name]
        assert loss.missing <= 2 * stored_error(resized[name], torch.float32) + size_error(change, change)
    write_form(tmp_path / "r.safetensors", Form.kohya, resized, dtype, {})
    again = read_lora_file(tmp_path / "r.safetensors").modules
    for name, change in files[0].modules.items():
        bound = stored_error(resized[name], dtype) + 2 * stored_error(resized[name], torch.float32)
        assert distance(again[name], change) <= bound + size_error(change, change)


def test_a_merge_is_the_weighted_sum(files: list[LoraFile]) -> None:
    merged = merge_loras([(files[0], 0.8), (files[1], -0.5)])
    assert merged.keys() == files[0].modules.keys() | files[1].modules.keys()
    assert len({change.alpha for change in merged.values()}) == 1
    for name, change in merged.items():
        parts = [(f.modules[name], s) for f, s in zip(files, (0.8, -0.5), strict=True) if name in f.modules]
        expected = sum(s * exact_delta(part) for part, s in parts)
        assert change.rank == sum(part.rank for part, _ in parts)
        # Each factor is multiplied in fp32 by a root for the sum and by one for an even alpha.
        bound = rounding(8) * sum(abs(s) * magnitude(part) for part, s in parts)
        assert_within(exact_delta(change), expected, bound)  # pyright: ignore


def test_the_loss_told_is_the_distance(files: list[LoraFile]) -> None:
    merged = merge_loras([(file, 1.0) for file in files])
    resized, losses = resize(merged, 3)
    assert {change.rank for change in resized.values()} == {3}
    for name, loss in losses.items():
        gone = (exact_delta(merged[name]) - exact_delta(resized[name])).norm()
        evened = stored_error(resized[name], torch.float32)  # after the loss was told
        assert loss.missing == pytest.approx(float(gone), rel=half_the_digits(torch.float64), abs=evened)
        assert loss.whole == pytest.approx(float(exact_delta(merged[name]).norm()), rel=half_the_digits(torch.float64))
    whole = total_loss(losses)
    assert whole.share == pytest.approx(whole.missing / whole.whole)
    assert 0 < whole.share < 1


def test_metadata_of_a_merge_is_what_holds_for_all(files: list[LoraFile]) -> None:
    loras = [(files[0], 0.8), (files[1], 0.5)]
    metadata = merged_metadata(loras, merge_loras(loras), "both")
    assert metadata["modelspec.merged_from"] == "a (0.8), b (0.5)"
    assert metadata["modelspec.trigger_phrase"] == "pixel art, gem"
    assert (metadata["modelspec.title"], metadata["ss_sd_model_name"]) == ("both", "tiny")
    assert (metadata["ss_network_dim"], metadata["ss_network_alpha"]) == ("Dynamic", "10")
    assert metadata["ss_base_model_version"] == "sdxl_spritelora_tiny"
    assert not {"ss_seed", "ss_steps", "sshs_model_hash"} & metadata.keys()
    alone = merged_metadata([(files[0], 1.0)], merge_loras([(files[0], 1.0)]), "new")
    assert (alone["ss_seed"], alone["ss_network_dim"], alone["ss_network_alpha"]) == ("0", "4", "2")
    assert "modelspec.merged_from" not in alone


def test_loras_of_two_bases_are_not_merged(files: list[LoraFile], tmp_path: Path) -> None:
    modules = {"unet.down_blocks.1.attentions.0.proj_in": LowRank(torch.ones(2, 640), torch.ones(640, 2), 2.0)}
    write_form(tmp_path / "full.safetensors", Form.kohya, modules, torch.float32, {})
    other = read_lora_file(tmp_path / "full.safetensors")
    with pytest.raises(WeightsError, match=r"different bases: .*0.safetensors for the embedded tiny SDXL, .* for SDXL"):
        merge_loras([(files[0], 1.0), (other, 1.0)])


def test_a_layer_that_is_not_finite_cannot_be_resized(files: list[LoraFile]) -> None:
    broken = LowRank(torch.full((2, 24), float("nan")), torch.ones(40, 2), 2.0)
    with pytest.raises(WeightsError, match=r"unet\.conv_in holds values that are not finite"):
        resize({**files[0].modules, "unet.conv_in": broken}, 2)


def test_one_layer_of_two_shapes(tmp_path: Path) -> None:
    for i, width in enumerate((9, 1)):
        modules = {"unet.conv_in": LowRank(torch.ones(2, 4, width, 1), torch.ones(48, 2, 1, 1), 2.0)}
        write_form(tmp_path / f"{i}.safetensors", Form.kohya, modules, torch.float32, {})
    pair = [(read_lora_file(tmp_path / f"{i}.safetensors"), 1.0) for i in range(2)]
    with pytest.raises(WeightsError, match=r"unet.conv_in of .*: shapes"):
        merge_loras(pair)
