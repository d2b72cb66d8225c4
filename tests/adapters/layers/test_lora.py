"""The adapter: where it goes on SDXL, that a new one changes nothing, and that its numbers come from the seed."""

from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from spritelora.adapters.files.lowrank import LowRank
from spritelora.adapters.layers.live import live_delta
from spritelora.adapters.layers.lora import (
    adapter_parameters,
    add_lora,
    check_rank,
    factors,
    match_targets,
)
from spritelora.adapters.layers.peft_layer import lora_layers
from spritelora.config.train.adapter_keys import AdapterKind
from spritelora.errors import ConfigError
from spritelora.sdxl.files.base import empty_unet
from spritelora.sdxl.files.geometry import full_unet
from tests.bounds import assert_within, exact_delta, magnitude, rounding
from tests.conftest import ROOT

pytestmark = pytest.mark.numeric


def targets_of(name: str) -> list[str]:
    return yaml.safe_load((ROOT / "conf" / "targets" / f"{name}.yaml").read_text())["modules"]


@pytest.mark.parametrize(
    ("name", "num_layers", "millions"), [("attention", 560, 46.4), ("attention_ff", 700, 83.7), ("kohya", 722, None)]
)
def test_targets_on_full_sdxl(name: str, num_layers: int, millions: float | None) -> None:
    unet = full_unet()
    targets = match_targets(unet, targets_of(name))
    assert len(targets) == num_layers
    add_lora(unet.requires_grad_(False), targets, rank=32, alpha=32, dropout=0, seed=0)
    assert len(lora_layers(unet)) == num_layers
    if millions is not None:
        assert sum(p.numel() for p in adapter_parameters(unet)) / 1e6 == pytest.approx(millions, abs=0.05)


def test_a_rank_that_no_target_can_have_is_refused_before_there_are_weights(base) -> None:
    """By the smaller side of each layer: a product over it has no more independent directions."""
    unet = empty_unet(base)
    assert {p.device.type for p in unet.parameters()} == {"meta"}
    sides = [min(unet.get_submodule(t).weight.shape) for t in match_targets(unet, ["to_k"])]
    check_rank(unet, match_targets(unet, ["to_k"]), max(sides))
    with pytest.raises(
        ConfigError, match=rf"lora.rank={max(sides) + 1} is above {max(sides)}, the largest rank that a"
    ):
        check_rank(unet, match_targets(unet, ["to_k"]), max(sides) + 1)
    assert full_rank_of(unet, "conv_in") == 4 * 9
    check_rank(unet, ["conv_in"], 4 * 9)
    with pytest.raises(ConfigError):
        check_rank(unet, ["conv_in"], 4 * 9 + 1)


def full_rank_of(unet, layer: str) -> int:
    """The rank of a random change of the layer."""
    return int(torch.linalg.matrix_rank(torch.randn(unet.get_submodule(layer).weight.shape).flatten(1)))


def test_endings_match_whole_names_and_idle_ones_are_refused(unet) -> None:
    assert match_targets(unet, ["conv"]) == [
        n for n, _ in unet.named_modules() if n.endswith((".conv",))
    ]  # not conv1, conv2
    with pytest.raises(ConfigError, match=r"targets\.modules: to_x, q matches no layer; layers end in .*to_q"):
        match_targets(unet, ["to_q", "to_x", "q"])


def call(unet) -> torch.Tensor:
    """What a UNet says to fixed inputs, in its own number format."""
    noise = torch.Generator().manual_seed(0)
    hidden = unet.config.cross_attention_dim
    pooled = unet.config.projection_class_embeddings_input_dim - 6 * unet.config.addition_time_embed_dim
    conditions = {
        "text_embeds": torch.randn(2, pooled, generator=noise),
        "time_ids": torch.tensor([[128.0, 128, 0, 0, 128, 128]] * 2),
    }
    latents, text = torch.randn(2, 4, 16, 16, generator=noise), torch.randn(2, 77, hidden, generator=noise)
    if unet.conv_in.weight.dtype is torch.float64:
        latents, text, conditions["text_embeds"] = (x.double() for x in (latents, text, conditions["text_embeds"]))
    with torch.no_grad():
        return unet(latents, torch.tensor([10, 900]), text, added_cond_kwargs=conditions).sample


def call_in_float64(unet) -> torch.Tensor:
    """The same of a UNet that is turned to float64: what its numbers mean, without the rounding of a processor."""
    return call(nn.Module.double(unet))


def test_a_new_adapter_changes_nothing_to_the_bit(unet) -> None:
    before = call(unet)
    add_lora(unet, match_targets(unet, targets_of("wide")), rank=8, alpha=8, dropout=0, seed=0)
    assert torch.equal(call(unet), before)
    assert all(not live_delta(layer).any() for layer in lora_layers(unet).values())


def test_the_seed_alone_decides_the_adapter(base) -> None:
    from spritelora.sdxl.files.base import load_unet

    downs = []
    for seed, noise in ((5, 0), (5, 1), (6, 0)):
        unet = load_unet(base, torch.float32)
        torch.manual_seed(noise)
        add_lora(unet, match_targets(unet, ["to_q"]), rank=4, alpha=4, dropout=0, seed=seed)
        downs.append(factors(next(iter(lora_layers(unet).values())))[0])
    assert torch.equal(downs[0], downs[1])
    assert not torch.equal(downs[0], downs[2])


def test_half_the_alpha_is_half_the_delta(base) -> None:
    from spritelora.sdxl.files.base import load_unet

    deltas = []
    for alpha in (32, 16):
        unet = load_unet(base, torch.float32)
        add_lora(unet, match_targets(unet, ["to_q"]), rank=32, alpha=alpha, dropout=0, seed=0)
        layer = next(iter(lora_layers(unet).values()))
        with torch.no_grad():
            layer.lora_B["default"].weight.copy_(torch.ones_like(layer.lora_B["default"].weight))
        deltas.append(live_delta(layer))
    assert torch.equal(deltas[1], deltas[0] / 2)


def test_a_new_rslora_changes_nothing_and_scales_by_the_root_of_its_rank(unet) -> None:
    before = call(unet)
    targets = match_targets(unet, ["to_q", "conv1"])
    add_lora(unet, targets, rank=16, alpha=2, dropout=0, seed=0, kind=AdapterKind.rslora)
    assert torch.equal(call(unet), before)
    for layer in lora_layers(unet).values():
        nn.init.ones_(layer.lora_B["default"].weight)
        down, up, alpha = factors(layer)
        assert alpha == 2 * 4
        change = LowRank(down, up, 16 * 2 / 16**0.5)
        assert_within(live_delta(layer), exact_delta(change), rounding(16 + 2) * magnitude(change))


def test_adapters_of_a_16_bit_base_are_fp32(base) -> None:
    from spritelora.sdxl.files.base import load_unet

    unet = load_unet(base, torch.bfloat16)
    add_lora(unet, match_targets(unet, ["to_q"]), rank=4, alpha=4, dropout=0, seed=0)
    assert {p.dtype for p in adapter_parameters(unet)} == {torch.float32}


def test_wide_targets_exist_in_the_embedded_base(unet) -> None:
    for file in Path(ROOT / "conf" / "targets").glob("*.yaml"):
        assert match_targets(unet, targets_of(file.stem))
