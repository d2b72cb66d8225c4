"""The benchmark's suite: rows that survive failures and kills, and figures that are what they say."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from spritelora.commands.benchmark.suite.parts import PARTS, Setting, choose_parts, reason_to_skip
from spritelora.commands.benchmark.suite.sheet import FIGURES, TABLES, Sheet
from spritelora.config.commands.benchmark import BenchmarkConfig, BenchmarkMode, SuiteSize
from spritelora.config.train.hardware_keys import Device
from spritelora.errors import ConfigError
from tests.conftest import ROOT

SMALL = ("mode=suite", "size=small", "device=cpu", "threads=1")


def suite(**more: Any) -> BenchmarkConfig:
    return BenchmarkConfig(mode=BenchmarkMode.suite, size=SuiteSize.small, device=Device.cpu, threads=1, **more)


def start(folder: Path, *parts: str) -> subprocess.Popen[bytes]:
    command = ["scripts/benchmark.py", *SMALL, f"output={folder}", f"parts=[{','.join(parts)}]"]
    return subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def rows_of(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["part"]: row for row in json.loads((folder / FIGURES).read_text(encoding="utf-8"))["parts"]}


def states(folder: Path) -> Iterator[dict[str, str]]:
    """The states of all parts again and again, from when there are any."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (folder / FIGURES).is_file():
            yield {name: row["state"] for name, row in rows_of(folder).items()}
        time.sleep(0.05)


def test_a_part_that_crashes_leaves_the_others_and_a_kill_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    process = start(folder, "matrix", "precision", "quantised", "attention", "compiled", "nccl")
    found = states(folder)
    assert next(s for s in found if s["matrix"] == "measured")["nccl"] == "skipped"
    (worker,) = psutil.Process(process.pid).children()
    worker.kill()
    crashed = next(s for s in found if s["precision"] != "not reached")
    assert crashed["precision"] == "failed"
    assert next(s for s in found if s["attention"] == "measured")["quantised"] == "measured"
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    rows = rows_of(folder)
    assert rows["precision"]["reason"].startswith(f"its process ended with status {-signal.SIGKILL}")
    assert rows["matrix"]["figures"]["fp32_tflop_per_s"] > 0
    assert rows["compiled"]["state"] == "not reached"
    assert rows["nccl"]["reason"] == "needs a card: NCCL connects GPUs"
    assert rows["attention"]["title"] in (folder / TABLES).read_text(encoding="utf-8")
    psutil.wait_procs(family, timeout=30)
    assert not [p for p in family if p.is_running()], "a worker lives on without its suite"
    assert len(list(folder.iterdir())) <= 8


def test_time_that_is_up_is_a_reason(tmp_path: Path) -> None:
    from spritelora.commands.benchmark.suite.conduct import conduct

    figures = conduct(suite(output=str(tmp_path / "figures"), minutes=1e-3, parts=["matrix", "precision"]))
    assert [row["state"] for row in figures["parts"]] == ["skipped", "skipped"]
    assert all(row["reason"].startswith("no time") for row in figures["parts"])


def test_mistakes(tmp_path: Path) -> None:
    from spritelora.commands.benchmark.suite.conduct import conduct

    with pytest.raises(ConfigError, match=r"parts: unknown steps; the parts are matrix, .*peers"):
        conduct(suite(output=str(tmp_path / "new"), parts=["steps"]))
    with pytest.raises(ConfigError, match=r"name a new folder for them with output=FOLDER"):
        conduct(suite())
    (tmp_path / "there").write_text("")
    with pytest.raises(ConfigError, match=r"exists already; name another folder"):
        conduct(suite(output=str(tmp_path)))


def test_every_part_has_a_function_and_a_reason_where_it_needs_a_card(tmp_path: Path) -> None:
    names = [part.name for part in choose_parts([])]
    assert len(names) == len(set(names)) == len(PARTS)
    setting = Setting(suite(), tmp_path, tmp_path)
    for part in PARTS:
        assert callable(part.load())
        reason = reason_to_skip(part, setting, has_card=False)
        assert (reason is not None) == (part.needs_card is not None or part.name == "peers")


