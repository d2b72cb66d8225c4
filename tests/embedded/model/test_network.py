"""The network: its size, its latents, and training that goes on exactly."""

import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from spritelora.diffusion.schedule import cumulative_alphas, signal_to_noise
from spritelora.embedded.location import embedded_base
from spritelora.embedded.making import exam
from spritelora.embedded.making.base_loop import StepPlan
from spritelora.embedded.making.denoiser import initialise_unet
from spritelora.embedded.making.exam import (
    LOSS_TIMESTEPS,
    Share,
    caption_test,
    choose_captions,
    losses_of_captions,
    mean_loss,
    too_few_subjects,
)
from spritelora.embedded.making.shared_steps import any_of, joined_by
from spritelora.embedded.making.teaching import Teacher, spread_timesteps, stack, teach, time_ids, trained_parts
from spritelora.embedded.model import network
from spritelora.embedded.model.network import build_network, load_base, load_vae, to_latents
from spritelora.embedded.model.tiny import TinySdxl, build_parts, write_parts
from spritelora.embedded.real.canvases import SMALL, TILE, Canvas
from spritelora.embedded.real.lessons import Lessons
from spritelora.embedded.real.wording import all_words
from spritelora.errors import TrainingError, WeightsError
from spritelora.weight_files.container import read_tensors

WHEEL_BYTES = 60e6

NARROW = replace(network.TINY, channels=(16, 32, 32), heads=(1, 2, 2))
"""The network with few channels, for what does not depend on them."""


def make_parts(lessons: Lessons) -> TinySdxl:
    parts = build_network(0, all_words(lessons.packed.records))
    load_vae(parts, embedded_base())
    return parts


@pytest.fixture(scope="module")
def parts(lessons: Lessons) -> TinySdxl:
    return make_parts(lessons)


def test_the_base_fits_in_the_wheel(parts: TinySdxl) -> None:
    modules: list[Any] = [parts.unet, parts.text_encoder, parts.text_encoder_2, parts.vae]
    assert sum(2 * value.numel() for module in modules for value in module.parameters()) < WHEEL_BYTES


