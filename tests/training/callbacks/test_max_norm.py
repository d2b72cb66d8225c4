"""Max-norm against the full product of the factors, as kohya computes it."""

from pathlib import Path

import pytest
import torch

from spritelora.adapters.layers.live import live_delta
from spritelora.adapters.layers.peft_layer import lora_layers
from spritelora.config.train.adapter_keys import AdapterKind
from spritelora.runs.metrics import read_events, series
from spritelora.training.callbacks.max_norm import limit_norms, norm_of_change
from tests.bounds import assert_within, rounding
from tests.training.tiny_loop import Settings, train

pytestmark = pytest.mark.numeric


def kohya_ratio(down: torch.Tensor, up: torch.Tensor, alpha: float, largest: float) -> float:
    """What kohya's scale_weight_norms multiplies a layer's change by: alpha/rank x up @ down, its norm, the ratio."""
    norm = float((up.flatten(1) @ down.flatten(1) * (alpha / len(down))).norm())
    return min(max(norm, largest / 2), largest) / max(norm, largest / 2)


@pytest.mark.parametrize("shapes", [((4, 96), (64, 4)), ((4, 8, 3, 3), (16, 4, 1, 1))])
@pytest.mark.parametrize("size", [1e-3, 0.2, 3.0])
def test_a_layer_is_scaled_by_kohyas_ratio(shapes: tuple[tuple[int, ...], tuple[int, ...]], size: float) -> None:
    source = torch.Generator().manual_seed(0)
    down, up = (size * torch.randn(shape, generator=source).double() for shape in shapes)
    before, alpha, largest = (down.clone(), up.clone()), 2.0, 1.5
    ratio = kohya_ratio(down, up, alpha, largest)
    scaled = limit_norms([(down, up, alpha / 4)], largest)
    assert int(scaled) == (ratio < 1)
    terms = rounding(4 * down.numel() + 4 * up.numel(), torch.float64)  # of squares of norms, where nothing cancels
    for now, old in zip((down, up), before, strict=True):
        assert_within(now, old * ratio**0.5, terms * old.abs())
    assert float(norm_of_change(down, up, alpha / 4)) <= largest * (1 + terms)


@pytest.mark.parametrize("kind", [AdapterKind.lora, AdapterKind.rslora])
def test_no_layer_of_a_run_grows_beyond_and_the_log_tells_how_many_would(tmp_path: Path, kind: AdapterKind) -> None:
    free = train(tmp_path / "free", Settings(6, kind=kind, log_every=2))
    norms = sorted(float(live_delta(layer).double().norm()) for layer in lora_layers(free).values())
    largest = norms[len(norms) // 2] * 0.9
    held = train(tmp_path / "held", Settings(6, kind=kind, max_norm=largest, log_every=2))
    # Both factors are multiplied in fp32, and the change read here is their product in fp32, over the rank of 64.
    most = largest * (1 + rounding(64 + 6))
    assert max(float(live_delta(layer).double().norm()) for layer in lora_layers(held).values()) <= most
    counts = dict(series(read_events(tmp_path / "held" / "metrics.jsonl"), "layers_scaled"))
    assert list(counts) == [2, 4, 6]
    assert 0 < counts[6] <= len(norms)
