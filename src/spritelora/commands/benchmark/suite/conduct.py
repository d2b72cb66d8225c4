"""The order, the time limit and the files of the suite; what is measured runs in processes of its own."""

import json
import logging
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO

from spritelora.commands.benchmark.figures import Figures
from spritelora.commands.benchmark.suite.parts import Part, Setting, choose_parts, reason_to_skip
from spritelora.commands.benchmark.suite.sheet import Sheet
from spritelora.config.commands.benchmark import BenchmarkConfig
from spritelora.config.train.processes import num_cpus
from spritelora.errors import ConfigError, TrainingError
from spritelora.files import JsonObject
from spritelora.streams import say

log = logging.getLogger(__name__)

WORKER = "spritelora.commands.benchmark.suite.worker"
START_S = 120.0
"""Until a worker has imported its libraries; beyond that it hangs."""
PATIENCE = 4.0
"""Times what a part is thought to take, after which it is ended for the sake of the others."""
FEW_CPUS = 4
"""Under so many, what computes on the CPU waits for the device's parts to end."""

MEMORY_DISK = Path("/dev/shm")
ROOM_BYTES = 12e9
"""A full-size base in fp16 and what runs write beside it."""


class Lost(Exception):
    """A worker that ended, or was ended, before it answered."""


class Worker:
    """A process that measures one part after another."""

    def __init__(self, setting: Setting, log_file: IO[bytes]) -> None:
        told = {"config": asdict(setting.config), "folder": str(setting.folder), "work": str(setting.work)}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log_file
        )
        self._answers: queue.Queue[JsonObject | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._tell(json.dumps(told, default=lambda option: option.value))
        self.facts = self._answer(START_S)

    def measure(self, name: str, limit_s: float) -> Figures:
        """The answer of a part. Raises Lost where none comes within the limit."""
        self._tell(name)
        return self._answer(limit_s)

    def end(self) -> None:
        """End the process and those that it has started."""
        import psutil

        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(self._process.pid).children(recursive=True)
            self._process.kill()
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the answer that does not come says it
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(json.loads(line))
        self._answers.put(None)

    def _answer(self, limit_s: float) -> Figures:
        try:
            answer = self._answers.get(timeout=limit_s)
        except queue.Empty:
            self.end()
            raise Lost(f"ended after {limit_s:.0f} s without an answer") from None
        if answer is None:
            raise Lost(f"its process ended with status {self._process.wait()}; see log.txt")
        return answer


def conduct(config: BenchmarkConfig) -> Figures:
    """Measure part after part until the time is up; figures.json and tables.md hold each as soon as it is there."""
    deadline = time.monotonic() + 60 * config.minutes
    parts, folder = choose_parts(config.parts), _make_folder(config)
    with _work_folder() as work, (folder / "log.txt").open("wb") as log_file:
        setting = Setting(config, folder, Path(work))
        first = Worker(setting, log_file)
        if "error" in first.facts:
            first.end()
            raise ConfigError(first.facts["error"])
        has_card = first.facts["device"] != "cpu"
        if not has_card and not setting.is_small:
            first.end()
            raise ConfigError("mode=suite: there is no GPU here, and full size takes hours on a CPU; add size=small")
        sheet = Sheet(folder, first.facts, parts, config.minutes)
        for part in parts:
            if (reason := reason_to_skip(part, setting, has_card)) is not None:
                sheet.record({"part": part.name, "state": "skipped", "reason": reason})
        _run_lanes([p for p in parts if not sheet.has(p.name)], setting, sheet, first, log_file, deadline)
    say(sheet.text)
    log.info("written: %s", folder)
    return sheet.figures


def _work_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="spritelora-suite-", dir=_quick_disk())


def _quick_disk() -> Path | None:
    """The disk in memory where there is one with room for a full-size base; None for the usual temporary files."""
    has_room = MEMORY_DISK.is_dir() and shutil.disk_usage(MEMORY_DISK).free > ROOM_BYTES
    return MEMORY_DISK if has_room else None


def _make_folder(config: BenchmarkConfig) -> Path:
    if config.output is None:
        raise ConfigError("mode=suite writes several files; name a new folder for them with output=FOLDER")
    folder = Path(config.output)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"output={folder} exists already; name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"output={folder}: {error.strerror}; name another folder") from error
    return folder.resolve()


def _run_lanes(
    parts: Sequence[Part], setting: Setting, sheet: Sheet, first: Worker, log_file: IO[bytes], deadline: float
) -> None:
    """Run the device's parts, and beside them those of the CPU where it has cores to spare."""
    of_device = [p for p in parts if not p.on_cpu]
    of_cpu = [p for p in parts if p.on_cpu]
    beside = threading.Thread(target=_run_lane, args=(of_cpu, setting, sheet, None, log_file, deadline))
    if of_cpu and num_cpus() >= FEW_CPUS:
        beside.start()
    _run_lane(of_device, setting, sheet, first, log_file, deadline)
    if of_cpu and num_cpus() < FEW_CPUS:
        beside.start()
    if of_cpu:
        beside.join()


def _run_lane(
    parts: Sequence[Part],
    setting: Setting,
    sheet: Sheet,
    worker: Worker | None,
    log_file: IO[bytes],
    deadline: float,
) -> None:
    try:
        for part in parts:
            left_s = deadline - time.monotonic()
            expected_s = part.small_s if setting.is_small else part.seconds
            if left_s < expected_s / 2:
                reason = f"no time: it takes about {expected_s:.0f} s, and {max(left_s, 0):.0f} were left"
                sheet.record({"part": part.name, "state": "skipped", "reason": reason})
                continue
            started = time.monotonic()
            try:
                worker = worker or Worker(setting, log_file)
                answer = worker.measure(part.name, min(PATIENCE * expected_s + 20, left_s))
            except Lost as error:
                worker = None
                seconds = round(time.monotonic() - started, 1)
                answer = {"part": part.name, "state": "failed", "seconds": seconds, "reason": str(error)}
            sheet.record(answer)
            log.info("%s", sheet.line(part.name))
    finally:
        if worker is not None:
            worker.end()
