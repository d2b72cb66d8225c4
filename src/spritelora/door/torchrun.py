"""torchrun starts the processes of a run where `hardware.devices` asks for several and nobody has started them.

It watches them too, and ends all where one is lost. Three things that it does not do are done here. It kills its
workers 30 s after a signal, and a step may take longer: so Ctrl-C and SIGTERM go to the first process alone, which asks
the others to stop after the step, and are waited for. Its workers outlive it where it is killed: each looks whether it
is there. It ends in a report of tracebacks: a lost process is told in one line, and an error of a run as its own.
"""

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import psutil
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import configure_log
from omegaconf import DictConfig, OmegaConf

from spritelora import errors
from spritelora.config.invocation import Invocation
from spritelora.config.plain import plain
from spritelora.config.strict import load
from spritelora.config.train.processes import is_follower, lacks_processes
from spritelora.config.train.schema import TrainConfig
from spritelora.errors import LostConnection, SpriteLoraError, TrainingError, first_line
from spritelora.files import read_json, write_whole
from spritelora.process import prepare_libraries, quick_imports
from spritelora.runs.resume import way_on
from spritelora.streams import complain, lasting_streams

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

MODULE = "spritelora.door.torchrun"
ORDER, FIRST, BEGUN = "order.json", "first", "begun"
"""Files of a launch: what its processes are to do, the id of the first once it takes signals, its first step's sign."""
STOPS = (124, 128 + signal.SIGINT, 128 + signal.SIGTERM)
"""Exit statuses of a run that was asked to stop, and has said so."""


def train(config: TrainConfig, invocation: Invocation) -> None:
    """Train in this process, or in several that torchrun starts."""
    if lacks_processes(config):
        hand_over(config, invocation)
    else:
        from spritelora.commands.train.train import train

        train(config, invocation)


def hand_over(config: TrainConfig, invocation: Invocation) -> None:
    """Train in `hardware.devices` processes that torchrun starts, and wait for them.

    Raises the error that ended the run, TrainingError that names a process that was lost, SystemExit after a stop.
    """
    num_processes = config.hardware.devices
    with TemporaryDirectory(prefix="spritelora-", ignore_cleanup_errors=True) as folder:
        launch = Launch(Path(folder), invocation.on_first_step)
        launch.write_order(config, invocation)
        # What it logs is its own view of ends that are told here.
        log_of_torchrun = logging.getLogger("torch.distributed.elastic")
        log_of_torchrun.propagate = False
        log_of_torchrun.addHandler(logging.NullHandler())
        with quick_imports():
            from spritelora.data.rendezvous import on_thread
        with launch.taking_signals():
            failures = on_thread(lambda: launch.run(num_processes), launch.look)
    if launch.ended_by is not None:
        raise KeyboardInterrupt if launch.ended_by == signal.SIGINT else SystemExit(128 + launch.ended_by)
    if failures:
        raise _end_of(failures, num_processes, invocation.run_dir)


