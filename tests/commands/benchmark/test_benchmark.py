"""The benchmark: figures that hold together, arithmetic that is SDXL's known one, and mistakes named."""

import json
from pathlib import Path
from typing import Any

import pytest

from spritelora.commands.benchmark.benchmark import benchmark
from spritelora.commands.benchmark.figures import spread
from spritelora.commands.benchmark.whole_command import time_command, told_step_s
from spritelora.config.commands.benchmark import BenchmarkConfig, BenchmarkMode
from spritelora.errors import ConfigError, TrainingError
from tests.bounds import assert_same_pictures
from tests.conftest import QUICK, ROOT

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]


def quick(mode: BenchmarkMode = BenchmarkMode.train, **more: Any) -> BenchmarkConfig:
    return BenchmarkConfig(mode=mode, rounds=2, steps=1, warmup=1, sampling_steps=2, batch_size=2, **more)


def test_steps_of_the_embedded_base(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = benchmark(quick(rank=8, output=str(tmp_path / "figures.json")))
    assert json.loads(capsys.readouterr().out) == figures == json.loads((tmp_path / "figures.json").read_text())
    step_s = figures["step_s"]
    assert 0 < step_s["least"] <= step_s["median"] <= step_s["most"]
    assert figures["images_per_s"] == pytest.approx(2 / step_s["median"], rel=1e-3)
    assert 0 < figures["share_of_matrix_rate"] < 1


def test_images_of_the_embedded_base() -> None:
    figures = benchmark(quick(BenchmarkMode.sample))
    ours, theirs = (figures["batch_s"][who]["median"] for who in ("ours", "diffusers"))
    assert figures["images_per_s"] == {
        "ours": pytest.approx(2 / ours, rel=1e-3),
        "diffusers": pytest.approx(2 / theirs, rel=1e-3),
    }


@pytest.mark.numeric
def test_the_plain_pipeline_draws_what_ours_draws(base, unet) -> None:
    """Both figures are of the same work: the same images, to the rounding of pixels."""
    import torch

    from spritelora.commands.benchmark.random_inputs import random_text
    from spritelora.sdxl.files.base import load_vae
    from spritelora.sdxl.latents import decode_latents
    from spritelora.sdxl.reference_pipeline import plain_images, sdxl_scheduler
    from spritelora.sdxl.sample import Sampling, sample_latents, start_noise

    vae, noise = load_vae(base, torch.device("cpu")), start_noise(0, 1, 128)
    prompt, negative = (random_text(dict(unet.config), i) for i in (0, 1))
    latents = sample_latents(unet.eval(), Sampling(sdxl_scheduler(), 3, 4.0), [prompt], negative, noise)
    theirs = plain_images(unet, vae, Sampling(sdxl_scheduler(), 3, 4.0), [prompt], negative, noise)
    assert_same_pictures(decode_latents(vae, latents), (theirs * 255).round())


@pytest.mark.parametrize(
    ("side_px", "tflop"),
    [(256, 0.87), *(pytest.param(*golden, marks=pytest.mark.slow) for golden in ((512, 3.40), (1024, 15.12)))],
)
def test_arithmetic_of_full_sdxl(side_px: int, tflop: float) -> None:
    from spritelora.commands.benchmark.random_inputs import random_set
    from spritelora.commands.benchmark.training import count_tflop
    from spritelora.sdxl.files.geometry import SDXL_UNET

    counted = count_tflop(SDXL_UNET, ATTENTION, 32, random_set(SDXL_UNET, side_px), batch_size=1)
    # The LoRA's own share is on top of the frozen base's, and the backward pass stops at the first adapter.
    assert counted == pytest.approx(tflop, rel=0.08)


def test_spread() -> None:
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "least": 1.0, "most": 3.0}


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"peer= is a whole command.*add mode=command"):
        benchmark(quick(peer="true"))
    (tmp_path / "there.json").touch()
    with pytest.raises(ConfigError, match=r"there\.json exists already; name another file"):
        benchmark(quick(output=str(tmp_path / "there.json")))


def test_a_command_that_fails_says_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(TrainingError, match=r"ended with status 2: error: unknown key 'lora\.rnk'"):
        benchmark(quick(BenchmarkMode.command, overrides=["lora.rnk=8"]))
    with pytest.raises(TrainingError, match="cannot be started"):
        time_command(["/no/such/program"])


@pytest.mark.parametrize(
    ("told", "step_s"),
    [
        ("steps:  5%| 1/20 [00:09<, 9.1s/it]\rsteps: 85%| 17/20 [00:08<00:01,  2.00it/s, avr_loss=1.35]", 0.5),
        ("Steps: 100%|##########| 60/60 [16:40<00:00, 16.67s/it, lr=0.0001]", 16.67),
        ("no bar at all", None),
    ],
)
def test_a_step_of_the_peer_is_read_from_its_bar(told: str, step_s: float | None) -> None:
    assert told_step_s(told) == step_s


@pytest.mark.slow
def test_the_whole_command_beside_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    own = [o for o in QUICK if not o.startswith(("logger", "trainer.sample_every", "trainer.log_every"))]
    config = quick(BenchmarkMode.command, overrides=[*own, "trainer.max_steps=2"], peer="sleep 1", until_loss=1e9)
    config.rounds = 1
    figures = benchmark(config)
    assert figures["warm_until_first_step_s"]["median"] < figures["warm_s"]["median"]
    assert figures["cold_s"]["median"] > 0
    assert figures["warm_until_loss_s"]["median"] <= figures["warm_s"]["median"]
    assert figures["peer_s"]["median"] >= 1  # it sleeps that long; how soon a busy machine starts it is not said
