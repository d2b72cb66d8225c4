"""The base in 8 and 4 bits: what it computes, how it is loaded, what an adapter on it learns."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from spritelora.adapters.files.lora_file import read_lora_file
from spritelora.adapters.layers.inject import inject_loras, set_strength
from spritelora.adapters.layers.lora import adapter_parameters, add_lora, match_targets
from spritelora.adapters.layers.peft_layer import lora_layers
from spritelora.adapters.layers.proof import adapter_tensors, live_changes, prove_export, write_lora
from spritelora.config.train.hardware_keys import BaseFormat
from spritelora.errors import TrainingError, WeightsError
from spritelora.sdxl.files.base import BaseModel, Unet, find_base, load_unet
from spritelora.sdxl.layers.quantised import (
    load_quantised,
    pack,
    probe_quantised,
    quantise,
    quantised_layers,
    quantised_unet,
)
from spritelora.sdxl.sample import call_unet
from tests.bounds import assert_same_function, exact_delta
from tests.checkpoints import write_small

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")
FORMATS = [BaseFormat.int8, BaseFormat.nf4]
ONE_QUICK = [pytest.param(BaseFormat.int8, marks=pytest.mark.slow), BaseFormat.nf4]
NF4_LARGEST_GAP = 1 - 0.6961928
"""Between neighbours of its 16 values, Dettmers et al. 2023, arXiv:2305.14314, appendix E."""


def open_quantised(base: BaseModel, form: BaseFormat, dtype: torch.dtype = torch.float32) -> Unet:
    return quantised_unet(base, load_quantised(base, form, dtype, CPU), form, dtype)


def with_lora(unet: Unet) -> Unet:
    """A trained adapter, the same for every UNet of one structure."""
    add_lora(unet, match_targets(unet, ["to_q", "to_k", "to_v", "to_out.0"]), 4, 4.0, 0.0, seed=0)
    source = torch.Generator().manual_seed(1)
    for layer in lora_layers(unet).values():
        torch.nn.init.normal_(layer.lora_B["default"].weight, std=0.02, generator=source)
    return unet.train()


def predict(unet: Unet) -> Tensor:
    config, source = unet.config, torch.Generator().manual_seed(0)
    pooled = config["projection_class_embeddings_input_dim"] - 6 * config["addition_time_embed_dim"]
    shapes = [(1, 4, 8, 8), (1, 77, config["cross_attention_dim"]), (1, pooled)]
    noisy, text, embeds = (torch.randn(shape, generator=source).to(unet.dtype) for shape in shapes)
    conditions = {"text_embeds": embeds, "time_ids": torch.full((1, 6), 64.0)}
    predicted = call_unet(unet, noisy, torch.tensor([500]), text, conditions)
    return predicted if unet.dtype is torch.float64 else predicted.float()


def gradients(unet: Unet) -> Tensor:
    """Of one training step, all in a row."""
    with torch.autocast("cpu", unet.dtype, unet.dtype is not torch.float32):
        predict(unet).square().mean().backward()
    return torch.cat([p.grad.flatten() for p in adapter_parameters(unet) if p.grad is not None])


def distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


def dequantised(weight: Tensor, form: BaseFormat) -> Tensor:
    """What a weight is after quantisation, by what a layer makes of the unit vectors."""
    from bitsandbytes.functional import dequantize_4bit

    packed = pack(weight, form)
    if form is BaseFormat.nf4:
        return dequantize_4bit(packed.codes, packed.scales)
    return packed.codes.float() * packed.scales[:, None] / 127


def test_every_weight_is_as_near_as_its_format_allows(unet) -> None:
    widths = [{layer.in_features for layer in quantised_layers(unet, form).values()} for form in FORMATS]
    assert widths[0] - widths[1] == {96, 160}, "rows of one and a half blocks stay as they are in NF4"
    for layer in list(quantised_layers(unet, BaseFormat.nf4).values())[::5]:
        weight = layer.weight.detach()
        off = (dequantised(weight, BaseFormat.nf4) - weight).abs().view(-1, 64)
        largest = weight.abs().view(-1, 64).amax(1, keepdim=True)
        assert (off <= largest * (NF4_LARGEST_GAP / 2 + 0.02)).all()  # the scales are themselves in 8 bits
    for layer in list(quantised_layers(unet, BaseFormat.int8).values())[::20]:
        weight = layer.weight.detach()
        off = (dequantised(weight, BaseFormat.int8) - weight).abs()
        assert (off <= weight.abs().amax(1, keepdim=True) * (0.51 / 127 + 2**-11)).all()  # by way of fp16


@pytest.mark.parametrize("form", ONE_QUICK, ids=lambda f: f.value)
def test_gradients_are_off_by_what_quantisation_explains(base, form: BaseFormat) -> None:
    """They are those of the weights as quantised, and no further from the base's than with noise of the same size."""
    dtype = torch.bfloat16
    of_base, of_quantised = (
        gradients(with_lora(load_unet(base, dtype))),
        gradients(with_lora(open_quantised(base, form, dtype))),
    )
    rounded = load_unet(base, dtype)
    noises = [load_unet(base, dtype) for _ in range(2)]
    for path, layer in quantised_layers(rounded, form).items():
        weight = layer.weight.detach().float()
        layer.weight.data = dequantised(layer.weight.detach(), form).to(dtype)
        error = (layer.weight.float() - weight).norm()
        for number, noisy in enumerate(noises):
            noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(number))
            noisy.get_submodule(path).weight.data = (weight + noise * error / noise.norm()).to(dtype)
    rounding = distance(gradients(with_lora(load_unet(base, torch.float32))), of_base)
    assert distance(of_quantised, gradients(with_lora(rounded))) < 2 * rounding
    explained = max(distance(gradients(with_lora(noisy)), of_base) for noisy in noises)
    assert 0 < distance(of_quantised, of_base) < 1.5 * explained


