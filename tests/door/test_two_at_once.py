"""Two commands started at once: each finishes or is refused, and neither loses a file.

`make slow` starts 20 pairs of each kind.
"""

import json
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from spritelora.door.run_folder import AskedFolder, RunInUse, claimed, make_folder, make_fresh, opened, remove_if_unused
from spritelora.runs.output import LOCK
from tests.conftest import QUICK, ROOT
from tests.running import start_python

SMALL = (*QUICK, "targets.modules=[attn2.to_v]", "trainer.max_steps=2", "trainer.batch_size=1", "validation.limit=1")
PAIRS = pytest.mark.parametrize("pairs", [1, pytest.param(20, marks=pytest.mark.slow)])
SLOW_PAIRS = pytest.mark.parametrize("pairs", [pytest.param(20, marks=pytest.mark.slow)])
REFUSED = r"error: .*(another process is writing this run|is not an empty folder|holds another sweep)"


def slow(value: object) -> object:
    """A case outside the default suite."""
    return pytest.param(value, marks=pytest.mark.slow)


@dataclass(frozen=True)
class Ended:
    """A command that has ended. `number`: which of the pair, from 1."""

    number: int
    status: int
    printed: str


def run_pair(folder: Path, script: str, words: Callable[[int], list[str]]) -> list[Ended]:
    """Start a command twice at once, with the words that `words` gives for the first and the second."""
    folder.mkdir(exist_ok=True)
    processes = [start_python(ROOT / script, *words(n), cwd=folder) for n in (1, 2)]
    ended: list[Ended] = []
    for number, process in enumerate(processes, 1):
        printed = "".join(process.communicate(timeout=300))
        assert process.returncode is not None
        ended.append(Ended(number, process.returncode, printed))
    for one in ended:
        assert "Traceback" not in one.printed, one.printed
        assert one.status == 0 or re.search(REFUSED, one.printed), one.printed
    assert any(one.status == 0 for one in ended), [one.printed for one in ended]
    return ended


def is_whole(run: Path, number: int) -> None:
    """A run with all its files, of the command that was started with this seed."""
    assert (run / "checkpoint_final" / "lora.safetensors").is_file()
    assert json.loads((run / "run.json").read_text())["settings"]["seed"] == number
    assert all(f"seed={number}" in OmegaConf.load(file) for file in run.glob(".hydra/**/overrides.yaml"))
    assert (run / ".hydra" / "config.yaml").is_file()
    assert json.loads((run / "training_metrics.json").read_text())["status"] == "finished"
    assert (run / "train.log").read_text().count("done in") == 1


def trained(cache: Path, number: int, *more: str) -> list[str]:
    return [*SMALL, f"data.cache={cache}", f"seed={number}", *more]


@PAIRS
def test_two_trainings_without_output_both_finish(pairs: int, cache: Path, tmp_path: Path) -> None:
    for pair in range(pairs):
        folder = tmp_path / str(pair)
        assert [e.status for e in run_pair(folder, "train.py", lambda n: trained(cache, n))] == [0, 0]
        runs = {
            json.loads((r / "run.json").read_text())["settings"]["seed"]: r
            for r in (folder / "outputs/train").iterdir()
        }
        assert runs.keys() == {1, 2}
        for number, run in runs.items():
            is_whole(run, number)


@PAIRS
def test_of_two_trainings_into_one_folder_one_is_refused(pairs: int, cache: Path, tmp_path: Path) -> None:
    """Also where it comes when the other has finished, and where the one that has the folder comes to nothing."""
    for pair in range(pairs):
        folder = tmp_path / str(pair)
        ended = run_pair(folder, "train.py", lambda n: trained(cache, n, "output=same"))
        (winner,) = [e.number for e in ended if e.status == 0]
        is_whole(folder / "same", winner)


@SLOW_PAIRS
def test_two_sweeps_without_output_both_finish(pairs: int, cache: Path, tmp_path: Path) -> None:
    for pair in range(pairs):
        folder = tmp_path / str(pair)
        ended = run_pair(folder, "train.py", lambda n: ["-m", *trained(cache, n, "lora.rank=2,4")])
        assert [e.status for e in ended] == [0, 0]
        sweeps = list((folder / "multirun/train").iterdir())
        assert len(sweeps) == 2
        for sweep in sweeps:
            number = json.loads((sweep / "0" / "run.json").read_text())["settings"]["seed"]
            for job in "01":
                is_whole(sweep / job, number)
            assert (sweep / "results.html").is_file()


@SLOW_PAIRS
@pytest.mark.parametrize("is_same", [True, False])
def test_two_sweeps_into_one_folder_share_it_or_one_is_refused(
    pairs: int, is_same: bool, cache: Path, tmp_path: Path
) -> None:
    """The same command twice is two workers on one sweep."""
    for pair in range(pairs):
        folder = tmp_path / str(pair)
        words = lambda n: ["-m", *trained(cache, 1 if is_same else n, "lora.rank=2,4", "output=same")]  # noqa: E731
        ended = run_pair(folder, "train.py", words)
        numbers = [e.number for e in ended if e.status == 0]
        assert numbers == [1, 2] if is_same else len(numbers) == 1
        for job in "01":
            is_whole(folder / "same" / job, 1 if is_same else numbers[0])


