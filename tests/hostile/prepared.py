"""Hostile prepared folders: manifests and states edited by hand, and folders that lead elsewhere."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from tests.conftest import draw_sprite
from tests.hostile.images import ESCAPES, READ
from tests.hostile.trial import Kind

AGAIN = (
    "scripts/prepare.py",
    "input={given}/art",
    "output={given}/set",
    "workers=1",
    "create_captions=true",
    "resolution=64",
)

Change = Callable[[Path], object]
DEEP = '{"a":' * 100_000


def make_prepared(folder: Path) -> None:
    """A folder of art, and what prepare made of it."""
    from tests.conftest import ROOT
    from tests.running import run_python

    (folder / "prepared" / "art").mkdir(parents=True)
    for number in range(3):
        Image.fromarray(draw_sprite(number)).save(folder / "prepared" / "art" / f"gem_{'abc'[number]}.png")
    words = [word.format(given=folder / "prepared") for word in AGAIN]
    done = run_python(ROOT / words[0], *words[1:], cwd=folder)
    assert done.returncode == 0, done.stderr


def line(**values: Any) -> Change:
    """The first line of the manifest with other values."""

    def apply(place: Path) -> None:
        file = place / "manifest.jsonl"
        first, *rest = file.read_text().splitlines()
        file.write_text("\n".join([json.dumps({**json.loads(first), **values}), *rest]) + "\n")

    return apply


def text(name: str, content: str | bytes) -> Change:
    return lambda place: (place / name).write_bytes(content.encode() if isinstance(content, str) else content)


def state(**values: Any) -> Change:
    def apply(place: Path) -> None:
        file = place / ".prepare" / "state.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

    return apply


def named(name: str) -> Change:
    """A state that says prepare wrote a file of this name, which is no longer wanted."""

    def apply(place: Path) -> None:
        treasure = place.parent.parent / "victim" / "treasure.txt"
        import hashlib

        told = name.format(victim=treasure.parent)
        file = place / ".prepare" / "state.json"
        content = json.loads(file.read_text())
        content["files"][told] = hashlib.sha256(treasure.read_bytes()).hexdigest()
        content["fingerprint"] = ""
        file.write_text(json.dumps(content))

    return apply


def linked(name: str) -> Change:
    def apply(place: Path) -> None:
        shutil.rmtree(place / name, ignore_errors=True)
        (place / name).symlink_to(place.parent.parent / "victim")

    return apply


WRONG = {"null": None, "a list": [1], "a text": "x", "-1": -1, "2^40": 2**40, "true": True, "1.5": 1.5}
FIELDS = ("file", "native_size", "factor", "offset", "canvas", "matte", "sha256", "mask", "repeats")
ODD = ("a source", "a caption", "findings of", "an image of another", "file is a text")
MANIFESTS: dict[str, Change] = {
    "no JSON": text("manifest.jsonl", "{"),
    "deep": text("manifest.jsonl", DEEP),
    "not UTF-8": text("manifest.jsonl", b"\xff\n"),
    "a NUL": text("manifest.jsonl", b"\0\n"),
    "2,000,000 lines": text("manifest.jsonl", "{}\n" * 2_000_000),
    "an image upwards": line(file="../../victim/treasure.txt"),
    "an absolute image": line(file="/etc/passwd"),
    "an image of another name": line(file="x.png"),
    "a mask upwards": line(mask="../../victim/treasure.txt"),
    "a mask that is the image": line(mask="gem_a.png"),
    "a canvas of 8192 x 8192": line(canvas=[8192, 8192]),
    "a factor that does not fit": line(factor=50),
    "a source with escapes": line(source=ESCAPES, tag="\nFORGED"),
    "a caption with escapes": line(caption=ESCAPES),
    "findings of 1,000,000": line(findings=["x"] * 1_000_000),
    **{f"{field} is {name}": line(**{field: value}) for field in FIELDS for name, value in WRONG.items()
       if (field, name) not in {("mask", "null"), ("mask", "a text"), ("repeats", "2^40")}},
}  # fmt: skip
STATES: dict[str, Change] = {
    "no JSON": text(".prepare/state.json", "{"),
    "deep": text(".prepare/state.json", DEEP),
    "a list": text(".prepare/state.json", "[]"),
    "not UTF-8": text(".prepare/state.json", b"\xff"),
    "files a list": state(files=["x"]),
    "files of numbers": state(files={"gem_a.png": 5}),
    "kept a text": state(kept="x"),
    "findings a number": state(findings=5),
    "a file upwards": named("../../victim/treasure.txt"),
    "an absolute file": named("{victim}/treasure.txt"),
    "a file of NUL": named("a\0b"),
    "a file of itself": named(".prepare/state.json"),
    "a journal upwards": text(".prepare/journal", "0 ../../victim/treasure.txt\n"),
    "a journal that is no text": text(".prepare/journal", b"\xff\0\n" * 99),
    "masks linked out": linked(".masks"),
    "its folder linked out": linked(".prepare"),
}


def kinds() -> Iterator[Kind]:
    """All kinds about prepared folders."""

    def plant(change: Change, place: str) -> Change:
        def make(given: Path) -> None:
            shutil.copytree(given.parent.parent / "shared" / "prepared", given, dirs_exist_ok=True)
            change(given / "set")
            if place == "set":
                shutil.rmtree(given / "art")
                for path in (given / "set").iterdir():
                    path.rename(given / path.name)
                (given / "set").rmdir()

        return make

    for name, change in MANIFESTS.items():
        may = (
            "either"
            if name.startswith(("a source", "a caption", "findings of", "an image of another", "file is a text"))
            else "refused"
        )
        yield Kind("manifest (train)", name, plant(change, "set"), READ, may=may)
    for name, change in STATES.items():
        yield Kind("prepare's state", name, plant(change, ""), AGAIN, may="either", edits=True)