@pytest.mark.parametrize("canvas", [SMALL, Canvas(24, 16)])
def test_latents_are_those_of_the_autoencoder(parts: TinySdxl, canvas: Canvas) -> None:
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(0, 256, (2, 3, canvas.height, canvas.width))).float() / 127.5 - 1
    with torch.no_grad():
        encoded = parts.vae.encode(functional.interpolate(pixels, scale_factor=8, mode="nearest")).latent_dist.mean
    scaled = encoded * parts.vae.config["scaling_factor"]
    torch.testing.assert_close(to_latents(parts.vae, pixels), scaled, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("is_bf16", [False, True])
def test_training_that_is_cut_and_goes_on_ends_where_an_uncut_one_does(
    is_bf16: bool, lessons: Lessons, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "TINY", NARROW)
    plan = StepPlan(3, 1e-4, warmup_steps=2, decay_share=0.5)
    ended: list[dict[str, torch.Tensor]] = []
    for name, pieces in (("whole", (3,)), ("cut", (1, 3))):
        for last in pieces:
            parts = make_parts(lessons)
            left = iter([False] * last + [True] * 9)
            teacher = Teacher(parts, lessons, 1, 256, is_bf16)
            is_done = teach(teacher, plan, tmp_path / name, lambda left=left: next(left))
        assert is_done
        ended.append(trained_parts(parts).state_dict())
    assert all(torch.equal(ended[0][name], value) for name, value in ended[1].items())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_unet_takes_the_same_steps(lessons: Lessons) -> None:
    eager, compiled = narrow_teacher(lessons), narrow_teacher(lessons)
    compiled.parts.unet.compile(dynamic=False)
    canvases = {str(eager.lessons.canvas_of(1, step)) for step in range(12)}
    assert len(canvases) > 1
    for step in range(12):
        losses = [teacher.loss_at(step) for teacher in (eager, compiled)]
        torch.testing.assert_close(losses[1], losses[0], rtol=1e-4, atol=1e-6)
        for loss in losses:
            loss.backward()
    for own, other in zip(*(teacher.parts.unet.parameters() for teacher in (eager, compiled)), strict=True):
        assert own.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(other.grad, own.grad, rtol=1e-3, atol=1e-5)


def narrow_teacher(lessons: Lessons) -> Teacher:
    """A teacher whose steps on 16 px canvases have three samples: of two processes one has a sample more."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(network, "TINY", NARROW)
        parts = make_parts(lessons)
    initialise_unet(parts.unet)
    parts.unet.conv_out.weight.data.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
    return Teacher(parts, lessons, 1, 3 * SMALL.num_cells, is_bf16=False)


def train_two_steps(lessons: Lessons, state: Path) -> None:
    """A short training; every process of a company runs it."""
    plan = StepPlan(2, 1e-4, warmup_steps=1, decay_share=0.5)
    teach(narrow_teacher(lessons), plan, state, lambda: False)


def test_two_processes_take_the_step_of_one(lessons: Lessons, tmp_path: Path) -> None:
    together = tmp_path / "two.safetensors"
    task = partial(train_two_steps, lessons, together)
    with joined_by(1, task):
        task()
    train_two_steps(lessons, tmp_path / "one.safetensors")
    one, two = (read_tensors(file) for file in (tmp_path / "one.safetensors", together))
    first_moments = [name for name in one if name.startswith("exp_avg.")]
    assert len(first_moments) > 300
    largest = max(float(one[name].abs().max()) for name in first_moments)
    for name in first_moments:
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-5 * largest)


def test_a_process_that_is_lost_is_named() -> None:
    lost = pytest.raises(TrainingError, match=r"processes=2: process 1 ended.*take fewer processes")
    with lost, joined_by(1, partial(os._exit, 3)):
        any_of(False)


def test_a_base_with_fewer_words_gives_its_rows_to_the_same_words(tmp_path: Path) -> None:
    base = build_parts(1, ["red", "potion"], NARROW)
    parts = build_parts(2, ["potion", "shield", "red"], NARROW)
    fresh = parts.text_encoder.get_input_embeddings().weight.detach().clone()
    taught = base.text_encoder.get_input_embeddings().weight.detach().clone()
    write_parts(base, tmp_path / "base", torch.float32)
    load_base(parts, tmp_path / "base")
    rows = parts.text_encoder.get_input_embeddings().weight
    known, wanted = base.tokenizer.get_vocab(), parts.tokenizer.get_vocab()
    assert set(wanted) - set(known) == {"sh", "shi", "shie", "shiel", "shield</w>"}
    for token, number in wanted.items():
        assert torch.equal(rows[number], taught[known[token]] if token in known else fresh[number]), token
    assert torch.equal(parts.unet.conv_in.weight, base.unet.conv_in.weight)
    assert torch.equal(parts.text_encoder_2.text_projection.weight, base.text_encoder_2.text_projection.weight)


def test_a_base_of_another_shape_is_refused_by_its_file(tmp_path: Path) -> None:
    write_parts(build_parts(1, ["red"], replace(NARROW, channels=(16, 32, 64))), tmp_path, torch.float32)
    with pytest.raises(WeightsError, match=r"unet/diffusion_pytorch_model\.safetensors: not the weights of a tiny"):
        load_base(build_parts(2, ["red"], NARROW), tmp_path)


@pytest.mark.parametrize("content", [None, "{", "[1]", '{"red</w>": "x"}'])
def test_a_base_without_its_vocabulary_is_refused_by_that_file(tmp_path: Path, content: str | None) -> None:
    parts = build_parts(1, ["red"], NARROW)
    write_parts(parts, tmp_path, torch.float32)
    file = tmp_path / "tokenizer" / "vocab.json"
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(WeightsError, match=r"tokenizer.vocab\.json: cannot be read as a vocab.*that make_base wrote"):
        load_base(parts, tmp_path)


def test_timesteps_are_spread_by_their_shares() -> None:
    steps = spread_timesteps(100, np.random.default_rng(0)).numpy()
    assert np.histogram(steps, [0, 450, 700, 900, 1000])[0].tolist() == [40, 32, 21, 7]
    assert np.histogram(steps, range(0, 451, 90))[0].tolist() == [8] * 5
    assert 0 <= steps.min() < 12
    assert 985 <= steps.max() < 1000


def test_time_ids_name_the_canvas() -> None:
    assert time_ids(Canvas(24, 32), 2).tolist() == [[192, 256, 0, 0, 192, 256]] * 2


def test_one_caption_has_one_loss(parts: TinySdxl, lessons: Lessons) -> None:
    lesson = lessons.plain_lesson(lessons.taught[SMALL][0][0], SMALL)
    with torch.no_grad():
        losses = losses_of_captions(parts, lesson, [lesson.caption] * 2, SMALL, 0)
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-4, atol=1e-6)
    assert stack([lesson], torch.device("cpu")).shape == (1, 3, 16, 16)


def test_a_base_that_has_learnt_nothing_answers_nothing_right(
    lessons: Lessons, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "TINY", NARROW)
    monkeypatch.setattr(exam, "TIMESTEPS", (500,))
    parts = make_parts(lessons)
    initialise_unet(parts.unet)
    share = caption_test(parts, lessons, TILE, False, 8)
    assert share == Share(0, 8)
    assert too_few_subjects(lessons) == "2 known subjects of 16 px, and the figures take 8"
    assert mean_loss(parts, lessons, TILE, False, 4) == pytest.approx(noise_loss(4), rel=0.05)


def noise_loss(count: int) -> float:
    """The weighted loss of a model that predicts nothing: the mean weight, for noise has a mean square of 1."""
    ratio = signal_to_noise(cumulative_alphas())[list(LOSS_TIMESTEPS[:count])]
    return float((ratio.clamp(max=5) / ratio).mean())


def test_a_question_has_the_right_caption_first_and_no_other_twice() -> None:
    captions = [f"caption {number}" for number in range(12)]
    chosen = choose_captions(5, captions, np.random.default_rng(0))
    assert chosen[0] == "caption 5"
    assert len(set(chosen)) == 8


def test_the_interval_of_a_share_is_wilsons() -> None:
    assert Share(8, 10).interval == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert Share(0, 20).interval[0] == 0
