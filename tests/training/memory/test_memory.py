"""The predicted memory of a run against what is measured, and what is chosen by it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spritelora.adapters.layers.earlier_files import read_earlier
from spritelora.adapters.layers.lora import adapter_parameters
from spritelora.commands.train.assemble import add_adapter
from spritelora.config.train.hardware_keys import BaseFormat
from spritelora.process import LARGE_BYTES
from spritelora.sdxl.files.base import load_unet
from spritelora.sdxl.layers.quantised import load_quantised
from spritelora.sdxl.sample import call_unet
from spritelora.training.hardware import choose_hardware
from spritelora.training.machine import DeviceFacts, read_device, system_memory_gb
from spritelora.training.memory.need import FULL_SIZE, choose_plan, first_fitting, is_small, read_geometry, run_shapes
from spritelora.training.memory.prediction import SHARE, Plan, RunShapes, plans, state_bytes
from spritelora.training.memory.savings import savings
from spritelora.training.memory.tracing import Arithmetic, LiveBytes, trace_step
from spritelora.training.text_training import add_text
from tests.composing import compose
from tests.conftest import ROOT

CPU = torch.device("cpu")
FULL, INT8, NF4 = BaseFormat.full, BaseFormat.int8, BaseFormat.nf4
QUICK = ("trainer.sample_every=0", "model.resolution=128", "targets=attention", "schedule=constant")


def shapes(base, cache: Path, *overrides: str) -> RunShapes:
    config = compose(*QUICK, f"data.cache={cache}", *overrides)
    return run_shapes(config, read_geometry(base), choose_hardware(config.hardware.device, config.hardware.precision))


@pytest.mark.parametrize("checkpointed", [False, 0.4, True])
def test_what_is_counted_on_shapes_is_what_tensors_hold(base, cache: Path, checkpointed: bool | float) -> None:
    config = compose(*QUICK, f"hardware.gradient_checkpointing={checkpointed}")
    real = add_adapter(config, load_unet(base, torch.float32), read_earlier(config.adapter))
    shape = shapes(base, cache).unet
    for parameter in adapter_parameters(real):
        parameter.register_post_accumulate_grad_hook(drop_gradient)
    with LiveBytes([*real.parameters(), *real.buffers()]) as counted:
        torch.autograd.backward(loss_of(real, "cpu"))
    exact = Arithmetic(torch.float32, is_cuda=False)
    assert trace_step(shape, lambda: loss_of(shape, "meta"), exact, checkpointed) == pytest.approx(
        counted.peak, rel=0.01
    )


@pytest.mark.parametrize("checkpointed", [False, True])
def test_text_encoders_that_train_are_counted(base, cache: Path, checkpointed: bool) -> None:
    both = ("text_encoders=attention", "text_encoders.rank=4")
    run, frozen = shapes(base, cache, *both), shapes(base, cache)
    plan = Plan(FULL, checkpointed, 3)
    more, less = run.use(plan), frozen.use(plan)
    config = compose(*QUICK, *both, f"hardware.gradient_checkpointing={checkpointed}")
    real = add_text(config, base, choose_hardware(config.hardware.device, config.hardware.precision))
    assert real is not None
    trained = [p for p in real.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.register_post_accumulate_grad_hook(drop_gradient)
    with LiveBytes([*real.parameters(), *real.buffers()], LARGE_BYTES // 2) as counted:  # 3 sprites, as 2
        states, pooled = real(torch.zeros(1, 2, 77, dtype=torch.long))
        torch.autograd.backward(states.sum() + pooled.sum())
    weights = sum(p.nbytes for p in real.parameters() if not p.requires_grad)
    assert more.base - less.base == weights
    assert more.adapter - less.adapter == sum(p.nbytes for p in trained)
    assert more.optimizer - less.optimizer == pytest.approx(2 * sum(p.nbytes for p in trained), rel=0.02)
    assert more.activations - less.activations == pytest.approx(3 * counted.peak, rel=0.1)


def drop_gradient(parameter: torch.Tensor) -> None:
    parameter.grad = None


def loss_of(unet, device: str) -> torch.Tensor:
    config = unet.config
    pooled = config["projection_class_embeddings_input_dim"] - 6 * config["addition_time_embed_dim"]
    shapes = [(1, 4, 8, 8), (1,), (1, 77, config["cross_attention_dim"]), (1, pooled), (1, 6)]
    noisy, timesteps, text, embeds, ids = (torch.zeros(shape, device=device) for shape in shapes)
    return call_unet(unet, noisy, timesteps, text, {"text_embeds": embeds, "time_ids": ids}).square().mean()


MEASURE = """
import json, sys
from spritelora.config.commands.benchmark import BenchmarkConfig
from spritelora.config.train.hardware_keys import Device
from spritelora.commands.benchmark.training import measure_training
once = {"device": Device.cpu, "rounds": 1, "steps": 1, "warmup": 2, "threads": 1}
print(json.dumps(measure_training(BenchmarkConfig(**once, **json.loads(sys.argv[1])))))
"""
PREDICT = """
import json, sys
import spritelora.commands.train.fit
from tests.training.memory.test_memory import predicted_gb
print(json.dumps(predicted_gb(sys.argv[1], *json.loads(sys.argv[2]))))
"""


def predicted_gb(cache: str, batch_size: int, checkpointed: bool, rank: int) -> float:
    """Of a run on the embedded base, in a process that has loaded what training loads."""
    from spritelora.embedded.location import embedded_base
    from spritelora.sdxl.files.base import find_base

    run = shapes(find_base(str(embedded_base())), Path(cache), f"lora.rank={rank}")
    return run.use(Plan(FULL, checkpointed, batch_size)).peak_gb


def in_a_process(code: str, *arguments: str):
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow  # the heap of a process beside busy ones is another
@pytest.mark.parametrize(("batch_size", "checkpointed"), [(4, False), (24, False)])
def test_the_predicted_peak_is_within_15_percent_of_a_run(tmp_path: Path, batch_size: int, checkpointed: bool) -> None:
    settings = {"model": "tiny", "batch_size": batch_size, "rank": 8, "gradient_checkpointing": checkpointed}
    measured = in_a_process(MEASURE, json.dumps(settings))["peak_gb"]
    predicted = in_a_process(PREDICT, str(tmp_path), json.dumps([batch_size, checkpointed, 8]))
    assert predicted == pytest.approx(measured, rel=0.15)


def test_the_bytes_of_a_base_are_those_it_takes(base, cache: Path) -> None:
    run = shapes(base, cache)
    for form in (INT8, NF4):
        weights = load_quantised(base, form, torch.float32, CPU)
        held = sum(w.nbytes if isinstance(w, torch.Tensor) else w.codes.nbytes for w in weights.values())
        assert run.use(Plan(form, True, 1)).base == pytest.approx(held, rel=0.02)
    assert run.use(Plan(FULL, True, 1)).base == sum(p.nbytes for p in load_unet(base, torch.float32).parameters())


def test_states_are_counted_as_the_optimizer_keeps_them() -> None:
    from bitsandbytes.optim import AdamW8bit

    matrices = [(64, 128)] * 3
    assert state_bytes(torch.optim.AdamW, matrices) == pytest.approx(3 * 2 * 4 * 64 * 128, rel=0.01)
    assert state_bytes(torch.optim.SGD, matrices) == 0
    assert state_bytes(AdamW8bit, matrices) < 3 * 2 * 4 * 64 * 128 / 2
    assert state_bytes(AdamW8bit, [(8, 8)]) >= 2 * 4 * 64, "small tensors stay in fp32"


FIGURES = {
    "base full": 5_134_927_368, "base int8": 2_924_000_000, "base nf4": 1_857_807_368, "adapter": 185_794_560,
    "states": 92_897_280, "activations": 7_857_000_000, "activations checkpointed": 721_272_328,
    "activations int8": 10_060_000_000, "vae": 334_614_000, "decoding": 3_221_487_616, "encoding": 2_684_354_560,
    "drawing": 210_177_958, "text weights": 817_720_320,
    "text adapter": 0,
}  # fmt: skip
"""Of full size at 1024 px and rank 32 on attention in bf16 on a GPU with 8-bit AdamW, as they were traced once."""
SHARES_GB = {0.1: 6.86, 0.2: 5.88, 0.3: 5.16, 0.4: 4.45, 0.5: 3.85, 0.6: 3.22, 0.7: 2.65, 0.8: 1.94, 0.9: 1.31}
"""Activations of these, by the share of the blocks that are computed again."""
for share, gb in SHARES_GB.items():
    FIGURES |= {f"activations checkpointed {share}{form}": int(gb * 1e9) for form in ("", " int8")}


def known(draws: bool = True, **others: int) -> RunShapes:
    def untraced():
        raise AssertionError("all figures are known")

    cuda = Arithmetic(torch.bfloat16, is_cuda=True)
    figures = FIGURES | others
    return RunShapes(
        untraced, untraced, untraced, untraced, cuda, (1024, 1024), 0, draws, lambda name, _: figures[name]
    )  # pyright: ignore


@pytest.mark.parametrize(
    ("total_gb", "batch_size", "chosen"),
    [(80, 4, (FULL, 0)), (24, 4, (FULL, 0.6)), (32, 2, (FULL, 0)), (12, 1, (FULL, 0.4)), (8, 1, (INT8, 0.6)),
     (7, 2, (NF4, 0.9)), (4, 1, (NF4, 1))],
)  # fmt: skip
def test_the_most_exact_plan_that_fits_is_taken(
    total_gb: float, batch_size: int, chosen: tuple[BaseFormat, float]
) -> None:
    gpu = DeviceFacts("cuda", "a GPU", total_gb, total_gb, (8, 9))
    run, open_plans = known(), plans(BaseFormat.auto, None, batch_size, is_cuda=True)
    plan, reason = first_fitting(run, open_plans, gpu)
    assert (plan.base, plan.checkpointed) == chosen
    if chosen[1] not in (0, 1):  # no more blocks are computed again than memory asks for
        assert run.use(plan).peak_gb <= total_gb * SHARE < run.use(replace(plan, checkpointed=chosen[1] - 0.1)).peak_gb
    assert f"a GPU, {total_gb:.1f} GB: needs about" in reason
    assert ("without savings" in reason) == (chosen != (FULL, 0))


def test_what_is_asked_for_is_never_changed() -> None:
    assert plans(NF4, False, 2, is_cuda=True) == [Plan(NF4, False, 2)]
    assert {p.checkpointed for p in plans(BaseFormat.auto, True, 1, is_cuda=True)} == {True}
    assert {p.base for p in plans(BaseFormat.auto, None, 1, is_cuda=False)} == {FULL}
    on_cpu = [(FULL, False), (BaseFormat.half, False), (FULL, True), (BaseFormat.half, True)]
    assert [(p.base, p.checkpointed) for p in plans(BaseFormat.auto, None, 1, False, is_fp32=True)] == on_cpu
    config = compose("hardware.base=int8", "hardware.gradient_checkpointing=true")
    cpu = choose_hardware(config.hardware.device, config.hardware.precision)
    assert choose_plan(config, FULL_SIZE, cpu) == (Plan(INT8, True, 8), "as asked")


def test_the_largest_batch_fits_and_the_next_does_not() -> None:
    run = known()
    for plan in (Plan(FULL, False, 1), Plan(NF4, True, 1)):
        most = run.largest_batch(plan, 24)
        fitting, over = (run.use(replace(plan, batch_size=n)).peak_gb for n in (most, most + 1))
        assert fitting <= 24 < over
    assert run.largest_batch(Plan(FULL, False, 1), 12) == 0


def test_savings_are_what_the_settings_save() -> None:
    run, plan = known(draws=False), Plan(FULL, False, 4)
    found = dict(savings(run, plan, rank=32))
    assert next(iter(found)) == "hardware.gradient_checkpointing=true"
    assert list(found.values()) == sorted(found.values(), reverse=True)
    for setting, other in {
        "trainer.batch_size=1": replace(plan, batch_size=1),
        "hardware.base=nf4": replace(plan, base=NF4),
    }.items():
        assert found[setting] == pytest.approx(run.use(plan).peak_gb - run.use(other).peak_gb)
    use = run.use(plan)
    assert found["lora.rank=16"] == pytest.approx((use.adapter + use.gradients + use.optimizer) / 2e9)
    assert found["model.resolution=512"] == pytest.approx(0.75 * use.activations / 1e9)
    assert "optim=adamw8bit" not in found  # which it has


def test_states_in_8_bits_save_six_bytes_of_eight_a_parameter() -> None:
    parameters = FIGURES["adapter"] // 4
    found = dict(savings(known(draws=False, states=8 * parameters), Plan(FULL, False, 4), rank=1))
    assert found["optim=adamw8bit"] == pytest.approx(6e-9 * parameters, rel=1e-6)
    assert not any(setting.startswith("lora.rank") for setting in found)


def test_a_small_base_is_not_traced_and_the_full_one_is(base) -> None:
    here = DeviceFacts("cpu", "CPU", 16, 8)
    assert is_small(read_geometry(base), 128, 8, here)
    assert not is_small(FULL_SIZE, 1024, 1, here)


FREE_BLOCKS = """
import torch
from spritelora.process import LARGE_BYTES, map_large_blocks
from spritelora.training.machine import process_memory_bytes
map_large_blocks()
torch.ones(LARGE_BYTES // 2).sum()
before = process_memory_bytes()
blocks, kept = [], []
for _ in range(40):  # a small block that stays after each large one that goes
    blocks.append(torch.ones(LARGE_BYTES // 2))
    kept.append(torch.ones(2**14))
held = process_memory_bytes() - before
blocks.clear()
print([held, process_memory_bytes() - before])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_large_blocks_go_back_to_the_system() -> None:
    held, left = in_a_process(FREE_BLOCKS)
    assert held > 40 * 2 * LARGE_BYTES
    assert left < held / 10


def test_memory_of_this_machine_is_what_linux_says() -> None:
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total_gb, free_gb = system_memory_gb()
    assert total_gb <= int(lines["MemTotal"].split()[0]) * 1024 / 1e9 * 1.001
    assert 0 < free_gb < total_gb
    facts = read_device(CPU)
    assert (facts.kind, facts.is_unified, facts.capability) == ("cpu", False, None)
