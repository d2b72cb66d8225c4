"""Checkpoints: written whole or not at all, on optimizer steps; and the end of a run that was asked to stop."""

import logging
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from safetensors import SafetensorError

from spritelora.data.team import Team
from spritelora.errors import ResumeError, TrainingError, WeightsError
from spritelora.files import is_same, read_json, sync, write_whole
from spritelora.runs.layout import BEST, CHECKPOINT_PATTERN, FINAL, LORA_FILE, RECORD, STATE_FOLDER
from spritelora.runs.record import read_id
from spritelora.training.module import LoraModule
from spritelora.training.state_files import STRUCTURE, TENSORS, State
from spritelora.weight_files.container import open_tensors

log = logging.getLogger(__name__)

PARTIAL, REPLACED, REMOVED = ".partial", ".replaced", ".removed"
"""Ends of the hidden names under which a checkpoint is written, makes room for its successor, and is removed."""


TIME_UP = 124
"""Exit status of a run that stopped for its time limit, as timeout(1) has it."""
SAME_REQUEST_S = 1.0
"""For so long after a signal another one is a copy of it in a run of several processes: Slurm sends it to all of them,
and the process that started them passes it on."""


class StopRequest:
    """Turns SIGTERM, Ctrl-C and the end of the time into a request to stop after the step.

    A second signal stops at once; to several processes, one that is no copy of the first. `deadline`: of
    time.monotonic, None for none.
    """

    def __init__(self, team: Team | None = None, deadline: float | None = None) -> None:
        self.team, self.deadline = team or Team(), deadline
        self.received = self.agreed = 0
        self.received_at = 0.0
        self._before: dict[int, Any] = {}

    @property
    def status(self) -> int | None:
        """The exit status that what asked stands for, None so far; the same in all processes."""
        return (self.received if self.team.size == 1 else self.agreed) or None

    def listen(self) -> None:
        """Take the signals."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._note)

    def release(self) -> None:
        """Give the signals back to whoever had them, so that they reach what comes after this run."""
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.received <= TIME_UP:
            self.received, self.received_at = 128 + number, time.monotonic()
        elif self.team.size == 1 or time.monotonic() - self.received_at > SAME_REQUEST_S:
            raise SystemExit(128 + number)

    def agree(self) -> None:
        """Look at the clock, and settle with the other processes whether a stop is asked for."""
        if not self.received and self.deadline is not None and time.monotonic() >= self.deadline:
            self.received = TIME_UP
        self.agreed = int(self.team.largest(self.received))


class Checkpoints:
    """Saves every `every` steps (0: never), and whenever else it is told to.

    `export` writes the LoRA file for a checkpoint at a step. `keep_last`: how many of those saved every `every` steps
    stay, 0 for all; no others are ever removed, nor those of a signal.
    """

    def __init__(
        self,
        run_dir: Path,
        record: str,
        export: Callable[[Path, int], None],
        every: int,
        keep_last: int = 0,
        team: Team | None = None,
    ) -> None:
        self.run_dir, self.record, self.export, self.team = run_dir, record, export, team or Team()
        self.every, self.keep_last = every, keep_last
        self.own_steps: list[int] = []

    def save_step(self, module: LoraModule, step: int, is_own: bool) -> None:
        """Write the checkpoint of a step. `is_own`: it gives way to later ones."""
        if is_own:
            self.own_steps = [*(s for s in self.own_steps if s != step), step]
        self.save(module, step_name(step))
        self._remove_old()

    def state_dict(self) -> State:
        """The steps whose checkpoints give way to later ones."""
        return {"own_steps": self.own_steps}

    def load_state_dict(self, state_dict: State) -> None:
        """Go on from such a state."""
        self.own_steps = state_dict["own_steps"]

    def _remove_old(self) -> None:
        """Remove this run's own checkpoints of steps but for the newest; they vanish whole."""
        if not self.keep_last:
            return
        old, self.own_steps = self.own_steps[: -self.keep_last], self.own_steps[-self.keep_last :]
        folders = [self.run_dir / step_name(step) for step in old] if self.team.is_first else []
        for folder in (f for f in folders if f.is_dir()):
            removed = folder.with_name(f".{folder.name}{REMOVED}")
            folder.rename(removed)
            shutil.rmtree(removed, ignore_errors=True)

    def save(self, module: LoraModule, name: str) -> None:
        """Write a checkpoint into the run's folder. All processes of a run have a part in it, the first one writes."""
        if not self.team.is_first:
            module.trainer.save_checkpoint(STATE_FOLDER)
            return
        folder = self.run_dir / name
        partial = folder.with_name(f".{name}{PARTIAL}")
        try:
            shutil.rmtree(partial, ignore_errors=True)
            module.trainer.save_checkpoint(partial / STATE_FOLDER)
            write_whole(partial / STATE_FOLDER / RECORD, self.record)
            with module.result_weights():
                self.export(partial / LORA_FILE, module.global_step)
            put_in_place(partial, folder)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise TrainingError(f"{folder}: cannot be written ({error}); free space, then resume the run") from error


