"""Which process of a run this one is, and which ways of starting several are refused, before torch is imported."""

from pathlib import Path

import pytest

from spritelora.config.command_line import CommandLine
from spritelora.config.overrides import Overrides
from spritelora.config.train.processes import Place, check_processes, find_place, is_follower, settle_processes
from spritelora.errors import ConfigError
from tests.composing import compose
from tests.documents import run_in

TORCHRUN = {
    "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29400",
}  # fmt: skip
SRUN = {
    "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NODELIST": "node[03-05,9],gpu1", "SLURM_JOB_ID": "77", "SLURM_STEP_ID": "0", "MASTER_PORT": "29400",
}  # fmt: skip


@pytest.mark.parametrize(("environment", "address"), [(TORCHRUN, "10.0.0.1"), (SRUN, "node03")])
def test_torchrun_and_slurm_say_which_process_this_is(environment: dict[str, str], address: str) -> None:
    assert find_place(environment) == Place(3, 4, 1, 2, 2, address, 29400)


@pytest.mark.parametrize(
    ("nodes", "first"), [("gpu1", "gpu1"), ("gpu[7]", "gpu7"), ("b1,a2", "b1"), ("rack2-n[010-012]", "rack2-n010")]
)
def test_the_first_of_slurms_machines_is_where_all_meet(nodes: str, first: str) -> None:
    place = find_place({**SRUN, "SLURM_STEP_NODELIST": nodes})
    assert place is not None
    assert place.address == first


@pytest.mark.parametrize(
    "environment", [{}, {**TORCHRUN, "WORLD_SIZE": "1"}, {"SLURM_PROCID": "0", "SLURM_LOCALID": "0"}]
)
def test_a_process_started_alone_has_no_place(environment: dict[str, str]) -> None:
    """The last: the script that sbatch runs, without srun."""
    assert find_place(environment) is None


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"])
def test_a_variable_of_torchrun_that_is_empty_is_named(name: str) -> None:
    """Alone, too: it is what is left of a script whose own variable was unset."""
    for environment in ({name: ""}, {**TORCHRUN, name: " "}):
        with pytest.raises(ConfigError, match=f"the variable {name} is empty: .* unset it"):
            find_place(environment)


@pytest.mark.parametrize("name", [name for name in SRUN if name != "MASTER_PORT"])
def test_a_variable_of_slurm_that_is_empty_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=f"the variable {name} is empty: .* unset it"):
        find_place({**SRUN, name: ""})


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({**TORCHRUN, "WORLD_SIZE": "two"}, ["WORLD_SIZE must be a whole number of at least 1, got 'two'"]),
        ({**TORCHRUN, "LOCAL_WORLD_SIZE": "0"}, ["LOCAL_WORLD_SIZE must be a whole number of at least 1, got '0'"]),
        ({**TORCHRUN, "RANK": "-1", "MASTER_PORT": ""}, ["RANK must be a whole number", "MASTER_PORT is empty"]),
        ({**SRUN, "SLURM_STEP_NUM_NODES": "2(x2)"}, ["SLURM_STEP_NUM_NODES must be a whole number of at least 1"]),
    ],
)
def test_every_variable_that_is_no_such_number_is_named(environment: dict[str, str], named: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        find_place(environment)
    assert all(f"the variable {text}" in str(refused.value) for text in named)


@pytest.mark.parametrize("script", ["train.py", "scripts/doctor.py"])
def test_a_mistake_in_a_variable_ends_the_command_that_reads_it(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "")
    outcome = run_in(tmp_path, ["python", script, "--cfg", "job"])
    reads = script == "train.py"
    assert (outcome.status, outcome.printed.startswith("error: the variable WORLD_SIZE is empty")) == (2 * reads, reads)


def test_the_settings_take_the_processes_that_were_started(monkeypatch: pytest.MonkeyPatch) -> None:
    settled = settle_processes(compose("trainer.batch_size=2", "trainer.accumulate=3"), find_place(TORCHRUN))
    assert (settled.hardware.devices, settled.hardware.num_nodes) == (2, 2)
    assert settled.sprites_a_step == 2 * 3 * 4
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert is_follower()
    monkeypatch.setenv("RANK", "0")
    assert not is_follower()


def refused(*overrides: str, flags: tuple[str, ...] = ()) -> str:
    settings = [o for o in overrides if not o.startswith("hydra/")]
    with pytest.raises(ConfigError) as error:
        check_processes(compose(*settings), CommandLine(list(flags), Overrides(overrides)))
    return str(error.value)


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_each_job_of_a_sweep_may_have_several_processes(launcher: str) -> None:
    line = CommandLine(["-m"], Overrides(["hardware.devices=2", f"hydra/launcher={launcher}"]))
    check_processes(compose("hardware.devices=2"), line)


def test_what_was_started_must_be_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hardware.num_nodes=2: the processes of several machines are started by torchrun" in refused(
        "hardware.num_nodes=2"
    )
    for name, value in SRUN.items():
        monkeypatch.setenv(name, value)
    assert "hardware.devices=4, but torchrun or Slurm started 2: leave it out" in refused("hardware.devices=4")
    for launcher in ("basic", "joblib"):
        told = refused(f"hydra/launcher={launcher}", flags=("-m",))
        assert "would each run the sweep again" in told
        assert "hardware.devices=4" in told
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "5")
    assert "5 processes were started on 2 machines: start as many on each" in refused()