@pytest.mark.parametrize("form", FORMATS, ids=lambda f: f.value)
def test_a_lora_trained_on_it_is_exported_and_draws_on_the_whole_base(base, form: BaseFormat, tmp_path: Path) -> None:
    trained = with_lora(open_quantised(base, form))
    optimizer = torch.optim.AdamW(adapter_parameters(trained), lr=1e-2)
    before = [p.detach().clone() for p in adapter_parameters(trained)]
    gradients(trained)
    optimizer.step()
    assert all(not torch.equal(a, b) for a, b in zip(before, adapter_parameters(trained), strict=True))
    prove_export(trained, adapter_tensors(trained, torch.float32))
    file = tmp_path / "lora.safetensors"
    write_lora(file, trained, torch.float32, {"ss_base_model_version": "sdxl_base_v1-0"})
    whole, live = load_unet(base, torch.float64), load_unet(base, torch.float64)
    names = inject_loras(whole, [read_lora_file(file)], base.name)
    set_strength(whole.double(), names, [1.0])
    for path, change in live_changes(trained).items():
        layer = live.get_submodule(path)
        layer.weight.data += exact_delta(change)  # pyright: ignore
    with torch.no_grad():
        assert_same_function(predict(whole), predict(live))


@pytest.mark.parametrize("form", ONE_QUICK, ids=lambda f: f.value)
def test_folder_and_single_file_give_the_same_and_share_their_memory(form: BaseFormat, tmp_path: Path) -> None:
    write_small(tmp_path)
    outputs = []
    for name in ("diffusers", "single.safetensors"):
        small = find_base(str(tmp_path / name), tokenizer=str(tmp_path / "diffusers" / "tokenizer"))
        weights = load_quantised(small, form, torch.float32, CPU)
        first, second = (quantised_unet(small, weights, form, torch.float32) for _ in range(2))
        with torch.no_grad():
            outputs += [predict(first), predict(second), predict(first)]
        path, layer = next(iter(quantised_layers(first, form).items()))
        assert layer.weight.data_ptr() == second.get_submodule(path).weight.data_ptr()
        assert not [n for n, p in first.named_parameters() if p.is_meta or p.requires_grad]
    outputs.append(predict(quantise(load_unet(small, torch.float32), form)).detach())
    assert all(torch.equal(outputs[0], other) for other in outputs[1:])


def test_only_the_transformers_matrices_are_quantised(base) -> None:
    from bitsandbytes.nn import Linear4bit

    unet = open_quantised(base, BaseFormat.nf4)
    packed = {name for name, module in unet.named_modules() if isinstance(module, Linear4bit)}
    assert packed == set(quantised_layers(load_unet(base, torch.float32), BaseFormat.nf4))
    assert all("attentions." in name for name in packed)
    assert {p.dtype for n, p in unet.named_parameters() if not p.dtype.is_floating_point} == {torch.uint8}


def test_a_device_without_kernels_is_named_with_what_to_take() -> None:
    with pytest.raises(
        TrainingError, match=r"hardware.base=nf4: bitsandbytes fails on meta \(.*\); take hardware.base=full"
    ):
        probe_quantised(BaseFormat.nf4, torch.device("meta"), torch.float32)


def test_weights_of_another_unet_are_refused(tmp_path: Path) -> None:
    write_small(tmp_path)
    config = tmp_path / "diffusers" / "unet" / "config.json"
    config.write_text(config.read_text().replace('"layers_per_block": 2', '"layers_per_block": 1'))
    with pytest.raises(WeightsError, match=r"not the UNet of its configuration: \d+ tensors differ, first"):
        load_quantised(find_base(str(tmp_path / "diffusers")), BaseFormat.nf4, torch.float32, CPU)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    write_small(tmp_path)
    small = find_base(str(tmp_path / "diffusers"))
    file = small.weights("unet")
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(
        WeightsError,
        match=r"diffusion_pytorch_model.safetensors: not a whole safetensors file: cut short.*fetch it again",
    ):
        load_quantised(small, BaseFormat.nf4, torch.float32, CPU)
