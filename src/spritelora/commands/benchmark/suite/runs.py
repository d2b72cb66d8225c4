"""Whole commands as a user types them: killed, stopped, out of memory, resumed, and from start to end."""

import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spritelora.commands.benchmark.figures import Figures
from spritelora.commands.benchmark.suite.parts import Setting
from spritelora.commands.benchmark.whole_command import told_step_s
from spritelora.config.train.hardware_keys import Device
from spritelora.data.training_set import demo_folder
from spritelora.embedded.location import embedded_base
from spritelora.errors import TrainingError
from spritelora.program import child_command
from spritelora.runs.layout import FINAL, LORA_FILE
from spritelora.runs.metrics import LINES, read_events, series
from spritelora.training.callbacks.checkpoints import step_name
from spritelora.weight_files.container import read_tensors

SHORT = (
    "data.limit=12",
    "model.resolution=128",
    "targets=attention",
    "trainer.batch_size=2",
    "trainer.max_steps=8",
    "trainer.save_every=4",
    "trainer.sample_every=0",
    "trainer.validate_every=0",
    "trainer.log_every=1",
    "validation.draws=1",
    "validation.bands=2",
    "sampler.steps=2",
    "logger=csv",
)
"""A training of the embedded base that is over in seconds."""
WHOLE_STEPS = 40


@dataclass(frozen=True)
class Ended:
    """A command that has ended: its exit status, what it said, and its seconds."""

    status: int
    text: str
    seconds: float

    def require(self, status: int) -> "Ended":
        """Itself. Raises TrainingError, with the last line that it said, for another exit status."""
        if self.status != status:
            said = [line for line in self.text.splitlines() if line.strip()] or ["nothing"]
            raise TrainingError(f"ended with status {self.status} where {status} was due: {said[-1]}")
        return self


def train(setting: Setting, *overrides: str, watch: Callable[["subprocess.Popen[str]"], None] | None = None) -> Ended:
    """Run train.py on the suite's device. `watch`: called with the process while it runs."""
    device = f"hardware.device={setting.config.device.value}"
    threads = [f"hardware.threads={setting.config.threads}"] if setting.config.threads else []
    cache = f"data.cache={setting.work / 'cache'}"
    return run(child_command("train", device, *threads, cache, *overrides), watch)


def run(command: Sequence[str], watch: Callable[["subprocess.Popen[str]"], None] | None = None) -> Ended:
    """Run a command to its end."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8")
    if watch is not None:
        watch(process)
    text, _ = process.communicate()
    sys.stderr.write(text)
    return Ended(process.returncode, text, time.perf_counter() - started)


def wait_for_step(run_dir: Path, step: int, process: "subprocess.Popen[str]") -> None:
    """Return when a run has logged a step, or has ended."""
    while process.poll() is None:
        if any(logged >= step for logged, _ in series(read_events(run_dir / LINES), "loss")):
            return
        time.sleep(0.02)


def resume(setting: Setting) -> Figures:
    """A run killed at step 6 of 8 and resumed from step 4, beside an undisturbed one, and that beside a second one."""
    undisturbed, again, killed = (setting.work / name for name in ("undisturbed", "again", "killed"))

    def kill(process: "subprocess.Popen[str]") -> None:
        wait_for_step(killed, 6, process)
        process.kill()

    def interrupted() -> Ended:
        train(setting, *SHORT, f"output={killed}", watch=kill)
        return train(setting, f"resume={killed}")

    is_cuda = _is_cuda(setting)
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(train, setting, *SHORT, f"output={undisturbed}"), pool.submit(interrupted)]
        if is_cuda:  # where a sum's order may change from run to run
            runs.append(pool.submit(train, setting, *SHORT, f"output={again}"))
        for one in runs:
            one.result().require(0)
    figures: Figures = {"killed_and_resumed": tensors_apart(undisturbed, killed)}
    if is_cuda:
        figures["a_second_run"] = tensors_apart(undisturbed, again)
        figures["operations_of_no_fixed_order"] = unordered_operations(setting)
    return figures


def tensors_apart(one: Path, other: Path) -> Figures:
    """The tensors of two runs' LoRA files that differ, and by how much at most."""
    ours, theirs = (read_tensors(run_dir / FINAL / LORA_FILE) for run_dir in (one, other))
    apart = {name: float((ours[name].float() - theirs[name].float()).abs().max()) for name in ours}
    different = [name for name, most in apart.items() if most > 0]
    return {"tensors": len(ours), "different": len(different), "most_apart": max(apart.values())}


