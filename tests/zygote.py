"""A process that has imported what commands import and is forked for each: `python zygote.py SOCKET door|torch`.

Importing torch and what is around it is most of what a short command costs. What is forked here is a process of its
own, with the arguments, folder, environment, streams, signals and exit of one that was started; but its libraries are
there already. It is for Linux, and ends when its standard input does. `SOCKET`: the descriptor of one that listens.
"""

import contextlib
import gc
import json
import logging
import os
import runpy
import select
import socket
import sys
import types
from dataclasses import dataclass
from pathlib import Path

MOST_BYTES = 200_000
"""Of one message: what Linux lets through a socket at once."""


@dataclass(frozen=True)
class Order:
    """A command: the words after `python`, its folder, its environment."""

    words: list[str]
    cwd: str
    environment: dict[str, str]


def import_door() -> None:
    """What every command imports before its configuration is checked."""
    from hydra.core.plugins import Plugins

    import spritelora.door.command_table  # noqa: F401

    Plugins.instance()
    assert "torch" not in sys.modules, "the door has imported torch"


def import_torch() -> None:
    """What training and drawing import after it."""
    import_door()
    from spritelora.process import import_bitsandbytes, prepare_libraries

    prepare_libraries()
    handler = logging.NullHandler()  # Lightning's import looks whether logging is set up, which a command has done
    logging.getLogger().addHandler(handler)
    import_bitsandbytes()
    import spritelora.commands.train.fit  # noqa: F401
    import spritelora.commands.validate.validate  # noqa: F401

    logging.getLogger().removeHandler(handler)


IMPORTS = {"door": import_door, "torch": import_torch}


def serve(listener: socket.socket, kind: str) -> Order:
    """Fork for every order that comes. Returns in each of the forked processes, and in no other."""
    environment, is_ready = dict(os.environ), False
    running: dict[int, tuple[int, socket.socket]] = {}  # descriptor of a forked process to its id and who waits for it
    while True:
        ready, _, _ = select.select([sys.stdin, listener, *running], [], [])
        if sys.stdin in ready:
            os._exit(0)
        for descriptor in running.keys() & set(ready):
            _tell_end(*running.pop(descriptor))
            os.close(descriptor)
        if listener not in ready:
            continue
        link, _ = listener.accept()
        if not is_ready:
            is_ready = True
            IMPORTS[kind]()
            gc.collect()
            gc.freeze()
        num_threads = len(list(Path("/proc/self/task").iterdir()))
        link.send(json.dumps({"environment": environment, "num_threads": num_threads}).encode())
        order, streams, _, _ = socket.recv_fds(link, MOST_BYTES, 3)
        pid = os.fork() if order else None
        if pid == 0:
            _take_over(streams, [listener, link, *(waiting for _, waiting in running.values())], list(running))
            return Order(**json.loads(order))
        for stream in streams:
            os.close(stream)
        if pid is None:
            link.close()
        else:
            link.send(str(pid).encode())
            running[os.pidfd_open(pid)] = (pid, link)


def _tell_end(pid: int, link: socket.socket) -> None:
    _, status = os.waitpid(pid, 0)
    with link, contextlib.suppress(BrokenPipeError):  # nobody may be waiting
        link.send(str(os.waitstatus_to_exitcode(status)).encode())


def _take_over(streams: list[int], sockets: list[socket.socket], descriptors: list[int]) -> None:
    """Give a forked process its own streams, and take what belongs to the process that it came from."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    for descriptor in [*streams, *descriptors]:
        os.close(descriptor)
    for other in sockets:
        other.close()
    # Text streams remember of what lay below them whether it could be sought in.
    sys.stdin = sys.__stdin__ = open(0, encoding=sys.stdin.encoding, closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding=sys.stdout.encoding, closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(  # noqa: SIM115
        2, "w", encoding=sys.stderr.encoding, errors="backslashreplace", buffering=1, closefd=False
    )


def become(order: Order) -> None:
    """Run what was ordered as `python WORDS...` would, in this process."""
    os.chdir(order.cwd)
    os.environ.clear()
    os.environ.update(order.environment)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # as in a process that has just started
    sys.orig_argv = [sys.executable, *order.words]
    option, *rest = order.words
    if option == "-m":
        sys.path[0], sys.argv = order.cwd, rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        return
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    if option == "-c":
        sys.path[0], sys.argv = "", ["-c", *rest[1:]]
        source, name = rest[0].encode(), "<string>"
    else:
        script = Path(option).absolute()
        sys.path[0], sys.argv = str(script.parent), order.words
        source, name = script.read_bytes(), str(script)
        main.__file__ = name
    exec(compile(source, name, "exec", dont_inherit=True), main.__dict__)


if __name__ == "__main__":
    become(serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2]))
