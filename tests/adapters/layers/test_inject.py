"""A LoRA file on a UNet: off it is the base to the bit, on it is what was trained, in between in proportion."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from spritelora.adapters.files.lora_file import LoraFile, read_lora_file
from spritelora.adapters.files.lowrank import LowRank
from spritelora.adapters.layers.inject import check_fits, inject_loras, set_strength
from spritelora.adapters.layers.peft_layer import lora_layers
from spritelora.adapters.layers.proof import write_lora
from spritelora.errors import WeightsError
from spritelora.sdxl.files.base import load_unet
from spritelora.sdxl.text import TextEncoders
from tests.adapters.layers.test_lora import call, call_in_float64
from tests.adapters.layers.test_proof import trained
from tests.bounds import assert_same_function, exact_delta

pytestmark = pytest.mark.numeric


@pytest.fixture
def file(unet, tmp_path: Path) -> Path:
    """A LoRA of rank 4 with alpha 2, in full precision."""
    write_lora(tmp_path / "gems.safetensors", trained(unet, rank=4, alpha=2), torch.float32, {})
    return tmp_path / "gems.safetensors"


def test_on_is_what_was_trained_and_off_is_the_base_to_the_bit(base, unet, file: Path) -> None:
    fresh = load_unet(base, torch.float32)
    plain = call(fresh)
    names = inject_loras(fresh, [read_lora_file(file)], base.name)
    assert torch.equal(call(fresh), plain)
    set_strength(fresh, names, [1.0])
    assert not torch.allclose(call(fresh), plain, atol=1e-2)
    set_strength(fresh, names, [0.0])
    assert torch.equal(call(fresh), plain)
    set_strength(fresh, names, [1.0])
    assert_same_function(call_in_float64(fresh), call_in_float64(unet))


def test_strengths_scale_the_change_and_add_up(base, file: Path) -> None:
    lora, fresh = read_lora_file(file), load_unet(base, torch.float32)
    names = inject_loras(fresh, [lora, lora], base.name)
    fresh.double()
    set_strength(fresh, names, [0.5, 0.2])
    path = next(iter(lora.modules)).removeprefix("unet.")
    layer = lora_layers(fresh)[path]
    change = sum(layer.get_delta_weight(name) for name in names)  # pyright: ignore
    assert_same_function(change, 0.7 * exact_delta(lora.modules[f"unet.{path}"]))  # pyright: ignore
    halves = call(fresh)
    set_strength(fresh, names, [0.7, 0.0])
    assert_same_function(call(fresh), halves)


def test_layers_of_other_ranks_and_alphas_keep_theirs(base, file: Path) -> None:
    lora, fresh = read_lora_file(file), load_unet(base, torch.float32)
    first, second, *_ = lora.modules
    change = lora.modules[first]
    thin = LowRank(change.down[:1].clone(), change.up[:, :1].clone(), 3.0)
    uneven = replace(lora, modules={first: thin, second: lora.modules[second]})
    (name,) = inject_loras(fresh, [uneven], base.name)
    set_strength(fresh, [name], [1.0])
    layers = lora_layers(fresh.double())
    assert {f"unet.{path}" for path in layers} == {first, second}
    for module, expected in uneven.modules.items():
        found = layers[module.removeprefix("unet.")].get_delta_weight(name)  # pyright: ignore
        assert_same_function(found, exact_delta(expected))


def test_a_lora_of_another_base_is_named(base, file: Path) -> None:
    lora = read_lora_file(file)
    wide = {
        name: LowRank(torch.zeros(4, 640), torch.zeros(640, 4), 4.0) if change.down.ndim == 2 else change
        for name, change in lora.modules.items()
        if name.endswith("down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q")
    }
    with pytest.raises(
        WeightsError, match=r"a LoRA for SDXL, not for .*to_q is 640x640 in the file, 96x96 in the model"
    ):
        check_fits(load_unet(base, torch.float32), replace(lora, modules=wide), base.name)


def test_unknown_keys_and_other_families_are_refused(base, file: Path) -> None:
    fresh = load_unet(base, torch.float32)
    tensors = load_file(file)
    save_file({**tensors, "mystery": torch.zeros(1)}, file)
    with pytest.raises(WeightsError, match="1 unknown keys, such as mystery"):
        inject_loras(fresh, [read_lora_file(file)], base.name)
    flux = {f"lora_unet_double_blocks_0_img_attn_qkv.lora_{h}.weight": torch.zeros(4, 4) for h in ("down", "up")}
    save_file(flux, file)
    with pytest.raises(WeightsError, match="a LoRA for FLUX, not for SDXL"):
        inject_loras(fresh, [read_lora_file(file)], base.name)


def test_one_layer_that_does_not_fit_leaves_the_model_as_it_was(base, file: Path) -> None:
    lora, fresh = read_lora_file(file), load_unet(base, torch.float32)
    before = call(fresh)
    first, *_ = lora.modules
    change = lora.modules[first]
    narrow = replace(lora, modules={**lora.modules, first: replace(change, up=change.up[:-1])})
    other = "unet.down_blocks.1.attentions.7.proj_in"
    strange = replace(
        lora, modules={**lora.modules, other: change}, raw_names={**lora.raw_names, other: "lora_unet_input_blocks_4_7"}
    )
    for broken in (narrow, strange):
        with pytest.raises(WeightsError, match=r"gems\.safetensors: a LoRA for"):
            inject_loras(fresh, [lora, broken], base.name)
        assert not lora_layers(fresh)
        assert call(fresh).equal(before)


def test_text_encoder_layers_have_to_fit_their_encoder(base, file: Path) -> None:
    text = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj"
    lora = _of_text(read_lora_file(file), text)
    encoders = TextEncoders(base, torch.device("cpu"), torch.float32)
    check_fits(load_unet(base, torch.float32), lora, base.name)
    with pytest.raises(WeightsError, match=r"a LoRA for SDXL, not for .*q_proj is 768x768 in the file, 64x64"):
        check_fits(encoders.stack.text_encoder, lora, base.name, "text_encoder")


def _of_text(lora: LoraFile, name: str) -> LoraFile:
    change = LowRank(torch.zeros(4, 768), torch.zeros(768, 4), 4.0)
    return replace(lora, modules={name: change}, raw_names={name: name})
