"""A process that measures parts, one line of JSON asked and one answered, so that a crash costs one part alone."""

import json
import logging
import os
import sys
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO, cast

from spritelora.commands.benchmark.figures import Figures
from spritelora.commands.benchmark.suite.parts import PARTS, Setting
from spritelora.config.commands.benchmark import BenchmarkConfig
from spritelora.config.strict import load
from spritelora.errors import SpriteLoraError, first_line
from spritelora.files import JsonObject, without_nan
from spritelora.process import import_bitsandbytes, package_versions, prepare_libraries, quick_imports
from spritelora.streams import complain


def main() -> None:
    """Answer the parts that standard input asks for, until it ends."""
    answers = _own_standard_output()
    prepare_libraries()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    told = json.loads(sys.stdin.readline())
    setting = Setting(_settings(told["config"]), Path(told["folder"]), Path(told["work"]))
    with quick_imports():
        import_bitsandbytes()
    print(json.dumps(_introduce(setting.config)), file=answers, flush=True)
    asked = _ask_in_background(sys.stdin)
    while (name := asked()) is not None:
        print(json.dumps(_measure(name, setting)), file=answers, flush=True)


def _own_standard_output() -> TextIO:
    """Standard output for the answers alone: whatever else prints goes to standard error, libraries in C included."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _settings(plain: JsonObject) -> BenchmarkConfig:
    from omegaconf import DictConfig, OmegaConf

    return load(cast(DictConfig, OmegaConf.merge(OmegaConf.structured(BenchmarkConfig), plain)), BenchmarkConfig)


def _ask_in_background(questions: TextIO) -> Any:
    """A function that gives the next name; where the questions end while a part runs, so does this process."""
    import queue

    names: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in questions:
            names.put(line.strip())
        names.put(None)
        time.sleep(2)  # the main thread ends by itself unless it is in the middle of a part
        os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    return names.get


def _introduce(config: BenchmarkConfig) -> Figures:
    """The device and the libraries, or the mistake in what was asked for."""
    from spritelora.training.hardware import choose_hardware
    from spritelora.training.machine import read_device

    try:
        hardware = choose_hardware(config.device, config.precision)
    except SpriteLoraError as error:
        return {"error": str(error)}
    facts = read_device(hardware.device)
    return {
        "device": facts.kind,
        "name": hardware.name,
        "memory_gb": round(facts.total_gb, 1),
        "capability": facts.capability,
        "threads": config.threads,
        "libraries": package_versions(),
    }


def _measure(name: str, setting: Setting) -> Figures:
    part = next(p for p in PARTS if p.name == name)
    complain(f"== {name}: {part.title}")
    started = time.perf_counter()
    try:
        answer: JsonObject = {"state": "measured", "figures": without_nan(part.load()(replace(setting, part=name)))}
    except Exception as error:  # whatever a part meets is a finding; the next part goes on
        traceback.print_exc()
        told = str(error) if isinstance(error, SpriteLoraError) else f"{type(error).__name__}: {first_line(error)}"
        answer = {"state": "failed", "reason": told}
    free_memory()
    return {"part": name, "seconds": round(time.perf_counter() - started, 1), **answer}


def free_memory() -> None:
    """Give back what a part has held on the device."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


if __name__ == "__main__":
    main()
