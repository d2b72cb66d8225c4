"""`~` in what is read before Hydra composes, and in the folders that Hydra makes itself."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from spritelora.config.command_line import split
from spritelora.config.overrides import Overrides
from spritelora.door.compose import folders_in_home
from spritelora.door.run_folder import AskedFolder, asked_folder
from spritelora.door.sweep_resume import continue_sweep
from spritelora.errors import ConfigError
from spritelora.runs.record import RunRecord
from spritelora.runs.resume import replay_overrides
from spritelora.runs.sweep_record import SweepRecord, write_sweep
from tests.composing import DOORS
from tests.records import write_record


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with a run, a sweep and options of the user's own."""
    home = tmp_path / "home"
    settings = {"data": {"path": "~/art", "sets": {"mine": {"path": "~no-such-user-here/x"}}}, "optim": {"args": {}}}
    write_record(home / "run", "seed=3", settings=settings)
    write_sweep(home / "sweep", SweepRecord(["-m"], ["seed=1,2", "data.cache=~/épée (1)"], None, "x", "then"))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    return home


def test_the_last_word_for_a_path_counts() -> None:
    assert Overrides(["output=a", "++output='b, c'"]).path("output") == Path("b, c")
    assert Overrides(["output=a", "output=null"]).path("output") is None
    assert Overrides(["outputs=a"]).path("output") is None
    with pytest.raises(ConfigError, match=r"^output=~no-such-user-here: there is no user"):
        Overrides(["output=~no-such-user-here"]).path("output")


@pytest.mark.parametrize("typed", ["~/run", "'~/run'"])
def test_a_run_in_the_home_folder_goes_on(home: Path, typed: str) -> None:
    settled = replay_overrides([f"resume={typed}"], is_multirun=False)
    assert settled[:2] == ["seed=3", f"resume={typed}"]
    assert settled[2] == f"output={home / 'run'}"
    with pytest.raises(ConfigError, match="is not an empty folder"):
        replay_overrides([f"output={typed}"], is_multirun=False)
    config = OmegaConf.create({"hydra": {"run": {"dir": "~/sweep"}}})
    assert asked_folder(config, "hydra.run.dir") == AskedFolder(home / "sweep", is_named=True)


def test_recorded_paths_get_their_home_folder(home: Path) -> None:
    """One whose user is not known stays as it is, for what uses it to name."""
    data = RunRecord.read(home / "run").settings.data
    assert (data.path, data.sets["mine"].path) == (str(home / "art"), "~no-such-user-here/x")


def test_a_sweep_in_the_home_folder_goes_on(home: Path) -> None:
    line = split(["resume=~/sweep", "data.cache=~/other"], [], {})
    assert f"hydra.sweep.dir='{home / 'sweep'}'" in continue_sweep(line).overrides
    line = split(["-m", "output=~/sweep", "seed=1,2", "data.cache=x"], [], {})
    assert f"hydra.sweep.dir='{home / 'sweep'}'" in continue_sweep(line).overrides


@pytest.mark.parametrize(
    ("typed", "flags"),
    [(["--config-dir", "~/c"], ["--config-dir", "{}/c"]), (["-cd=~/c", "-m"], ["-cd={}/c", "-m"]), (["-m"], ["-m"])],
)
def test_a_folder_of_options_may_be_in_the_home_folder(typed: list[str], flags: list[str], home: Path) -> None:
    assert split(typed, [], {}).flags == [flag.format(home) for flag in flags]


@pytest.mark.parametrize("typed", [["--config-dir="], ["--config-dir", " "], ["-cd="]])
def test_an_empty_folder_of_options_is_named(typed: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"^(--config-dir|-cd) is empty, as when a shell variable is unset"):
        split(typed, [], {})


@pytest.mark.parametrize(
    ("script", "typed", "folder"),
    [
        ("train", "output=~/new", "new"),
        ("train", r"hydra.run.dir='~/it\'s new/${seed}'", "it's new/0"),
        ("make_base", "work=~/new", "new"),
        ("generate", "output=~/new", "new"),
    ],
)
def test_what_hydra_makes_itself_is_in_the_home_folder(script: str, typed: str, folder: str, home: Path) -> None:
    door = next(d for d in DOORS if d.script == script)
    in_home = folders_in_home(door.compose(typed, with_hydra=True))
    composed = door.compose(typed, *in_home, with_hydra=True)
    assert composed.hydra.run.dir == str(home / folder)


@pytest.mark.parametrize("key", ["hydra.run.dir", "hydra.sweep.dir"])
def test_an_empty_folder_of_hydras_in_a_file_is_named(key: str) -> None:
    config = OmegaConf.create({"hydra": {"run": {"dir": "a"}, "sweep": {"dir": "~no-such-user-here"}}})
    with pytest.raises(ConfigError, match="there is no user"):
        folders_in_home(config)
    OmegaConf.update(config, "hydra.sweep.dir", "b")
    assert folders_in_home(config) == []
    OmegaConf.update(config, key, " ")
    with pytest.raises(ConfigError, match=f"^{key} is empty, as when a shell variable is unset"):
        folders_in_home(config)