def test_a_step_has_its_row_with_what_was_predicted(tmp_path: Path) -> None:
    parts = choose_parts(["step_1", "predicted"])
    device = {"name": "a card", "memory_gb": 80, "libraries": {"torch": "2"}}
    sheet = Sheet(tmp_path, device, parts, 5)
    step = {"batch_size": 1, "step_s": {"median": 0.5}, "images_per_s": 2.0, "share_of_matrix_rate": 0.25, "peak_gb": 9}
    sheet.record({"part": "step_1", "state": "measured", "seconds": 3, "figures": step})
    assert "| A step at batch 1 | 1 | 0.5 | 2.0 | 0.25 | 9 |  |" in sheet.text
    figures = {"step_1": {"training_gb": 8.5}}
    sheet.record({"part": "predicted", "state": "measured", "seconds": 3, "figures": figures})
    assert "| A step at batch 1 | 1 | 0.5 | 2.0 | 0.25 | 9 | 8.5 |" in (tmp_path / TABLES).read_text(encoding="utf-8")


def test_shares_of_kernels_and_time_between_them() -> None:
    from spritelora.commands.benchmark.suite.kernels import Kernel, idle_share, shares

    kernels = [
        Kernel("sm90_xmma_gemm_bf16bf16_bf16f32", 0, 60),
        Kernel("flash_fwd_kernel", 50, 20),  # beside the first, for half of its time
        Kernel("vectorized_elementwise_kernel<4, bfloat16_copy_kernel>", 90, 10),
        Kernel("sm80_xmma_fprop_implicit_gemm_bf16", 100, 10),
    ]
    assert shares(kernels) == {"gemm": 0.6, "attention": 0.2, "casts and copies": 0.1, "convolution": 0.1}
    assert idle_share(kernels) == round(20 / 110, 4)
    assert idle_share([]) == 0


def test_the_bound_of_a_format_is_that_of_its_roundoff() -> None:
    from spritelora.commands.benchmark.suite.numbers import beside

    assert beside([0.5, 0.4], [0.5, 0.4], 2.0**-8, 100) == {
        "relative_difference": 0.0, "share_of_bound": 0.0, "holds": True,
    }  # fmt: skip
    error = 2.0**-8 * 10 * (1 + math.sqrt(0.25))
    at_bound = 0.25 + 2 * math.sqrt(0.25) * error + error**2
    assert beside([at_bound], [0.25], 2.0**-8, 100)["share_of_bound"] == pytest.approx(1, rel=1e-12)
    assert not beside([1.01 * at_bound], [0.25], 2.0**-8, 100)["holds"]
    assert not beside([math.nan], [0.25], 2.0**-8, 100)["holds"]


def test_quantised_weights_are_those_of_bitsandbytes_by_definition() -> None:
    import torch
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    from spritelora.commands.benchmark.suite.numbers import defined_int8, defined_nf4

    weight = torch.randn(64, 128, generator=torch.Generator().manual_seed(0))
    ours, theirs = defined_nf4(weight.double()), dequantize_4bit(*quantize_4bit(weight, quant_type="nf4")).double()
    nearly_tied = 2.0**-20  # fp32 and fp64 may take another of two values that are as near
    assert ((ours - theirs).abs() > nearly_tied).double().mean() < 1e-3
    steps = defined_int8(weight.double()) / (weight.double().abs().amax(1, keepdim=True) / 127)
    assert torch.equal(steps.round(), steps.mul(2**20).round().div(2**20))
    assert steps.abs().max().round() == 127


@pytest.mark.slow
def test_the_whole_suite_has_a_figure_or_a_reason_in_every_row(tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "scripts/benchmark.py", *SMALL, f"output={folder}", "minutes=10"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    rows = rows_of(folder)
    assert list(rows) == [part.name for part in PARTS]
    for part in PARTS:
        row = rows[part.name]
        assert row["state"] == ("measured" if part.needs_card is None and part.name != "peers" else "skipped"), row
    assert rows["resume"]["figures"]["killed_and_resumed"]["different"] == 0
    assert rows["precision"]["figures"]["bf16"]["holds"]
