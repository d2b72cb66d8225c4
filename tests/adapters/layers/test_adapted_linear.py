"""The one operation of a linear layer and its LoRA: PEFT's numbers, true gradients, and what it leaves alone."""

import copy
import itertools
from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora.layer import Linear as PeftLinear
from torch import Tensor, nn

from spritelora.adapters.layers.adapted_linear import (
    AdaptedLinear,
    JointAttention,
    JointLinear,
    OneLoraLinear,
    project_together,
    use_one_operation,
)
from spritelora.sdxl.files.base import load_unet
from spritelora.sdxl.sample import call_unet
from tests.bounds import assert_same_function

pytestmark = pytest.mark.numeric


def peft_layer(bias: bool = True, dropout: float = 0.0) -> PeftLinear:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(24, 40, bias=bias, dtype=torch.float64)).requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=4, lora_alpha=6, lora_dropout=dropout, target_modules=["0"]), model)
    layer: Any = model[0]
    nn.init.normal_(layer.lora_B["default"].weight)
    return layer


def one_operation(peft: PeftLinear) -> OneLoraLinear:
    twin = nn.Sequential(copy.deepcopy(peft))
    use_one_operation(twin)
    layer, *_ = twin
    assert isinstance(layer, OneLoraLinear)
    return layer


def run(layer: nn.Module, x: Tensor) -> list[Tensor]:
    """Output, and the gradients of input and weights, with the same dropout each time."""
    x = x.clone().requires_grad_(True)
    torch.manual_seed(1)
    result = layer(x)
    result.double().square().sum().backward()
    weights = [p.grad for p in layer.parameters() if p.requires_grad]
    return [result.detach(), *(g for g in [x.grad, *weights] if g is not None)]


@pytest.mark.parametrize(("bias", "dropout"), list(itertools.product([True, False], [0.0, 0.3])))
def test_equals_peft(bias: bool, dropout: float) -> None:
    layer = peft_layer(bias, dropout)
    x = torch.randn(2, 5, 24).double()
    theirs, ours = run(layer, x), run(one_operation(layer), x)
    assert len(ours) == len(theirs) == 4
    for a, b in zip(ours, theirs, strict=True):
        assert_same_function(a, b)


def test_equals_peft_in_autocast_within_the_rounding_of_bf16() -> None:
    layer = peft_layer().float()
    x = torch.randn(2, 5, 24)
    with torch.autocast("cpu", torch.bfloat16):
        theirs, ours = run(layer, x), run(one_operation(layer), x)
    assert ours[0].dtype == theirs[0].dtype == torch.bfloat16
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        assert_same_function(a, b, torch.bfloat16)


def test_gradients_by_differences() -> None:
    torch.manual_seed(0)
    x, weight, bias, down, up = (torch.randn(s, dtype=torch.float64) for s in ((3, 6), (5, 6), (5,), (2, 6), (5, 2)))
    for tensor in (x, down, up):
        tensor.requires_grad_(True)
    assert torch.autograd.gradcheck(
        lambda x, a, b: AdaptedLinear.apply(x, None, weight, bias, a, b, 1.7), (x, down, up)
    )


def test_a_new_adapter_changes_nothing_to_the_bit() -> None:
    layer = one_operation(peft_layer().float())
    nn.init.zeros_(layer.lora_B["default"].weight)  # pyright: ignore
    x = torch.randn(7, 24)
    assert torch.equal(layer(x), layer.base_layer(x))


def test_several_adapters_and_none_are_left_to_peft() -> None:
    layer = peft_layer().float()
    layer.update_layer("more", 2, 2, config=LoraConfig(r=2, lora_alpha=2))
    nn.init.normal_(layer.lora_B["more"].weight)  # pyright: ignore
    layer.set_adapter(["default", "more"])
    ours, x = one_operation(layer), torch.randn(3, 24)
    assert torch.equal(ours(x), layer(x))
    assert not torch.equal(ours(x), layer.base_layer(x))
    ours.enable_adapters(False)
    assert torch.equal(ours(x), layer.base_layer(x))


def test_gradients_of_layers_together_by_differences() -> None:
    torch.manual_seed(0)
    shapes = [(3, 6), *((5, 6), (5,), (2, 6), (5, 2)), *((4, 6), (3, 6), (4, 3))]
    x, *tensors = (torch.randn(s, dtype=torch.float64) for s in shapes)
    adapted = [x, tensors[2], tensors[3], tensors[5], tensors[6]]
    for tensor in adapted:
        tensor.requires_grad_(True)
    first, second = tensors[:4], [tensors[4], None, *tensors[5:]]
    assert torch.autograd.gradcheck(lambda *_: JointLinear.apply(x, [1.7, 0.4], *first, *second), adapted)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_layers_together_equal_each_alone(dropout: float) -> None:
    layers = [one_operation(peft_layer(bias, dropout)) for bias in (True, False)]
    x = torch.randn(2, 5, 24).double()
    torch.manual_seed(1)
    alone = [layer(x) for layer in layers]
    torch.manual_seed(1)
    together = project_together(layers, x)
    assert ("Joint" in type(together[0].grad_fn).__name__) == (dropout == 0)
    for a, b in zip(together, alone, strict=True):
        assert a.shape == b.shape == (2, 5, 40)
        assert_same_function(a, b)


def test_layers_together_compute_in_the_format_of_autocast() -> None:
    layers = [one_operation(peft_layer().float()) for _ in range(2)]
    x = torch.randn(2, 5, 24)
    with torch.autocast("cpu", torch.bfloat16):
        together, alone = project_together(layers, x), layers[0](x)
    torch.autograd.backward([t.float().sum() for t in together])
    assert {t.dtype for t in together} == {torch.bfloat16}
    assert_same_function(together[0], alone, torch.bfloat16)
    assert {p.grad.dtype for layer in layers for p in layer.parameters() if p.grad is not None} == {torch.float32}


def test_a_unet_gives_the_gradients_that_it_has_with_peft_and_diffusers_attention(base) -> None:
    """In float64: the smallest of them are 1e-8 of what they are sums of, and rounding in fp32 is of that size."""
    theirs = load_unet(base, torch.float32).double()
    targets = [n for n, m in theirs.named_modules() if isinstance(m, nn.Linear) and ".attn" in n]
    inject_adapter_in_model(LoraConfig(r=4, lora_alpha=6, target_modules=targets), theirs)
    for name, parameter in theirs.named_parameters():
        parameter.requires_grad_("lora_" in name)
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    ours = copy.deepcopy(theirs)
    use_one_operation(ours)
    processors = [type(p) for p in ours.attn_processors.values()]
    assert processors == [JointAttention] * len(processors)
    assert len(processors) > 0
    width = theirs.config["cross_attention_dim"]
    noisy, text, embeds = (torch.randn(shape).double() for shape in ((2, 4, 8, 8), (2, 77, width), (2, 96)))
    conditions = {"text_embeds": embeds, "time_ids": torch.tensor([[64.0, 64, 0, 0, 64, 64]] * 2)}
    for unet in (theirs, ours):
        call_unet(unet, noisy, torch.tensor([10, 900]), text, conditions).square().mean().backward()
    for a, b in zip(gradients_of(ours), gradients_of(theirs), strict=True):
        assert_same_function(a, b)


def gradients_of(model: nn.Module) -> list[Tensor]:
    return [p.grad for p in model.parameters() if p.grad is not None]