def put_in_place(partial: Path, folder: Path) -> None:
    """Make a checkpoint that was written under another name the one in `folder`; a kill leaves the old or the new."""
    for path in (partial / LORA_FILE, partial / STATE_FOLDER, partial):
        sync(path)
    replaced = folder.with_name(f".{folder.name}{REPLACED}")
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():
        folder.rename(replaced)
    partial.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)
    sync(folder.parent)


def copy_checkpoint(source: Path, folder: Path) -> None:
    """A whole copy of a checkpoint under another name. Raises TrainingError where there is no room for it."""
    partial = folder.with_name(f".{folder.name}{PARTIAL}")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(source, partial)
        for file in (partial / STATE_FOLDER).iterdir():
            sync(file)
        put_in_place(partial, folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise TrainingError(f"{folder}: cannot be written ({error}); free space, then resume the run") from error


def tidy_checkpoints(run_dir: Path) -> None:
    """Put right what a kill in the midst of a checkpoint has left: an old one that has no new one yet is back."""
    for replaced in run_dir.glob(f".checkpoint_*{REPLACED}"):
        folder = run_dir / replaced.name.removeprefix(".").removesuffix(REPLACED)
        if not folder.exists():
            replaced.rename(folder)
    for end in (PARTIAL, REPLACED, REMOVED):
        for left in run_dir.glob(f".checkpoint_*{end}"):
            shutil.rmtree(left, ignore_errors=True)


def step_name(step: int) -> str:
    """The name of the checkpoint of a step."""
    return f"checkpoint_step_{step}"


def check_own(folder: Path) -> None:
    """Raise ResumeError for a checkpoint in a run's folder whose own record is another run's: it was put there."""
    own, its = read_id(folder.parent), read_id(folder / STATE_FOLDER)
    if own is not None and its is not None and own != its:
        raise ResumeError(
            f"{folder}: a checkpoint of another run (id {its}, and this run is {own}); move it away, or start a new "
            f"run from it with resume="
        )


def checkpoint_step(folder: Path) -> int:
    """The optimizer step of a checkpoint. Raises ResumeError where its state is not whole."""
    state = folder / STATE_FOLDER
    for name in (TENSORS, STRUCTURE, RECORD):
        if not (state / name).is_file():
            raise ResumeError(f"{folder}: {STATE_FOLDER}/{name} is missing; resume from another checkpoint")
    try:
        with open_tensors(state / TENSORS):
            content = read_json(state / STRUCTURE)
        step = dict(content["dict"])["global_step"]
        if not isinstance(step, int) or not 0 <= step < 2**53:
            raise ValueError(f"global_step is {str(step)[:40]}")
        return step
    except (OSError, ValueError, KeyError, TypeError, WeightsError) as error:
        raise ResumeError(f"{folder}: training state is damaged ({error}); resume from another checkpoint") from error


def newest_checkpoint(run_dir: Path) -> Path | None:
    """The whole checkpoint of a run with the highest step; damaged ones, and another run's, are passed over.

    A warning names those. None where the run has none at all. Raises ResumeError where none can be gone on from.
    """
    folders = [p for p in run_dir.iterdir() if p.is_dir() and CHECKPOINT_PATTERN.fullmatch(p.name)]
    problems: list[str] = []
    steps: dict[Path, int] = {}
    for folder in folders:
        try:
            check_own(folder)
            steps[folder] = checkpoint_step(folder)
        except ResumeError as error:
            problems.append(str(error))
    if folders and not steps:
        raise ResumeError("no checkpoint can be read\n  " + "\n  ".join(problems))
    for problem in problems:
        log.warning("passed over: %s", problem)
    # The best of a step is written before the step's own checkpoint, and does not know of it.
    return max(steps, key=lambda f: (steps[f], f.name != BEST), default=None)


def reopen_run(run_dir: Path, checkpoint: Path | None) -> Path | None:
    """Turn a finished run's last checkpoint into one of its steps, for a run that goes on has no final one.

    A damaged one, or another run's, is put aside. Returns where `checkpoint` is afterwards.
    """
    final = run_dir / FINAL
    if not final.is_dir():
        return checkpoint
    is_final = checkpoint is not None and is_same(checkpoint, final)
    try:
        check_own(final)
        step = run_dir / step_name(checkpoint_step(final))
    except ResumeError:
        _put_aside(final)
        return checkpoint
    if not step.exists():
        final.rename(step)
    else:
        _keep_the_whole_one(step, final)
    return step if is_final else checkpoint


def _put_aside(folder: Path) -> None:
    """Rename a damaged checkpoint to a name that is free."""
    ends = ("", *(f"_{number}" for number in range(2, 1000)))
    names = (folder.with_name(f"damaged_{folder.name}{end}") for end in ends)
    folder.rename(next(name for name in names if not name.exists()))


def _keep_the_whole_one(step: Path, final: Path) -> None:
    try:
        checkpoint_step(step)
    except ResumeError:
        _put_aside(step)
        final.rename(step)
    else:
        shutil.rmtree(final)
