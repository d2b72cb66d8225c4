"""A command in a process that is watched: `python watched.py ORDER`, ORDER a JSON file; what it does is written down.

The order: `words` of the command, the folders where it may `write`, `home`, and the `report` that each forbidden deed
is added to as it is done, a line each. At the end the report says what memory and time it took. The limits hold in
this process alone, and a library that is written in another language is watched by the trees it leaves (see trial.py).
"""

import atexit
import json
import os
import resource
import runpy
import sys
import tempfile
from pathlib import Path
from typing import Any

MOST_CPU_S, MOST_BYTES, MOST_MAPPED_BYTES = 30, 2 * 1024**3, 5 * 1024**3
"""Of CPU time and memory a command may take on an input of under 100 MB; and where the system ends it."""

PATHS_WRITTEN = {
    "os.remove": (0,), "os.rmdir": (0,), "os.mkdir": (0,), "os.rename": (0, 1), "os.link": (1,), "os.symlink": (1,),
    "os.truncate": (0,), "os.chmod": (0,), "os.chown": (0,), "os.utime": (0,), "os.mkfifo": (0,),
    "shutil.rmtree": (0,), "shutil.move": (0, 1), "shutil.copyfile": (1,), "shutil.copytree": (1,),
}  # fmt: skip
"""Events of audit hooks that change a file, and which of their arguments are its path."""

DEEDS = {
    "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn", "os.fork", "os.forkpty",
    "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request",
    "pickle.find_class", "webbrowser.open", "smtplib.connect", "ftplib.connect",
}  # fmt: skip
"""Events of code, processes and connections that no file of a stranger may lead to."""

OWN = (
    "['nvidia-smi', '--query-gpu=index', '--format=csv,noheader']",
    "['uname', '-p']",
    "['/bin/sh', '-c', 'uname -p 2> /dev/null']",
    "lscpu",
    "['git', ",
    "/sbin/ldconfig",
)
"""Beginnings of what libraries ask of the machine, whatever the input: none of it comes from a file."""

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """An audit hook: forbidden deeds become lines of the report."""

    def __init__(self, allowed: list[str], report: int) -> None:
        self.allowed = [os.path.realpath(folder) for folder in (*allowed, "/dev", "/proc")]
        self.report, self.is_busy = report, False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.is_busy:
            return
        self.is_busy = True
        try:
            if event == "open":
                path, _, flags = arguments
                if isinstance(path, str | bytes | os.PathLike) and isinstance(flags, int) and flags & WRITES:
                    self.check_path(event, path)
            elif event in PATHS_WRITTEN:
                for place in PATHS_WRITTEN[event]:
                    if not isinstance(arguments[place], int):
                        self.check_path(event, arguments[place])
            elif event in DEEDS and not any(own in str(arguments) for own in OWN):
                self.tell("ran", f"{event} {str(arguments)[:200]}")
        finally:
            self.is_busy = False

    def check_path(self, event: str, path: Any) -> None:
        """Write down a change of a file that lies in none of the folders; its own name may be a link."""
        typed = Path(os.fsdecode(path)).absolute()
        whole = str(typed.parent.resolve() / typed.name)
        if event == "os.mkdir" and Path(whole).is_dir():  # nothing is made
            return
        if not any(whole == place or whole.startswith(f"{place}/") for place in self.allowed):
            self.tell("wrote", f"{event} {whole}")

    def tell(self, kind: str, what: str) -> None:
        os.write(self.report, (json.dumps([kind, what]) + "\n").encode())


def peak_bytes() -> int:
    """The most memory that this process has held. `getrusage` would name that of the process it was started by."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main(order_file: str) -> None:
    """Run the command of an order under the watch."""
    order = json.loads(Path(order_file).read_text(encoding="utf-8"))
    report = os.open(order["report"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.environ["HOME"], os.environ["TMPDIR"] = order["home"], order["home"]
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = order["home"]  # torch makes it while it is imported
    tempfile.tempdir = order["home"]
    # A command that fails takes the folder that it has made away by another name, in one step.
    going = [str(Path(place).with_name(f".{Path(place).name}.{os.getpid()}.removed")) for place in order["write"]]
    watch = Watch([*order["write"], *going, order["home"]], report)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = peak_bytes()

    def tell_usage() -> None:
        own, below = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = own.ru_utime + own.ru_stime + below.ru_utime + below.ru_stime
        watch.tell("used", json.dumps({"bytes": peak_bytes() - before, "cpu_s": cpu_s}))

    atexit.register(tell_usage)
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S + 2))
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MOST_MAPPED_BYTES, mapped + MOST_MAPPED_BYTES))
    script, *arguments = order["words"]
    sys.argv = [script, *arguments]
    sys.path.insert(0, order["root"])
    sys.addaudithook(watch)
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1])
