"""The laws of the suite's "Right?", in small, on a real card: `pytest tests/gpu` where there is one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from spritelora.commands.benchmark.suite import numbers, runs
from spritelora.commands.benchmark.suite.parts import Setting
from spritelora.config.commands.benchmark import BenchmarkConfig, BenchmarkMode, BenchmarkOptim, SuiteSize
from spritelora.config.train.hardware_keys import Device, Precision

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here"),
]

SHORT = 6


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    config = BenchmarkConfig(mode=BenchmarkMode.suite, size=SuiteSize.small, device=Device.cuda)
    folder = tmp_path_factory.mktemp("suite")
    return Setting(config, folder, folder)


def losses(setting: Setting, **changes: Any) -> list[float]:
    return numbers.losses_of(replace(numbers.of_embedded_base(setting, **changes), steps=SHORT - 1))


@pytest.fixture(scope="module")
def exact(setting: Setting) -> list[float]:
    return losses(setting, device=Device.cpu, precision=Precision.fp32)


@pytest.mark.parametrize("precision", [Precision.fp32, Precision.bf16, Precision.fp16])
def test_losses_are_the_cpus_within_the_formats_rounding(setting, exact, precision) -> None:
    found = numbers.beside(losses(setting, precision=precision), exact, numbers.ROUNDOFF[precision], depth=400)
    assert found["holds"], found


@pytest.mark.parametrize("kind", [BenchmarkOptim.adamw8bit, BenchmarkOptim.paged_adamw8bit])
def test_8_bit_states_move_the_loss_as_32_bit_ones(setting, kind) -> None:
    plain, ours = losses(setting, rank=64), losses(setting, rank=64, optim=kind)
    assert max(abs(a - b) for a, b in zip(plain, ours, strict=True)) < max(abs(a - plain[0]) for a in plain)


def test_quantised_layers_multiply_as_their_definition(setting) -> None:
    figures = numbers.quantised(setting)
    # Scales of NF4 are themselves in 8 bits; the activations of int8 are too.
    assert all(figures[name]["product_off"] < 0.02 for name in ("nf4", "int8")), figures


def test_compiled_blocks_and_every_attention_give_the_same_numbers(setting) -> None:
    off = [numbers.compiled(setting), *(f for f in numbers.attention(setting).values() if isinstance(f, dict))]
    # bf16 rounds at 2^-8; other orders of its sums give gradients that differ by some of these.
    assert all(f["loss_off"] < 2**-5 and f["gradient_off"] < 2**-3 for f in off), off


def test_an_export_of_a_model_on_the_card_is_proven(setting) -> None:
    assert numbers.export(setting)["proven"]


def test_images_of_the_card_are_those_of_the_cpu(setting) -> None:
    assert numbers.samples(setting)["mean_levels_off"] < 255 * 2**-5


def test_a_process_meets_itself_through_nccl(setting) -> None:
    assert numbers.nccl(setting)["is_right"]


def test_a_batch_without_room_ends_in_advice_and_fits_with_recomputing(setting) -> None:
    figures = runs.memory(setting)
    assert "hardware.gradient_checkpointing=true" in figures["error"]
    assert figures["status_with_recomputing"] == 0


def test_a_signal_in_a_step_leaves_a_checkpoint(setting: Setting) -> None:
    assert Path(setting.work / "stopped" / runs.sigterm(setting)["kept"]).is_dir()


def test_a_captioner_writes_on_the_card(setting: Setting) -> None:
    from spritelora.captioning.captioner import find_captioner, load_captioner
    from tests.captioning import tiny_models
    from tests.captioning.test_captioner import SHORT as SHORT_ANSWER
    from tests.captioning.test_captioner import pictures

    model = find_captioner(str(tiny_models.make_blip2(setting.work / "blip2")))
    captioner = load_captioner(model, torch.device("cuda"), SHORT_ANSWER)
    assert all(set(text.split()) <= set(tiny_models.WORDS) for text in captioner.describe(pictures()))
