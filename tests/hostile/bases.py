"""Hostile base models and VAEs: what is none, and folders whose settings are odd."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.hostile.loras import HEADERS
from tests.hostile.trial import Kind
from tests.weight_files.strangers import OTHER_WEIGHTS, STRANGERS

FILE = ("tests/hostile/open_base.py", "{given}/base.safetensors")
VAE = ("tests/hostile/open_base.py", "", "{given}/base.safetensors")
FOLDER = ("tests/hostile/open_base.py", "{given}/base")

Change = Callable[[Path], object]
DEEP = b'{"a":' * 100_000


def text(name: str, content: bytes) -> Change:
    return lambda base: (base / name).write_bytes(content)


def settings(name: str, **values: Any) -> Change:
    def apply(base: Path) -> None:
        file = base / name
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

    return apply


def removed(name: str) -> Change:
    return lambda base: shutil.rmtree(base / name) if (base / name).is_dir() else (base / name).unlink()


FOLDERS: dict[str, Change] = {
    "no index": removed("model_index.json"),
    "an index that is deep": text("model_index.json", DEEP),
    "an index that is a list": text("model_index.json", b"[]"),
    "an index not UTF-8": text("model_index.json", b"\xff"),
    "an index of another": settings("model_index.json", _class_name="FluxPipeline"),
    "an index of code": settings("model_index.json", _class_name=["os", "system"]),
    "no UNet": removed("unet"),
    "a UNet's settings that are deep": text("unet/config.json", DEEP),
    "a UNet's settings that are null": text("unet/config.json", b"null"),
    "a UNet of 10^9 channels": settings("unet/config.json", block_out_channels=[10**9, 10**9, 10**9]),
    "a UNet of channels of words": settings("unet/config.json", block_out_channels=["x"]),
    "a UNet of 4 other inputs": settings("unet/config.json", in_channels="4"),
    "a UNet without blocks": settings("unet/config.json", down_block_types=[]),
    "a UNet of blocks of code": settings("unet/config.json", down_block_types=["os.system"] * 3),
    "weights that are a pickle": text("unet/diffusion_pytorch_model.safetensors", STRANGERS["torch"][0]),
    "weights that are empty": text("unet/diffusion_pytorch_model.safetensors", b""),
    "weights of others": lambda base: save_file({"x": torch.zeros(1)}, base / "unet" / "diffusion_pytorch_model.safetensors"),
    "a schedule of words": settings("scheduler/scheduler_config.json", num_train_timesteps="x"),
    "a schedule of 10^12 steps": settings("scheduler/scheduler_config.json", num_train_timesteps=10**12),
    "a schedule of another kind": settings("scheduler/scheduler_config.json", beta_schedule="__import__('os')"),
    "a schedule of betas of 5": settings("scheduler/scheduler_config.json", beta_start=5, beta_end=-5),
    "a prediction of words": settings("scheduler/scheduler_config.json", prediction_type="x"),
    "canvases that are deep": text("canvases.json", DEEP),
    "canvases of words": text("canvases.json", b'[["x", "y"]]'),
    "canvases of 10^12 px": text("canvases.json", b"[[1000000000000, 32]]"),
    "a million canvases": text("canvases.json", b"[" + b"[128, 192]," * 1_000_000 + b"[128, 128]]"),
    "a tokenizer that is deep": text("tokenizer/tokenizer_config.json", DEEP),
    "a tokenizer of code": settings("tokenizer/tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.py", "x"]}, tokenizer_class="os.system"),
    "no tokenizer": removed("tokenizer"),
}  # fmt: skip


def kinds() -> Iterator[Kind]:
    """All kinds about base models."""

    def plant(change: Change) -> Change:
        def make(given: Path) -> None:
            from spritelora.embedded.location import embedded_base

            shutil.copytree(embedded_base(), given / "base")
            change(given / "base")

        return make

    for name, (content, _) in STRANGERS.items():
        write = lambda given, content=content: (given / "base.safetensors").write_bytes(content)  # noqa: E731
        yield Kind("base file", name, write, FILE)
    for name, make in HEADERS.items():
        write = lambda given, make=make: (given / "base.safetensors").write_bytes(make())  # noqa: E731
        yield Kind("VAE file", name, write, VAE)
    for name, (shapes, _) in OTHER_WEIGHTS.items():
        save = lambda given, shapes=shapes: save_file(  # noqa: E731
            {n: torch.zeros(s) for n, s in shapes.items()}, given / "base.safetensors"
        )
        yield Kind("base file", f"holds: {name}", save, FILE)
    for name, change in FOLDERS.items():
        yield Kind("base folder", name, plant(change), FOLDER, may="either" if "of code" in name else "refused")
