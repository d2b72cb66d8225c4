"""Commands in processes of their own, as people start them, most of them forked from one that has the libraries.

`run_python("scripts/export.py", "run=...")` is `subprocess.run([sys.executable, ...])` with its output captured, and
`start_python` is `subprocess.Popen`. `ready=` says what the process may have imported: "torch" for a command that
trains or draws, "door" for one that ends before torch is imported (`"torch" in sys.modules` can be asked there),
"nothing" for a new process, where the start itself is what a test is about. A new process is started too where the
environment is another than that of the tests, and on systems that cannot fork.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal, Self

import pytest

from tests.zygote import MOST_BYTES

ROOT = Path(__file__).parents[1]
Ready = Literal["nothing", "door", "torch"]

addresses: dict[str, str] = {}
"""Sockets of the processes to fork from, by what they have imported; empty where there are none."""
either_start = pytest.mark.parametrize("ready", ["torch", pytest.param("nothing", marks=pytest.mark.slow)])
"""A command forked, and by `make slow` as a new process too: what libraries say at their import is seen there alone."""

READ_WHEN_USED = (
    *("COLUMNS", "LINES", "VISUAL", "EDITOR", "HYDRA_", "PYTEST_", "RAY_USAGE_STATS_ENABLED", "THP_MEM_ALLOC_ENABLE"),
    *("WANDB_SILENT", "WANDB_ERROR_REPORTING", "TRANSFORMERS_VERBOSITY", "DIFFUSERS_VERBOSITY"),
    *("TORCHINDUCTOR_CACHE_DIR", "PYTORCH_NVML_BASED_CUDA_CHECK"),
)
"""Beginnings of environment variables that may differ in a forked process: no import reads them, or each sets them."""


@contextlib.contextmanager
def zygotes() -> Iterator[dict[str, str]]:
    """Processes to fork from, by their sockets, for as long as the context is open; none where there is no pidfd."""
    if not hasattr(os, "pidfd_open"):  # Linux alone has it
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="spritelora-") as folder, contextlib.ExitStack() as opened:
        sockets = {kind: f"{folder}/{kind}" for kind in ("door", "torch")}
        for kind, address in sockets.items():
            opened.enter_context(_zygote(kind, address))
        yield sockets


@contextlib.contextmanager
def _zygote(kind: str, address: str) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen()
        descriptor = listener.fileno()
        command = [sys.executable, str(ROOT / "tests" / "zygote.py"), str(descriptor), kind]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[descriptor], cwd=ROOT
        )
    try:
        yield
    finally:
        process.communicate()


class Forked:
    """A forked command, with what tests use of `subprocess.Popen`."""

    def __init__(self, words: list[str], link: socket.socket, streams: list[IO[str] | None]) -> None:
        self.args, self._link = words, link
        self.pid = int(link.recv(MOST_BYTES))
        self.stdin, self.stdout, self.stderr = streams
        self.returncode: int | None = None

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._link.settimeout(timeout)
            try:
                self.returncode = int(self._link.recv(MOST_BYTES))
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
            self._link.close()
        return self.returncode

    def communicate(self, input: str | None = None, timeout: float | None = None) -> tuple[str, str]:
        deadline = None if timeout is None else time.monotonic() + timeout
        told = {"stdout": "", "stderr": ""}

        def read(name: str, stream: IO[str]) -> None:
            told[name] = stream.read()

        streams = {name: stream for name in told if (stream := getattr(self, name)) and not stream.closed}
        readers = [threading.Thread(target=read, args=found, daemon=True) for found in streams.items()]
        for reader in readers:
            reader.start()
        if self.stdin and not self.stdin.closed:
            with contextlib.suppress(BrokenPipeError), self.stdin:
                self.stdin.write(input or "")
        for reader in readers:
            reader.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        for stream in streams.values():
            stream.close()
        return told["stdout"], told["stderr"]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream:
                stream.close()
        self.wait()


Process = subprocess.Popen[str] | Forked


def start_python(
    *words: str | Path,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    ready: Ready = "torch",
    stdin: int | None = None,
    stdout: int | None = subprocess.PIPE,
    stderr: int | None = subprocess.PIPE,
    **options: Any,
) -> Process:
    """Start `python WORDS...`, with its output in pipes. `options`: of Popen; with any, a new process is started."""
    typed, environment = [str(word) for word in words], dict(os.environ if env is None else env)
    link = None if options else _connect(ready, environment)
    if link is None:
        return subprocess.Popen(
            [sys.executable, *typed], cwd=cwd, env=environment, stdin=stdin, stdout=stdout, stderr=stderr, text=True,
            **options,
        )  # fmt: skip
    given, own = _open_streams((stdin, stdout, stderr))
    order = {"words": typed, "cwd": str(cwd), "environment": environment}
    socket.send_fds(link, [json.dumps(order).encode()], given)
    for descriptor in given:
        os.close(descriptor)
    return Forked(typed, link, own)


def run_python(
    *words: str | Path, input: str | None = None, timeout: float | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run `python WORDS...` to its end, its output captured. `options`: of `start_python`."""
    process = start_python(*words, stdin=None if input is None else subprocess.PIPE, **options)
    try:
        told, error = process.communicate(input, timeout)
    except BaseException:
        process.kill()
        raise
    assert process.returncode is not None
    return subprocess.CompletedProcess(process.args, process.returncode, told, error)


def _connect(ready: Ready, environment: dict[str, str]) -> socket.socket | None:
    """A socket to a process that can be forked for a command; None where a new process is needed."""
    if ready not in addresses:
        return None
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link.connect(addresses[ready])
    greeting = json.loads(link.recv(MOST_BYTES))
    theirs = greeting["environment"]
    differing = {k for k in {*theirs, *environment} if theirs.get(k) != environment.get(k)}
    if greeting["num_threads"] == 1 and all(name.startswith(READ_WHEN_USED) for name in differing):
        return link
    link.close()
    return None


def _open_streams(asked: tuple[int | None, ...]) -> tuple[list[int], list[IO[str] | None]]:
    """The descriptors of a new process's three streams, and our ends of those that are pipes."""
    given: list[int] = []
    own: list[IO[str] | None] = []
    for number, kind in enumerate(asked):
        if kind == subprocess.PIPE:
            reads, writes = os.pipe()
            given.append(reads if number == 0 else writes)
            own.append(os.fdopen(writes, "w") if number == 0 else os.fdopen(reads))
            continue
        if kind == subprocess.DEVNULL:
            given.append(os.open(os.devnull, os.O_RDWR))
        else:
            given.append(os.dup(given[1] if kind == subprocess.STDOUT else number if kind is None else kind))
        own.append(None)
    return given, own