DRAWN = ("prompts=pixel art, red potion", "sampler.steps=1", "native_size=16", "model.resolution=64", "palette=none")
FILES = ("raw/pixel-art-red-potion.png", "sprites/pixel-art-red-potion.png", "sheet.png", "contact_sheet.png")


@SLOW_PAIRS
@pytest.mark.parametrize("where", [["output=same"], [], ["-m"], ["-m", "output=same"]], ids=" ".join)
def test_two_generates_at_once(pairs: int, where: list[str], tmp_path: Path) -> None:
    """Each draws with its own seed into a folder of its own, or one is refused."""
    for pair in range(pairs):
        folder = tmp_path / str(pair)
        ended = run_pair(folder, "scripts/generate.py", lambda n: [*where, *DRAWN, f"seed={n}"])
        kind = folder / ("multirun" if "-m" in where else "outputs") / "generate"
        places = [folder / "same"] if "output=same" in where else list(kind.iterdir())
        assert len(places) == sum(one.status == 0 for one in ended)
        assert "output=same" in where or len(places) == 2
        for place in places:
            job = place / "0" if "-m" in where else place
            assert all((job / file).is_file() for file in FILES)


@PAIRS
@pytest.mark.parametrize("where", [[], slow(["-m"])], ids=str)
def test_two_captions_at_once(pairs: int, where: list[str], sprite_folder: Path, tmp_path: Path) -> None:
    before = {f.name: f.read_bytes() for f in sprite_folder.iterdir()}
    words = [*where, f"data.path={sprite_folder}", "mode=validate"]
    for pair in range(pairs):
        ended = run_pair(tmp_path / str(pair), "scripts/caption.py", lambda _: words)
        assert [one.status for one in ended] == [0, 0]
    assert {f.name: f.read_bytes() for f in sprite_folder.iterdir()} == before


def test_twenty_makers_of_one_name_have_twenty_folders(tmp_path: Path) -> None:
    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(lambda _: make_fresh(tmp_path / "outputs" / "train" / "now"), range(20)))
    assert len(set(made)) == 20
    assert {p.name for p in made} == {"now", *(f"now_{n}" for n in range(2, 21))}
    assert sorted(p.name for p in (tmp_path / "outputs" / "train").iterdir()) == sorted(p.name for p in made)


def test_a_folder_that_goes_while_another_is_claimed_is_made_again(tmp_path: Path) -> None:
    """Many processes in turn claim a name, find nothing to write, and remove it: no two ever hold it, none fails."""
    holders = []

    def come_to_nothing(_: int) -> int:
        refused = 0
        for _ in range(40):
            try:
                with opened(
                    AskedFolder(tmp_path / "outputs" / "a" / "run", is_named=True), "train.log", lambda _: None
                ) as run:
                    holders.append(run)
                    assert len(holders) == 1
                    (run / "train.log").touch()
                    holders.remove(run)
            except RunInUse:
                refused += 1
        return refused

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(come_to_nothing, range(8))) < 8 * 40
    assert not list((tmp_path / "outputs" / "a").glob(".run*"))


def test_folders_that_another_thread_keeps_removing_are_made(tmp_path: Path) -> None:
    """Whoever makes them meets each moment of their removal: no parent, a folder that goes when it is looked at."""
    parent = tmp_path / "outputs" / "a"
    ended = threading.Event()

    def remove() -> None:
        while not ended.is_set():
            for folder in (parent / "run", parent):
                with suppress(OSError):
                    folder.rmdir()
            time.sleep(1e-4)

    remover = threading.Thread(target=remove)
    remover.start()
    try:
        for _ in range(3000):
            make_folder(AskedFolder(parent / "run", is_named=True))
            with claimed(parent / "run"):
                assert (parent / "run" / LOCK).is_file()
            (parent / "run" / LOCK).unlink(missing_ok=True)
    finally:
        ended.set()
        remover.join()


def test_whoever_was_refused_leaves_what_the_holder_wrote(tmp_path: Path) -> None:
    """A loser that made the folder, and a run that ended before it wrote anything in a folder of the user's."""
    run = tmp_path / "run"
    with claimed(run):
        with pytest.raises(RunInUse), opened(AskedFolder(run, is_named=True), "train.log", lambda _: None):
            pass
        assert (run / LOCK).is_file()
    with opened(AskedFolder(run, is_named=True), "train.log", lambda _: None):
        pass
    assert run.is_dir()
    (run / "mine.txt").touch()
    remove_if_unused(run, "train.log")
    assert (run / "mine.txt").is_file()
