"""DoRA, LoKr and LoHa: new ones change nothing, and their files give the live layers by their readers' own formulas."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from spritelora.adapters.files.bases import require_plain_sdxl, require_sdxl
from spritelora.adapters.files.formats import write_form
from spritelora.adapters.files.inspect import block_sizes, describe_file
from spritelora.adapters.files.lora_file import Form, read_lora_file
from spritelora.adapters.layers.earlier_files import read_earlier
from spritelora.adapters.layers.inject import inject_loras, set_strength
from spritelora.adapters.layers.layer_plan import AdapterPlan
from spritelora.adapters.layers.live import live_changes
from spritelora.adapters.layers.lora import adapter_parameters, check_plan, match_targets, put_adapter
from spritelora.adapters.layers.peft_layer import adapted_layers, base_weight
from spritelora.adapters.layers.proof import adapter_tensors, kohya_names, prove_export, write_lora
from spritelora.commands.train.assemble import check_adapter
from spritelora.config.train.adapter_keys import AdapterKind
from spritelora.errors import ConfigError, WeightsError
from spritelora.sdxl.files.base import Unet, load_unet
from tests.adapters.layers.test_lora import call, call_in_float64
from tests.adapters.layers.test_proof import trained
from tests.bounds import assert_same_function
from tests.composing import compose

pytestmark = pytest.mark.numeric

ENDINGS = ["attn2.to_k", "conv1", "conv_shortcut", "downsamplers.0.conv"]
"""Cross-attention, whose weights are not square, and convolutions: 3x3, 1x1 and with a stride."""

PLANS = {
    "dora": AdapterPlan(AdapterKind.dora, rank=4, alpha=2),
    "lokr": AdapterPlan(AdapterKind.lokr, rank=4, alpha=2),
    "lokr split": AdapterPlan(AdapterKind.lokr, rank=1, alpha=3, factor=8, both=True),
    "lokr tucker": AdapterPlan(AdapterKind.lokr, rank=3, alpha=2, factor=4, tucker=True),
    "loha": AdapterPlan(AdapterKind.loha, rank=4, alpha=2),
    "loha tucker": AdapterPlan(AdapterKind.loha, rank=4, alpha=2, tucker=True),
}
each_plan = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
OFTEN = ("dora", "lokr", "loha tucker")
"""What is tried in the suite where a test costs much; the others by `make slow`."""

most_plans = pytest.mark.parametrize(
    "plan", [pytest.param(p, id=n, marks=[] if n in OFTEN else pytest.mark.slow) for n, p in PLANS.items()]
)


def adapted(unet: Unet, plan: AdapterPlan, moved: bool = True) -> Unet:
    """The UNet with an adapter, moved away from where it starts."""
    put_adapter(unet, match_targets(unet, ENDINGS), plan, seed=0)
    noise = torch.Generator().manual_seed(1)
    for parameter in adapter_parameters(unet) if moved else []:
        parameter.data += (0.3 if plan.tucker else 0.1) * torch.randn(parameter.shape, generator=noise)
    return unet


@each_plan
def test_a_new_one_changes_nothing_to_the_bit(unet: Unet, plan: AdapterPlan) -> None:
    before = call(unet)
    adapted(unet, plan, moved=False)
    assert torch.equal(call(unet), before)


@pytest.mark.parametrize("kind", ["dora", "lokr", pytest.param("loha", marks=pytest.mark.slow)])
def test_a_new_one_changes_nothing_in_16_bits(base, kind: str) -> None:
    """With attention in plain products: torch's fused one fails in bf16 where a CPU with AMX is told to be older."""
    unet = load_unet(base, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
        before = call(unet)
        adapted(unet, PLANS[kind], moved=False)
        assert torch.equal(call(unet), before)


def changed_weight(file: dict[str, Tensor], module: str, weight: Tensor) -> Tensor:
    """A layer's weight with a file on it, as ComfyUI has it: `comfy/weight_adapter` of Comfy-Org/ComfyUI, in words."""
    t = {key.removeprefix(f"{module}."): value.double() for key, value in file.items() if key.startswith(f"{module}.")}
    weight, alpha = weight.double(), t.pop("alpha")
    if "hada_w1_a" in t:
        first, second = (
            torch.einsum("abkl,br,ap->prkl", t[f"hada_t{i}"], t[f"hada_w{i}_b"], t[f"hada_w{i}_a"])
            if f"hada_t{i}" in t
            else t[f"hada_w{i}_a"] @ t[f"hada_w{i}_b"]
            for i in (1, 2)
        )
        return weight + alpha / t["hada_w1_b"].shape[0] * (first * second).reshape(weight.shape)
    if "lokr_w1" in t or "lokr_w1_a" in t:
        inner = [t[name].shape[0] for name in ("lokr_w1_b", "lokr_w2_b") if name in t]
        one = t["lokr_w1"] if "lokr_w1" in t else t["lokr_w1_a"] @ t["lokr_w1_b"]
        if "lokr_t2" in t:
            two = torch.einsum("abkl,br,ap->prkl", t["lokr_t2"], t["lokr_w2_b"], t["lokr_w2_a"])
        else:
            two = t["lokr_w2"] if "lokr_w2" in t else t["lokr_w2_a"] @ t["lokr_w2_b"]
        one = one[:, :, None, None] if two.ndim == 4 else one
        scale = alpha / inner[-1] if inner else 1.0
        return weight + scale * torch.kron(one, two.contiguous()).reshape(weight.shape)
    rank = t["lora_down.weight"].shape[0]
    delta = (t["lora_up.weight"].flatten(1) @ t["lora_down.weight"].flatten(1)).reshape(weight.shape) * alpha / rank
    assert t["dora_scale"].shape == (len(weight), *[1] * (weight.ndim - 1))
    norms = weight.flatten(1).norm(dim=1).view(t["dora_scale"].shape)
    return (weight + delta) * t["dora_scale"] / norms


def through(layer: Any, weight: Tensor, inputs: Tensor) -> Tensor:
    """What a plain layer with this weight makes of inputs."""
    base = layer.get_base_layer()
    if isinstance(base, nn.Linear):
        return F.linear(inputs, weight, base.bias)
    return F.conv2d(inputs, weight, base.bias, base.stride, base.padding)


@torch.no_grad()
@each_plan
def test_the_file_gives_the_live_layers_by_its_readers_formula(unet: Unet, plan: AdapterPlan) -> None:
    adapted(unet, plan).eval()
    files = {dtype: adapter_tensors(unet, dtype) for dtype in (torch.float32, torch.float16)}
    for tensors in files.values():
        prove_export(unet, tensors)
        assert len({key.partition(".")[0] for key in tensors}) == len(adapted_layers(unet))
    nn.Module.double(unet)
    for dtype, tensors in files.items():
        check_layers(unet, tensors, dtype)


def check_layers(unet: Unet, tensors: dict[str, Tensor], dtype: torch.dtype) -> None:
    """By what a plain layer with the reader's weight adds to the base's output for random inputs."""
    noise, names = torch.Generator().manual_seed(2), kohya_names(unet)
    for path, layer in adapted_layers(unet).items():
        weight = base_weight(layer)
        inputs = torch.randn((3, weight.shape[1], *[6] * (weight.ndim - 2)), generator=noise).double()
        live, plain = layer(inputs), through(layer, weight, inputs)  # pyright: ignore
        drawn = through(layer, changed_weight(tensors, names[path], weight), inputs)
        assert not torch.allclose(live, plain, atol=1e-2)
        assert_same_function(drawn - plain, live - plain, dtype)


@pytest.mark.parametrize("kind", ["dora", "lokr", "loha"])
def test_a_wrong_file_is_refused(unet: Unet, kind: str) -> None:
    tensors = adapter_tensors(adapted(unet, PLANS[kind]), torch.float16)
    for key in ("dora_scale", "lokr_w1", "hada_w2_b"):
        name = next((n for n in tensors if n.endswith(key)), None)
        if name is not None:
            with pytest.raises(WeightsError, match=r"delta of .* differs from the live model's"):
                prove_export(unet, {**tensors, name: tensors[name] * 1.01})
            with pytest.raises(WeightsError, match="keys differ"):
                prove_export(unet, {n: t for n, t in tensors.items() if n != name})


@most_plans
def test_a_file_on_another_unet_draws_as_the_live_one_at_any_strength(
    base, unet: Unet, plan: AdapterPlan, tmp_path: Path
) -> None:
    """Half the strength is half the way of every weight, of DoRA too, as ComfyUI has it."""
    fresh = load_unet(base, torch.float32)
    plain = call(fresh)
    adapted(unet, plan)
    write_lora(tmp_path / "gems.safetensors", unet, torch.float32, {})
    lora = read_lora_file(tmp_path / "gems.safetensors")
    names = inject_loras(fresh, [lora], base.name)
    assert torch.equal(call(fresh), plain)
    set_strength(fresh, names, [1.0])
    assert not torch.allclose(call(fresh), plain, atol=1e-2)
    set_strength(fresh, names, [0.0])
    assert torch.equal(call(fresh), plain)
    set_strength(fresh, names, [1.0])
    assert_same_function(call_in_float64(fresh), call_in_float64(unet), torch.float32)
    set_strength(fresh, names, [0.5])
    path, layer = next(iter(adapted_layers(fresh).items()))
    weight = base_weight(layer)
    noise = torch.Generator().manual_seed(2)
    inputs = torch.randn((2, *weight.shape[1:2], *[6] * (weight.ndim - 2)), generator=noise).double()
    whole = changed_weight(load_file(lora.path), kohya_names(unet)[path], weight)
    expected = through(layer, (weight + whole) / 2, inputs)
    with torch.no_grad():
        assert_same_function(layer(inputs), expected, torch.float32)  # pyright: ignore


@pytest.mark.parametrize("kind", ["dora", "lokr", pytest.param("loha", marks=pytest.mark.slow)])
def test_a_file_is_told_what_it_holds_and_what_it_cannot_be_used_for(base, unet: Unet, kind: str, tmp_path) -> None:
    write_lora(tmp_path / "gems.safetensors", adapted(unet, PLANS[kind]), torch.float16, {})
    lora = read_lora_file(tmp_path / "gems.safetensors")
    require_sdxl(lora)
    name = next(iter(lora.everything.values())).kind
    report = describe_file(lora, block_sizes(lora, lambda _: None), "usual weights")
    assert f"{name} in {len(adapted_layers(unet))} layers" in report
    assert "base       the embedded tiny SDXL" in report
    with pytest.raises(WeightsError, match=f"holds {name} in .*; this works on plain LoRA alone"):
        require_plain_sdxl(lora)
    with pytest.raises(WeightsError, match=f"format=diffusers cannot hold a {name}: .*use format=kohya for ComfyUI"):
        write_form(tmp_path / "d.safetensors", Form.diffusers, lora.everything, torch.float16, {})
    fresh = load_unet(base, torch.float32)
    write_lora(tmp_path / "plain.safetensors", trained(load_unet(base, torch.float32)), torch.float16, {})
    with pytest.raises(WeightsError, match=rf"gems\.safetensors is a {name}, .*plain\.safetensors is a LoRA: several"):
        inject_loras(fresh, [lora, read_lora_file(tmp_path / "plain.safetensors")], base.name)
    assert not adapted_layers(fresh)


def test_a_dora_by_inputs_and_mixtures_are_refused(unet: Unet, tmp_path: Path) -> None:
    write_lora(tmp_path / "gems.safetensors", adapted(unet, PLANS["dora"]), torch.float32, {})
    tensors = load_file(tmp_path / "gems.safetensors")
    key = next(k for k in tensors if k.endswith("attn2_to_k.dora_scale"))
    by_input = tensors[key.replace("dora_scale", "lora_down.weight")].shape[1]
    save_file({**tensors, key: torch.ones(1, by_input)}, tmp_path / "inputs.safetensors")
    with pytest.raises(WeightsError, match=r"holds DoRA in 1 layer that cannot be read here.*wd_on_output"):
        require_sdxl(read_lora_file(tmp_path / "inputs.safetensors"))
    save_file({n: t for n, t in tensors.items() if n != key}, tmp_path / "mixed.safetensors")
    with pytest.raises(WeightsError, match=r"holds LoRA in 1 layer, DoRA in .*; this works on files of one kind"):
        require_sdxl(read_lora_file(tmp_path / "mixed.safetensors"))


def test_a_lokr_that_lacks_a_part_is_named(unet: Unet, tmp_path: Path) -> None:
    write_lora(tmp_path / "gems.safetensors", adapted(unet, PLANS["lokr"]), torch.float32, {})
    tensors = load_file(tmp_path / "gems.safetensors")
    key = next(k for k in tensors if k.endswith("lokr_w2_a"))
    save_file({n: t for n, t in tensors.items() if n != key}, tmp_path / "half.safetensors")
    with pytest.raises(
        WeightsError, match=r"parts of its LoKr are missing or do not fit together \(lokr_w1, lokr_w2_b"
    ):
        read_lora_file(tmp_path / "half.safetensors")
    parts = {key: tensors[key][:, :0].clone(), key[:-1] + "b": tensors[key[:-1] + "b"][:0].clone()}
    save_file({**tensors, **parts}, tmp_path / "empty.safetensors")
    with pytest.raises(WeightsError, match="is empty, as of rank 0; get the file again"):
        read_lora_file(tmp_path / "empty.safetensors")


def test_a_dora_without_its_training_state_has_no_peft_form(unet: Unet, tmp_path: Path) -> None:
    changes = {f"unet.{path}": change for path, change in live_changes(adapted(unet, PLANS["dora"])).items()}
    with pytest.raises(WeightsError, match="format=peft of a DoRA needs the lengths as they were trained"):
        write_form(tmp_path / "peft", Form.peft, changes, torch.float32, {})


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (replace(PLANS["lokr"], dropout=0.1), r"adapter=lokr has no dropout of its inputs, and lora\.dropout=0\.1"),
        (replace(PLANS["lokr"], factor=0), r"adapter\.lokr_factor=0 splits nothing; give -1"),
        (replace(PLANS["loha"], factor=8), r"adapter\.lokr_factor is of adapter=lokr, and this is adapter=loha"),
        (replace(PLANS["dora"], both=True), r"adapter\.decompose_both is of adapter=lokr, and this is adapter=dora"),
        (replace(PLANS["dora"], tucker=True), r"adapter\.tucker is of adapter=lokr and adapter=loha, and this is"),
        (replace(PLANS["loha"], rank=4000), r"lora\.rank=4000 is above"),
        (replace(PLANS["dora"], ranks={"conv_in": 40}), r"lora\.rank=40 is above 36"),
    ],
)
def test_settings_that_a_kind_has_not_are_refused(unet: Unet, plan: AdapterPlan, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_plan(unet, [*match_targets(unet, ENDINGS), "conv_in"], plan)


def test_a_quantised_base_takes_lora_alone(base) -> None:
    config = compose("hardware.base=nf4", "adapter=dora", "lora.rank=4", "targets=attention")
    with pytest.raises(ConfigError, match=r"adapter=dora computes with whole weights.* layers are quantised, such as"):
        check_adapter(config, base, read_earlier(config.adapter))
    check_adapter(replace(config, adapter=compose("adapter=lora").adapter), base, read_earlier(config.adapter))
    check_adapter(replace(config, hardware=compose("hardware.base=full").hardware), base, read_earlier(config.adapter))
