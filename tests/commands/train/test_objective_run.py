"""A run with every part of the objective changed goes on as exactly as any other, and its LoRA says what it was."""

import json

import pytest
from safetensors import safe_open

from spritelora.errors import ConfigError
from tests.conftest import assert_same_tensors, lora_of

CHANGED = (
    "optim=schedulefree",
    "trainer.accumulate=2",
    "loss=huber",
    "timesteps=logit_normal",
    "weighting=debiased",
    "data.caption_dropout=0.5",
    "objective.noise_offset=0.05",
    "objective.adaptive_offset=0.01",
    "objective.pyramid_levels=3",
    "objective.perturbation=0.1",
)


@pytest.mark.slow
def test_a_changed_objective_resumes_exactly_and_is_written_down(train_quickly) -> None:
    """How often it is validated changes nothing, though a schedule-free run is validated with other weights."""
    whole = train_quickly(*CHANGED, "trainer.max_steps=3", "trainer.validate_every=1", name="whole")
    parts = train_quickly(*CHANGED, "trainer.max_steps=1", name="parts")
    train_quickly(*CHANGED, f"resume={parts}", "trainer.max_steps=3", name="parts")
    assert_same_tensors(lora_of(whole), lora_of(parts))
    with safe_open(whole / "checkpoint_final" / "lora.safetensors", framework="pt") as file:
        facts = file.metadata()
    assert (facts["ss_loss_type"], facts["ss_huber_c"], facts["ss_huber_schedule"]) == ("huber", "0.1", "snr")
    assert (facts["ss_multires_noise_iterations"], facts["ss_multires_noise_discount"]) == ("3", "0.3")
    assert (facts["ss_debiased_estimation"], facts["ss_min_snr_gamma"]) == ("True", "None")
    assert (facts["ss_caption_dropout_rate"], facts["ss_adaptive_noise_scale"]) == ("0.5", "0.01")
    series = json.loads((whole / "training_metrics.json").read_text())["series"]["validation_loss"]
    assert [step for step, _ in series] == [0, 1, 2, 3]


def test_zero_terminal_snr_trains_velocity_only(train_quickly) -> None:
    with pytest.raises(ConfigError, match=r"model\.zero_terminal_snr=true .* take model\.prediction=v_prediction"):
        train_quickly("model.zero_terminal_snr=true", "trainer.max_steps=1", name="refused")
    more = ("model.prediction=v_prediction", "trainer.sample_every=1", "trainer.max_steps=1")
    run = train_quickly("model.zero_terminal_snr=true", *more)
    with safe_open(run / "checkpoint_final" / "lora.safetensors", framework="pt") as file:
        assert file.metadata()["ss_zero_terminal_snr"] == "True"
