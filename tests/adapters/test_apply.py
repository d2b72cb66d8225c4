"""A merged file draws what the live adapter draws, and another base's file is refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from spritelora.adapters.apply import apply_lora
from spritelora.adapters.export import adapter_tensors
from spritelora.errors import WeightsError
from spritelora.sdxl.base import load_unet
from tests.adapters.test_export import trained
from tests.adapters.test_lora import call


@pytest.fixture
def lora(unet, tmp_path: Path) -> Path:
    save_file(adapter_tensors(trained(unet), torch.float32), tmp_path / "lora.safetensors")
    return tmp_path / "lora.safetensors"


def test_a_merged_file_is_the_live_adapter_and_strength_0_is_the_base(base, unet, lora: Path) -> None:
    fresh = load_unet(base, torch.float32)
    untouched = call(fresh)
    apply_lora(fresh, lora, 0.0)
    assert call(fresh).equal(untouched)
    apply_lora(fresh, lora, 1.0)
    assert torch.allclose(call(fresh), call(unet), atol=1e-4)
    assert not torch.allclose(call(fresh), untouched, atol=1e-2)


def changed(lora: Path, **changes: object) -> Path:
    tensors = load_file(lora)
    (first, *_) = sorted(k for k in tensors if k.endswith("attn1_to_q.lora_up.weight"))
    module = first.removesuffix(".lora_up.weight")
    if "rename" in changes:
        tensors = {k.replace(module, str(changes["rename"])): v for k, v in tensors.items()}
    if "rows" in changes:
        tensors[first] = tensors[first][:-1].clone()
    save_file(tensors, lora)
    return lora


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rename": "lora_unet_input_blocks_8_1_to_q"}, "1 of its parts are no LoRA of a UNet"),
        ({"rows": True}, "a LoRA of another base: 1 of its"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(base, lora: Path, changes: dict, message: str) -> None:
    fresh = load_unet(base, torch.float32)
    before = call(fresh)
    with pytest.raises(WeightsError, match=message):
        apply_lora(fresh, changed(lora, **changes), 1.0)
    assert call(fresh).equal(before)


def test_what_is_no_safetensors_file_is_named(unet, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"no")
    with pytest.raises(WeightsError, match=r"a\.safetensors: "):
        apply_lora(unet, tmp_path / "a.safetensors", 1.0)
