"""Rank and alpha by patterns of layers: which match, what PEFT makes of them, and what the file says."""

import pytest
import torch
from torch import nn

from spritelora.adapters.layers.layer_plan import AdapterPlan, match_patterns
from spritelora.adapters.layers.live import live_changes, live_delta
from spritelora.adapters.layers.lora import match_targets, put_adapter
from spritelora.adapters.layers.peft_layer import adapted_layers
from spritelora.adapters.layers.proof import adapter_tensors, kohya_names, prove_export
from spritelora.config.train.adapter_keys import AdapterKind
from spritelora.errors import ConfigError
from tests.bounds import assert_within, rounding

pytestmark = pytest.mark.numeric

LAYERS = ["mid_block.attentions.0.to_q", "mid_block.attentions.0.to_k", "up_blocks.0.attentions.0.to_q", "conv_in"]


def test_the_first_pattern_counts_and_names_are_whole() -> None:
    found = match_patterns("lora.rank_pattern", LAYERS, {"mid_block.*": 64, "to_q": 8})
    assert found == {LAYERS[0]: 64, LAYERS[1]: 64, LAYERS[2]: 8}
    with pytest.raises(ConfigError, match=r"lora\.rank_pattern: o_q matches none of the 4 target layers"):
        match_patterns("lora.rank_pattern", LAYERS, {"o_q": 8})


def test_patterns_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"mid_block matches none .* named like mid_block\.attentions\.0\.to_q.*, "):
        match_patterns("lora.rank_pattern", LAYERS, {"mid_block": 8})
    with pytest.raises(ConfigError, match=r"lora\.alpha_pattern: mid\( is not a regular expression"):
        match_patterns("lora.alpha_pattern", LAYERS, {"mid(": 8.0})
    with pytest.raises(ConfigError, match=r"lora\.rank_pattern: to_q has 0; give a number above 0"):
        match_patterns("lora.rank_pattern", LAYERS, {"to_q": 0})


@pytest.mark.parametrize("kind", [AdapterKind.lora, AdapterKind.rslora, AdapterKind.loha])
def test_each_layer_has_its_rank_and_strength_in_the_model_and_in_the_file(unet, kind: AdapterKind) -> None:
    targets = match_targets(unet, ["attn2.to_k"])
    plan = AdapterPlan(kind, rank=4).for_layers(targets, {"mid_block.*": 6}, {"up_blocks.*": 1.0})
    put_adapter(unet, targets, plan, seed=0)
    for layer in adapted_layers(unet).values():
        for parameter in layer.parameters():  # pyright: ignore
            if parameter.requires_grad:
                nn.init.ones_(parameter)
    tensors, names = adapter_tensors(unet, torch.float32), kohya_names(unet)
    prove_export(unet, tensors)
    for path, change in live_changes(unet).items():
        rank, alpha = (6, 6.0) if "mid_block" in path else (4, 1.0 if "up_blocks" in path else 4.0)
        share = alpha / rank**0.5 if kind is AdapterKind.rslora else alpha / rank
        product = rank**2 if kind is AdapterKind.loha else rank  # of matrices of ones
        assert change.rank == rank
        delta = live_delta(adapted_layers(unet)[path])
        assert_within(delta, torch.full_like(delta, share * product), rounding(3) * share * product)  # sums of ones
        assert float(tensors[f"{names[path]}.alpha"]) == pytest.approx(share * rank, rel=rounding(3))