def unordered_operations(setting: Setting) -> str:
    """Operations of a training step whose sums have no fixed order on the device, by torch's own account."""
    import warnings

    import torch

    from spritelora.commands.benchmark.suite.numbers import of_embedded_base, one_pass
    from spritelora.commands.benchmark.training import adapted_unet
    from spritelora.training.hardware import choose_hardware

    config = of_embedded_base(setting)
    hardware = choose_hardware(config.device, config.precision)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            one_pass(adapted_unet(config, hardware), hardware, config)
    finally:
        torch.use_deterministic_algorithms(False)
    names = {match[1] for w in caught if (match := re.match(r"(\S+) does not have a deterministic", str(w.message)))}
    return ", ".join(sorted(names)) or "none"


def sigterm(setting: Setting) -> Figures:
    """SIGTERM while a step runs: the exit status, the checkpoint, and the seconds from the signal to the end."""
    run_dir, sent_at = setting.work / "stopped", list[float]()

    def stop(process: "subprocess.Popen[str]") -> None:
        wait_for_step(run_dir, 2, process)
        sent_at.append(time.perf_counter())
        process.send_signal(signal.SIGTERM)

    train(setting, *SHORT, "trainer.max_steps=100000", f"output={run_dir}", watch=stop).require(128 + signal.SIGTERM)
    kept = sorted(path.name for path in run_dir.glob(step_name(0)[:-1] + "*"))
    return {
        "status": 128 + signal.SIGTERM,
        "seconds_to_end": round(time.perf_counter() - sent_at[0], 2),
        "kept": kept[-1],
    }


def memory(setting: Setting) -> Figures:
    """A batch for which the card has no room, with the advice that follows; then the same batch with recomputing."""
    batch, free_gb = 512, 3.0
    overrides = (*SHORT, f"trainer.batch_size={batch}", "trainer.max_steps=2", "trainer.save_every=2")
    with ballast(free_gb):
        failed = train(
            setting, *overrides, f"output={setting.work / 'too_large'}", "hardware.gradient_checkpointing=false"
        ).require(1)
        error = next((line for line in failed.text.splitlines() if line.startswith("error: ")), "no error line")
        again = train(setting, *overrides, f"output={setting.work / 'fits'}", "hardware.gradient_checkpointing=true")
        drawn = drawing_without_room(setting)
    return {
        "batch_size": batch,
        "free_gb": free_gb,
        "error": error,
        "status_with_recomputing": again.require(0).status,
        "drawing": drawn,
    }


def drawing_without_room(setting: Setting, images: int = 2048) -> str:
    """The error of generate where so many images at once have no room."""
    size = [f"count={images}", f"sampler.batch_size={images}", "sampler.steps=1"]
    where = [f"device={setting.config.device.value}", f"output={setting.work / 'drawn'}", "prompts=[red potion]"]
    ended = run(child_command("generate", *size, *where))
    return next((line for line in ended.text.splitlines() if line.startswith("error: ")), f"status {ended.status}")


def doctor(setting: Setting) -> Figures:
    """The lines that doctor prints for the whole run of this suite, the last of which is its verdict."""
    size = () if setting.is_small else ("model=sdxl", f"model.path={full_base(setting)}")
    device = f"hardware.device={setting.config.device.value}"
    cache = f"data.cache={setting.work / 'cache'}"
    ended = run(child_command("doctor", *size, device, cache, "optim=adamw8bit", "trainer.batch_size=1"))
    lines = [line.strip() for line in ended.text.splitlines() if line.strip()]
    return {"seconds": round(ended.seconds, 1), "status": ended.status, "verdict": lines[-1], "lines": lines}


