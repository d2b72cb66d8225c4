"""Frozen layers kept in 16 bits: the numbers of the same weights in fp32, and no wide copy kept for backward."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from spritelora.adapters.layers.lora import adapter_parameters, add_lora, match_targets
from spritelora.sdxl.files.base import find_base, load_unet
from spritelora.sdxl.layers.stored import FEW_CELLS, PIECE, SMALL, compute_beside, is_stored, load_stored, stored_unet
from spritelora.sdxl.sample import call_unet
from tests.bounds import assert_same_function
from tests.checkpoints import write_small

pytestmark = pytest.mark.numeric


def twins(layer: nn.Module) -> tuple[nn.Module, nn.Module]:
    """The layer in float64 with weights that bf16 holds exactly, and the same kept in bf16."""
    torch.manual_seed(0)
    weight: Tensor = layer.weight.detach().bfloat16()  # pyright: ignore
    layer, kept = layer.double(), type(layer)(*sizes(layer)).double()
    kept.load_state_dict(layer.state_dict())
    layer.weight, kept.weight = (nn.Parameter(w, requires_grad=False) for w in (weight.double(), weight))
    model = nn.Sequential(kept)
    compute_beside(model)
    assert type(model[0]) is not type(layer)
    return layer.requires_grad_(False), model.requires_grad_(False)


def sizes(layer: nn.Module) -> tuple:
    if isinstance(layer, nn.Conv2d):
        return layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding
    assert isinstance(layer, nn.Linear)
    return layer.in_features, layer.out_features


def run(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Output, gradient of the input, and the tensors that autograd kept."""
    kept: list[Tensor] = []
    x = x.clone().requires_grad_(True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        result = model(x)
    (result * torch.linspace(-1, 1, result.numel()).view_as(result)).sum().backward()
    assert x.grad is not None
    return result.detach(), x.grad, kept


LAYERS = {
    "linear of several pieces": (nn.Linear(640, PIECE // 640 * 2 + 3), (2, 5, 640)),
    "few cells": (nn.Conv2d(160, 64, 3, padding=1), (2, 160, 8, 8)),
    "few cells, downwards": (nn.Conv2d(160, 64, 3, stride=2, padding=1), (1, 160, 9, 16)),
    "many cells": (nn.Conv2d(160, 64, 3, padding=1), (1, 160, 20, 16)),
    "one by one": (nn.Conv2d(320, 256, 1), (1, 320, 8, 8)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_numbers_are_those_of_the_same_weights_kept_wide(name: str) -> None:
    layer, shape = LAYERS[name]
    wide, narrow = twins(layer)
    x = torch.randn(shape).double()
    expected, to_x, _ = run(wide, x)
    result, to_x_too, kept = run(narrow, x)
    assert (len(x) * expected[0, 0].numel() > FEW_CELLS) == (name == "many cells") or x.ndim == 3
    assert_same_function(result, expected)
    assert_same_function(to_x_too, to_x)
    weight: Tensor = layer.weight  # pyright: ignore
    assert not [t for t in kept if t.numel() >= weight.numel() and t.dtype == x.dtype]
    assert sum(t.dtype == torch.bfloat16 and t.numel() == weight.numel() for t in kept) == 1


def test_small_weights_norms_and_biases_stay_wide() -> None:
    assert not is_stored("norm.weight", torch.empty(2 * SMALL))
    assert not is_stored("conv_in.weight", torch.empty(320, 4, 3, 3))
    assert is_stored("to_q.weight", torch.empty(640, 640))


def test_a_file_in_fp16_computes_what_it_computes_kept_wide(tmp_path: Path) -> None:
    base = find_base(str(write_small(tmp_path) / "diffusers"))
    wide = load_unet(base, torch.float64)
    narrow = stored_unet(base, load_stored(base, torch.float64, torch.device("cpu")))
    assert narrow.dtype == torch.float64
    stored = [p for n, p in narrow.named_parameters() if is_stored(n, p)]
    assert stored
    assert {p.dtype for p in stored} == {torch.float16}
    source = torch.Generator().manual_seed(0)
    noisy, text, pooled = (torch.randn(s, generator=source).double() for s in ((2, 4, 16, 16), (2, 77, 192), (2, 128)))
    conditions = {"text_embeds": pooled, "time_ids": torch.tensor([[128.0, 128, 0, 0, 128, 128]] * 2)}
    for unet in (wide, narrow):
        add_lora(unet, match_targets(unet, ["to_q", "to_v", "conv1", "ff.net.2"]), 4, 4, 0.0, seed=0)
    pairs = list(zip(adapter_parameters(wide), adapter_parameters(narrow), strict=True))
    for ours, theirs in pairs:  # PEFT has rounded new ones to the 16 bits of their layer
        ours.data = theirs.data = ours.data.double()
    for unet in (wide, narrow):
        call_unet(unet, noisy, torch.tensor([10, 900]), text, conditions).square().mean().backward()
    for ours, theirs in pairs:
        assert ours.grad is not None
        assert theirs.grad is not None
        assert_same_function(theirs.grad, ours.grad)
