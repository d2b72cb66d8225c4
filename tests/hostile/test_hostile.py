"""A share of the kinds of hostile file, a few of every reader, each in a process that is watched; `make hostile` is all.

Kinds that take no run of their own, for those are trained.
"""

import os
from pathlib import Path

import pytest

from tests.hostile import configurations, images, loras, pages, tables
from tests.hostile.trial import Kind, Outcome, run_kind

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="processes are watched on Linux alone")

SHARE = (
    "image (prepare): PNG of 8192 x 8192",
    "image (prepare): Aseprite: 256 MB in a cel",
    "bad image's name: a line break and a forged line",
    "LoRA (inspect): LoKr with alpha nan",
    "LoRA (inspect): a name with escapes",
    "adapter_config.json: a pattern that hangs",
    "metadata.csv: an open quote before a row",
    "metadata.jsonl: a path upwards",
    "sheet's data file: 20,000 tags",
    "palette: a pickle",
    "caption page: an image upwards, encoded",
    "command line: a forged line",
)


@pytest.fixture(scope="module")
def kinds() -> dict[str, Kind]:
    rooms = (images, tables, loras, pages, configurations)
    return {kind.title: kind for room in rooms for kind in room.kinds()}


@pytest.mark.parametrize("title", SHARE)
def test_a_hostile_file_ends_in_one_clear_error_or_is_taken_rightly(
    title: str, kinds: dict[str, Kind], tmp_path: Path
) -> None:
    trial = run_kind(kinds[title], tmp_path / "0", tmp_path / "shared")
    assert trial.outcome in (Outcome.error, Outcome.taken), trial.told


def _deed(code: str) -> Kind:
    """A command that does what it must not, to see that the watch sees it."""

    def plant(given: Path) -> None:
        (given / "deed.py").write_text(code)

    return Kind("watch", code, plant, ("{given}/deed.py", "{given}", "{victim}"))


PATH = "import pathlib, sys; victim = pathlib.Path(sys.argv[2])\n"
DEEDS = {
    "open('/dev/null'); raise SystemExit('error: no\\nerror: twice')": Outcome.unclear,
    "raise ValueError": Outcome.traceback,
    "print('\\x1b[2J')": Outcome.unclear,
    "import subprocess; subprocess.run(['true'])": Outcome.ran,
    "import socket; socket.create_connection(('127.0.0.1', 9))": Outcome.ran,
    "import pickle, pathlib; pickle.loads(pickle.dumps(pathlib.Path()))": Outcome.ran,
    "open('sprung', 'w')": Outcome.ran,
    PATH + "(victim / 'x').write_text('')": Outcome.outside,
    PATH + "(victim / 'treasure.txt').unlink()": Outcome.outside,
    PATH + "(victim / 'treasure.txt').chmod(0o777)": Outcome.outside,
    PATH + "(pathlib.Path('a')).symlink_to(victim); (pathlib.Path('a') / 'x').mkdir()": Outcome.outside,
    "import os; os.kill(os.getpid(), 9)": Outcome.limits,
    "x = b'x' * (9 << 28)": Outcome.limits,
}


@pytest.mark.parametrize("code", DEEDS)
def test_the_watch_sees_what_no_command_may_do(code: str, tmp_path: Path) -> None:
    assert run_kind(_deed(code), tmp_path / "0", tmp_path / "shared").outcome is DEEDS[code]


def test_there_are_over_four_hundred_kinds_of_all_readers() -> None:
    from tests.hostile.every import every_kind

    titles = [kind.title for kind in every_kind()]
    assert len({*titles}) == len(titles) > 400
