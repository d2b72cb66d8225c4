"""Hostile cache entries: of something else, of another shape, with other numbers. All are to be made anew."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from tests.conftest import draw_sprite
from tests.hostile.trial import Kind
from tests.weight_files.strangers import STRANGERS

ENCODE = ("tests/hostile/encode.py", "{given}/sprites", "{given}/cache")

Tensors = dict[str, torch.Tensor]


def make_cache(folder: Path) -> str:
    """Two captioned sprites and their cache in a folder. Returns what encode.py says of them."""
    from tests.conftest import ROOT
    from tests.running import run_python

    (folder / "sprites").mkdir(parents=True)
    for number in range(2):
        Image.fromarray(draw_sprite(number)).save(folder / "sprites" / f"{number}.png")
        (folder / "sprites" / f"{number}.txt").write_text(f"pixel art, gem {number}\n")
    done = run_python(ROOT / "tests/hostile/encode.py", folder / "sprites", folder / "cache", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _read(file: Path) -> tuple[Tensors, dict[str, str]]:
    with safe_open(file, framework="pt") as opened:
        return {n: opened.get_tensor(n) for n in opened.keys()}, dict(opened.metadata() or {})  # noqa: SIM118


def _each(kind: str, change: Callable[[Tensors, dict[str, str]], object]) -> Callable[[Path], object]:
    def spoil(cache: Path) -> None:
        for file in sorted(cache.glob(f"{kind}/*/*.safetensors")):
            tensors, notes = _read(file)
            change(tensors, notes)
            file.unlink()
            save_file(tensors, file, notes)

    return spoil


def _swap(kind: str) -> Callable[[Path], object]:
    def spoil(cache: Path) -> None:
        first, second = sorted(cache.glob(f"{kind}/*/*.safetensors"))
        content = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(content)

    return spoil


def _write(kind: str, content: bytes) -> Callable[[Path], object]:
    return lambda cache: [f.write_bytes(content) for f in cache.glob(f"{kind}/*/*.safetensors")]


def _folders(cache: Path) -> None:
    for file in cache.glob("*/*/*.safetensors"):
        file.unlink()
        file.mkdir()


def _links(cache: Path) -> None:
    for file in cache.glob("*/*/*.safetensors"):
        file.unlink()
        file.symlink_to(cache.parent.parent / "victim" / "treasure.txt")


def _set(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Tensors, dict[str, str]], object]:
    def spoil(tensors: Tensors, _notes: dict[str, str]) -> None:
        tensors[name] = change(tensors[name]).contiguous()

    return spoil


SPOILT: dict[str, Callable[[Path], object]] = {
    "latents swapped": _swap("latents"),
    "texts swapped": _swap("texts"),
    "latents of another size": _each("latents", _set("latents", lambda t: t[:, :4, :4])),
    "latents of 3 channels": _each("latents", _set("latents", lambda t: t[:3])),
    "latents with a batch": _each("latents", _set("latents", lambda t: t[None])),
    "latents of nan": _each("latents", _set("latents", lambda t: t * float("nan"))),
    "latents with inf": _each("latents", _set("latents", lambda t: t / 0)),
    "latents in 16 bits": _each("latents", _set("latents", torch.Tensor.half)),
    "latents in 64 bits": _each("latents", _set("latents", torch.Tensor.double)),
    "latents that are whole numbers": _each("latents", _set("latents", torch.Tensor.int)),
    "latents by another name": _each("latents", lambda t, _: t.update(x=t.pop("latents"))),
    "latents and more": _each("latents", lambda t, _: t.update(x=torch.ones(1))),
    "latents of none": _each("latents", lambda t, _: t.clear()),
    "latents without notes": _each("latents", lambda _, n: n.clear()),
    "texts of nan": _each("texts", _set("states", lambda t: t * float("nan"))),
    "texts of another width": _each("texts", _set("states", lambda t: t[:, :9])),
    "texts of 78 tokens": _each("texts", _set("states", lambda t: torch.cat([t, t[:1]]))),
    "texts of another pooled width": _each("texts", _set("pooled", lambda t: t[:9])),
    "texts without pooled": _each("texts", lambda t, _: t.pop("pooled")),
    "texts without notes": _each("texts", lambda _, n: n.clear()),
    "folders": _folders,
    "links out": _links,
    **{f"not safetensors: {n}": _write("latents", STRANGERS[n][0]) for n in ("empty", "torch", "page", "half the numbers", "overlapping")},
}  # fmt: skip


def kinds() -> Iterator[Kind]:
    """All kinds about cache entries; each must give the numbers of a sound cache."""
    for name, spoil in SPOILT.items():

        def plant(given: Path, spoil: Callable[[Path], object] = spoil) -> None:
            shutil.copytree(given.parent.parent / "shared" / "cached", given, dirs_exist_ok=True)
            spoil(given / "cache")

        may = "either" if name == "folders" else "taken"
        yield Kind("cache entry", name, plant, ENCODE, may=may, edits=True, shows="cached.txt")
