"""Going on from a file, and training over one: the first step's output is the file's, whatever form and alpha."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spritelora.adapters.files.formats import write_form
from spritelora.adapters.files.lora_file import Form, LoraFile, read_lora_file
from spritelora.adapters.layers.earlier_adapters import check_start, lay_under, start_from
from spritelora.adapters.layers.layer_plan import AdapterPlan
from spritelora.adapters.layers.live import live_changes
from spritelora.adapters.layers.lora import match_targets, put_adapter
from spritelora.adapters.layers.peft_layer import adapted_layers, base_weight
from spritelora.adapters.layers.proof import write_lora
from spritelora.config.train.adapter_keys import AdapterKind
from spritelora.errors import WeightsError
from spritelora.sdxl.files.base import Unet, empty_unet, load_unet
from tests.adapters.layers.test_kinds import ENDINGS, PLANS, adapted
from tests.adapters.layers.test_lora import call, call_in_float64
from tests.bounds import assert_same_function

pytestmark = pytest.mark.numeric

LORA = AdapterPlan(AdapterKind.lora, rank=4, alpha=2)


def file_of(unet: Unet, plan: AdapterPlan, folder: Path, form: Form = Form.kohya) -> LoraFile:
    """A file with an adapter that has been put on the UNet and moved."""
    adapted(unet, plan)
    output = folder / ("peft" if form is Form.peft else "style.safetensors")
    if form is Form.kohya:
        write_lora(output, unet, torch.float32, {})
    else:
        write_form(output, form, {f"unet.{p}": c for p, c in live_changes(unet).items()}, torch.float32, {})
    return read_lora_file(output)


@pytest.mark.parametrize(
    ("plan", "form", "other"),
    [
        (LORA, Form.kohya, {"alpha": 7.0}),
        (LORA, Form.diffusers, {"kind": AdapterKind.rslora}),
        pytest.param(LORA, Form.peft, {}, marks=pytest.mark.slow),
        (PLANS["dora"], Form.kohya, {"alpha": 4.0}),
        (PLANS["lokr split"], Form.kohya, {"alpha": 4.0}),
        pytest.param(PLANS["loha tucker"], Form.kohya, {}, marks=pytest.mark.slow),
    ],
)
def test_a_start_gives_the_output_of_its_file(base, unet, plan: AdapterPlan, form: Form, other, tmp_path: Path) -> None:
    lora, fresh = file_of(unet, plan, tmp_path, form), load_unet(base, torch.float32)
    settings = replace(plan, **other)
    targets = match_targets(fresh, ENDINGS)
    check_start(empty_unet(base), lora, base.name, settings, targets)
    put_adapter(fresh, targets, settings, seed=5)
    start_from(fresh, lora)
    # Another alpha goes into the numbers, and a DoRA's lengths are taken off norms, in fp32.
    assert_same_function(call_in_float64(fresh), call_in_float64(unet), torch.float32)


def test_a_start_that_does_not_fit_says_all_that_differs(base, unet, tmp_path: Path) -> None:
    lora, empty = file_of(unet, LORA, tmp_path), empty_unet(base)
    targets = match_targets(empty, ["attn2.to_k", "attn2.to_q"])
    with pytest.raises(WeightsError) as error:
        check_start(empty, lora, base.name, replace(LORA, rank=8), targets)
    for told in (
        "adapter.start=",
        "layers of it are not targets: down_blocks",
        "targets are not in it: down_blocks",
        r"layers have another rank: down_blocks",
        "(4 in the file, 8 with these settings)",
    ):
        assert told in str(error.value)
    with pytest.raises(WeightsError, match="it is a LoRA, and adapter=dora trains a DoRA"):
        check_start(empty, lora, base.name, replace(LORA, kind=AdapterKind.dora), match_targets(empty, ENDINGS))


def test_a_lokr_that_is_split_otherwise_is_refused(base, unet, tmp_path: Path) -> None:
    lora, fresh = file_of(unet, PLANS["lokr"], tmp_path), load_unet(base, torch.float32)
    put_adapter(fresh, match_targets(fresh, ENDINGS), replace(PLANS["lokr"], factor=2), seed=0)
    with pytest.raises(
        WeightsError, match=r"is split as lokr_w1 \(.*, and these settings split it as lokr_w1 \(.*fact"
    ):
        start_from(fresh, lora)


@pytest.mark.parametrize("name", ["lora", "dora", "lokr"])
def test_what_is_trained_over_is_a_part_of_the_base_at_its_strength(base, unet, name: str, tmp_path: Path) -> None:
    """At strength 1 the output is the file's; a new adapter changes nothing; the kept weights stay as they were."""
    lora, fresh = file_of(unet, {"lora": LORA, **PLANS}[name], tmp_path), load_unet(base, torch.float32)
    kept = dict(fresh.state_dict())
    before = {n: t.clone() for n, t in kept.items()}
    lay_under(fresh, lora, 1.0)
    laid = call(fresh)
    assert_same_function(laid, call_in_float64(unet), torch.float32)
    assert all(torch.equal(kept[n], before[n]) for n in before)
    put_adapter(fresh, match_targets(fresh, ENDINGS), PLANS["dora"], seed=0)
    assert torch.equal(call(fresh), laid)
    path, layer = next(iter(adapted_layers(fresh).items()))
    half = load_unet(base, torch.float32)
    lay_under(half, lora, 0.5)
    plain, whole = before[f"{path}.weight"], base_weight(layer)
    assert_same_function(half.get_submodule(path).weight, (plain.double() + whole) / 2, torch.float32)  # pyright: ignore


def test_a_quantised_base_is_not_trained_over(base, unet, tmp_path: Path) -> None:
    from bitsandbytes.nn import Linear4bit

    lora, fresh = file_of(unet, LORA, tmp_path), load_unet(base, torch.float32)
    path = match_targets(fresh, ["attn2.to_k"])[0]
    layer = fresh.get_submodule(path)
    quantised = Linear4bit(layer.in_features, layer.out_features, bias=False)  # pyright: ignore
    quantised.load_state_dict(layer.state_dict())
    fresh.set_submodule(path, quantised.to("cpu"))
    with pytest.raises(WeightsError, match=r"adapter\.over=.*style\.safetensors: .* of the base is quantised"):
        lay_under(fresh, lora, 1.0)