@contextmanager
def ballast(free_gb: float) -> Any:
    """Hold the card's memory but for so many GB, so that others really run out of it."""
    import torch

    free_bytes = torch.cuda.mem_get_info()[0]
    held = torch.empty(max(0, free_bytes - int(free_gb * 1e9)), dtype=torch.uint8, device="cuda")
    try:
        yield
    finally:
        del held
        torch.cuda.empty_cache()


def validate(setting: Setting) -> Figures:
    """The page of validate for the undisturbed run."""
    run_dir = setting.work / "undisturbed"
    if not (run_dir / FINAL).is_dir():
        train(setting, *SHORT, f"output={run_dir}").require(0)
    page = setting.work / "validation"
    device = f"hardware.device={setting.config.device.value}"
    words = (f"run={run_dir}", f"output={page}", "num_prompts=2", "strengths=[1.0]", device)
    ended = run(child_command("validate", *words)).require(0)
    shutil.copy(page / "validation.html", setting.folder / "validation.html")
    return {"seconds": round(ended.seconds, 1), "page_kb": round((page / "validation.html").stat().st_size / 1000, 1)}


def whole(setting: Setting) -> Figures:
    """train.py from start to end with adamw8bit and a checkpoint half way, then four steps more by resuming it."""
    run_dir, steps = setting.work / "whole", 8 if setting.is_small else WHOLE_STEPS
    if setting.is_small:
        base: tuple[str, ...] = SHORT
    else:
        base = ("model=sdxl", f"model.path={full_base(setting)}", *SHORT[:2], *SHORT[5:], "hardware.precision=bf16")
    length = (f"trainer.max_steps={steps}", f"trainer.save_every={steps // 2}", "trainer.batch_size=1")
    ended = train(setting, *base, *length, "optim=adamw8bit", "lora=rank32", f"output={run_dir}").require(0)
    events = read_events(run_dir / LINES)
    more = train(setting, f"resume={run_dir}", f"trainer.max_steps={steps + 4}").require(0)
    return {
        "whole_s": round(ended.seconds, 1),
        "median_step_s": float(f"{statistics.median(time_s for _, time_s in series(events, 'step_time_s')):.4g}"),
        "run_peak_gb": round(max(peak for _, peak in series(events, "peak_gb")), 2),
        "resumed_s": round(more.seconds, 1),
        "lora_mb": round((run_dir / FINAL / LORA_FILE).stat().st_size / 1e6, 1),
    }


def full_base(setting: Setting) -> Path:
    """A full-size base of random weights in the suite's folder of temporary files, made once."""
    from spritelora.embedded.random_base import write_random_base
    from spritelora.training.hardware import choose_hardware

    folder = setting.work / "base"
    if not folder.exists():
        write_random_base(folder, choose_hardware(setting.config.device, setting.config.precision).device)
    return folder


def peers(setting: Setting) -> Figures:
    """Each shell script in the folder of peers, told base and images, with the step that its progress bar tells."""
    assert setting.config.peers is not None
    folder = Path(setting.config.peers)
    scripts = sorted(folder.glob("*.sh"))
    if not scripts:
        raise TrainingError(f"peers={folder}: no *.sh there; each is called with BASE, IMAGES and OUTPUT as variables")
    base = embedded_base() if setting.is_small else full_base(setting)
    images = demo_folder(setting.work / "cache")
    figures: Figures = {}
    for script in scripts:
        told = {"BASE": str(base), "IMAGES": str(images), "OUTPUT": str(setting.work / script.stem)}
        ended = run(["env", *(f"{name}={value}" for name, value in told.items()), "bash", str(script)])
        figures[script.stem] = {
            "status": ended.status,
            "seconds": round(ended.seconds, 1),
            "step_s": told_step_s(ended.text),
        }
    return figures


def _is_cuda(setting: Setting) -> bool:
    import torch

    return setting.config.device is not Device.cpu and torch.cuda.is_available()
