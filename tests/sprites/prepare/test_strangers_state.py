"""What a prepared folder says of its own files is a stranger's word: nothing outside it is written or removed."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from spritelora.commands.prepare.prepare import prepare
from spritelora.config.commands.prepare import PrepareConfig
from spritelora.errors import DatasetError
from spritelora.sprites.prepare.output_folder import JOURNAL, LOCK, PRIVATE, STATE
from tests.conftest import draw_sprite

MINE = b"a file of the user's"
SHA256 = hashlib.sha256(MINE).hexdigest()
Plant = Callable[[Path], None]
"""What a stranger did to a prepared folder, beside which `mine.txt` lies and the folder `outside`."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of art, and beside it the prepared one."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("made")
    (folder / "art" / "10_knight").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "10_knight/c.png")):
        Image.fromarray(draw_sprite(number)).save(folder / "art" / name)
    prepare(settings(folder))
    return folder


def settings(folder: Path, **more: object) -> PrepareConfig:
    asked = {"input": str(folder / "art"), "output": str(folder / "out"), "create_captions": True, "workers": 1}
    return PrepareConfig(**{**asked, **more})  # pyright: ignore[reportArgumentType]


def recorded(name: str) -> Plant:
    """The name among the files of the last run, with the hash of the user's file."""

    def plant(out: Path) -> None:
        state = json.loads((out / STATE).read_text())
        state["files"][name.format(beside=out.parent)] = SHA256
        (out / STATE).write_text(json.dumps(state))

    return plant


def kept(name: str) -> Plant:
    def plant(out: Path) -> None:
        state = json.loads((out / STATE).read_text())
        state["kept"][name.format(beside=out.parent)] = None
        (out / STATE).write_text(json.dumps(state))

    return plant


def journalled(name: str) -> Plant:
    """The name in the journal of a run that was killed."""
    return lambda out: (out / JOURNAL).write_text(f"{SHA256} {name.format(beside=out.parent)}\n") and None


def linked(name: str) -> Plant:
    """A folder or file of the set as a link to the user's."""

    def plant(out: Path) -> None:
        place = out / name
        target = out.parent / ("outside" if place.is_dir() or "." not in place.name.lstrip(".") else "mine.txt")
        if place.is_dir():
            shutil.copytree(place, target, dirs_exist_ok=True)
            shutil.rmtree(place)
        elif place.exists():
            place.unlink()
        place.symlink_to(target)

    return plant


def journal_as_link(out: Path) -> None:
    (out / JOURNAL).symlink_to(out.parent / "mine.txt")


def lock_as_link(out: Path) -> None:
    (out / LOCK).unlink(missing_ok=True)
    (out / LOCK).symlink_to(out.parent / "new.txt")


ATTEMPTS: dict[str, Plant] = {
    "up": recorded("../mine.txt"),
    "absolute": recorded("{beside}/mine.txt"),
    "up in the journal": journalled("../mine.txt"),
    "absolute in the journal": journalled("{beside}/mine.txt"),
    "linked masks": linked(".masks"),
    "linked .prepare": linked(PRIVATE),
    # variants of ours
    "up from within": recorded("10_knight/../../mine.txt"),
    "up by backslashes": recorded("..\\mine.txt"),
    "a drive": recorded("C:/mine.txt"),
    "up among the kept": kept("../mine.txt"),
    "a linked folder of the set": linked("10_knight"),
    "a linked state": linked(STATE),
    "a linked journal": journal_as_link,
    "a linked lock": lock_as_link,
    "a zero": recorded("mine.txt\0"),
    "the folder itself": recorded("."),
}


@pytest.mark.parametrize("kind", ATTEMPTS)
@pytest.mark.parametrize("more", [{}, {"resolution": 256}], ids=["again", "anew"])
def test_nothing_outside_the_folder_is_written_or_removed(
    kind: str, more: dict[str, object], made: Path, tmp_path: Path
) -> None:
    here = Path(shutil.copytree(made, tmp_path / "here"))
    (here / "mine.txt").write_bytes(MINE)
    (here / "outside").mkdir()
    (here / "outside" / "own.txt").write_bytes(MINE)
    ATTEMPTS[kind](here / "out")
    (here / "art" / "a.png").unlink()  # so that there is something to remove
    before = contents(here)
    with pytest.raises(DatasetError, match="prepare into a new folder"):
        prepare(settings(here, **more))
    assert contents(here) == before


def contents(here: Path) -> dict[str, bytes]:
    """All files but those in the prepared folder itself."""
    files = [p for place in (here, here / "outside", here / "art") for p in place.rglob("*") if p.is_file()]
    return {str(p): p.read_bytes() for p in files if not p.is_relative_to(here / "out")}


DAMAGED = {
    "a list": "[]",
    "a number": "3",
    "deep": "[" * 100_000,
    "files as a list": {"files": ["a.png"]},
    "a hash as a number": {"files": {"a.png": 3}},
    "kept as a text": {"kept": "a.png"},
    "findings as numbers": {"findings": [[1, "error", "a", "b"]]},
    "a finding too short": {"findings": [["a"]]},
    "no fingerprint": {"fingerprint": None},
    "bytes": b"\xff\xfe",
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_state_of_another_form_is_one_error(kind: str, made: Path, tmp_path: Path) -> None:
    here = Path(shutil.copytree(made, tmp_path / "here"))
    content = DAMAGED[kind]
    if isinstance(content, dict):
        content = json.dumps({**json.loads((here / "out" / STATE).read_text()), **content})
    (here / "out" / STATE).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DatasetError, match="prepare into a new folder"):
        prepare(settings(here))


def test_a_journal_that_a_kill_has_cut_is_read(made: Path, tmp_path: Path) -> None:
    here = Path(shutil.copytree(made, tmp_path / "here"))
    (here / "out" / JOURNAL).write_bytes(f"{SHA256} a.png\n{SHA256[:20]}".encode())
    prepare(settings(here))
    assert not (here / "out" / JOURNAL).exists()