class Launch:
    """The processes of a run while they run. `folder`: for its files."""

    def __init__(self, folder: Path, on_first_step: Callable[[], None]) -> None:
        self.folder, self.on_first_step = folder, on_first_step
        self.first_id: int | None = None
        self.ended_by: int | None = None

    def write_order(self, config: TrainConfig, invocation: Invocation) -> None:
        """Write what the processes are to do, for them to read."""
        hydra = HydraConfig.get() if HydraConfig.initialized() else None
        order = {
            "program": sys.argv[0],
            "launcher": os.getpid(),
            "logging": hydra and {"job_logging": hydra.job_logging, "verbose": hydra.verbose},
            "settings": plain(config),
            "invocation": [str(invocation.run_dir), invocation.overrides, invocation.sweep, invocation.storage],
        }
        write_whole(self.folder / ORDER, json.dumps(order, default=partial(OmegaConf.to_container, resolve=True)))

    def run(self, num_processes: int) -> Mapping[int, "ProcessFailure"]:
        """Run the processes. Returns those that failed by rank, the first to fail first.

        To be called on another thread than the main one, for there torchrun would take the signals.
        """
        from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
        from torch.distributed.launcher.api import LaunchConfig, elastic_launch

        words = ("-P", "-m", MODULE, str(self.folder).replace("$", "$$"))  # it fills in ${local_rank}
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=num_processes,
            logs_specs=DefaultLogsSpecs(str(self.folder)),
            run_id=self.folder.name,
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",
            max_restarts=0,
        )
        try:
            elastic_launch(config, sys.executable)(*words)
        except ChildFailedError as error:
            return error.failures
        except Exception as error:
            raise TrainingError(
                f"hardware.devices={num_processes}: torchrun cannot run the processes ({first_line(error)}); take "
                f"hardware.devices=1, or start them as docs/clusters.md says"
            ) from error
        return {}

    def look(self) -> None:
        """See how far the first process is, and end what a signal has ended."""
        if self.ended_by is not None:
            self._kill()
        if self.first_id is None and (self.folder / FIRST).exists():
            self.first_id = int((self.folder / FIRST).read_text(encoding="utf-8"))
        if (self.folder / BEGUN).exists():
            (self.folder / BEGUN).unlink()
            self.on_first_step()

    @contextmanager
    def taking_signals(self) -> Iterator[None]:
        """Passes SIGTERM and Ctrl-C to the first process; until that takes them they end the launch."""
        before = {number: signal.signal(number, self._take) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._kill()

    def _kill(self) -> None:
        for process in psutil.Process().children():
            with suppress(psutil.Error):
                if str(self.folder) in process.cmdline():
                    process.kill()

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if self.first_id is None:
            self.ended_by = number
        elif os.name != "nt":  # there the console tells every process of Ctrl-C, and nothing else comes
            with suppress(ProcessLookupError):
                os.kill(self.first_id, number)


def _end_of(failures: Mapping[int, "ProcessFailure"], num_processes: int, run_dir: Path) -> BaseException:
    """The end of a run: a stop, a lost process, or an error that a process has left, of several the first process's."""
    left = {rank: _error_of(failure) for rank, failure in failures.items()}
    causes = {rank: error for rank, error in left.items() if not isinstance(error, LostConnection)} or left
    rank, error = next(iter(causes.items()))
    if error is not None:
        return causes.get(0) or error
    status = failures[rank].exitcode
    if rank == 0 and status in STOPS:
        return SystemExit(status)
    how = f"by {signal.Signals(-status).name}" if status < 0 else f"with exit status {status}"
    return TrainingError(f"process {rank} of {num_processes} ended {how}; {way_on(run_dir)}")


def _error_of(failure: "ProcessFailure") -> SpriteLoraError | None:
    """The error that a process has left in torchrun's file, None without one."""
    message = failure.error_file_data["message"]
    if isinstance(message, str):
        return None
    kind, _, text = message["message"].partition(": ")
    return vars(errors)[kind](text)


@lasting_streams()
def main() -> None:
    """Take part in a run as one of its processes: the first writes and speaks. An error is left in torchrun's file."""
    folder = Path(sys.argv[1])
    try:
        order = read_json(folder / ORDER)
    except FileNotFoundError:  # the launch has ended meanwhile
        sys.exit(1)
    sys.argv[0] = order["program"]  # messages say what was typed
    run_dir, overrides, sweep, storage = order["invocation"]
    invocation = Invocation(Path(run_dir), tuple(overrides), sweep, storage)
    threading.Thread(target=_end_with, args=(order["launcher"], invocation.run_dir), daemon=True).start()
    if is_follower():
        logging.disable()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the first one, which asks the others
    else:
        _lead(folder, order["logging"])
        invocation = replace(invocation, on_first_step=(folder / BEGUN).touch)
    prepare_libraries()
    try:
        raw = OmegaConf.merge(OmegaConf.structured(TrainConfig), order["settings"])
        train(load(cast(DictConfig, raw), TrainConfig), invocation)
    except SpriteLoraError as error:
        from torch.distributed.elastic.multiprocessing.errors import ErrorHandler

        ErrorHandler().record_exception(error)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        complain("interrupted")
        sys.exit(128 + signal.SIGINT)


def _lead(folder: Path, logged: Mapping[str, Any] | None) -> None:
    """Be the first process: log, and take signals."""
    if logged is not None:
        settings = OmegaConf.create({**logged})
        configure_log(settings.job_logging, settings.verbose)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    write_whole(folder / FIRST, str(os.getpid()))


def _end_with(launcher: int, run_dir: Path) -> None:
    """End this process when its launcher has ended."""
    while psutil.pid_exists(launcher) and os.getppid() == launcher:
        time.sleep(0.5)
    if not is_follower():
        complain(f"error: the process that started this run has ended; {way_on(run_dir)}")
    os._exit(1)


if __name__ == "__main__":
    main()
