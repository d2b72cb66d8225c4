"""A forked command is one that was started: what it is given, what it tells, how it ends."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.running import Ready, addresses, run_python, start_python

pytestmark = pytest.mark.skipif(not addresses, reason="no process can be forked from here")

REPORT = """
import json, os, sys, signal, logging, threading, random, warnings
main = sys.modules["__main__"]
print(json.dumps({
    "argv": sys.argv, "path": sys.path, "orig_argv": sys.orig_argv[1:], "cwd": os.getcwd(), "name": __name__,
    "file": getattr(main, "__file__", None), "is_main": main.__dict__ is globals(), "stdin": sys.stdin.read(),
    "environment": {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"},
    "signals": [str(signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE)],
    "ttys": [s.isatty() for s in (sys.stdin, sys.stdout, sys.stderr)],
    "encodings": [s.encoding for s in (sys.stdin, sys.stdout, sys.stderr)],
    "descriptors": len(os.listdir("/proc/self/fd")), "threads": threading.active_count(),
    "group": os.getpgrp(), "session": os.getsid(0), "umask": os.umask(0), "handlers": len(logging.getLogger().handlers),
}))
print("told", file=sys.stderr)
sys.exit(7)
"""


def told(folder: Path, ready: Ready, *words: str | Path, **options: str) -> dict[str, object]:
    result = run_python(*words, "a=1", "two words", cwd=folder, ready=ready, input="typed", **options)
    assert (result.returncode, result.stderr) == (7, "told\n")
    return json.loads(result.stdout)


@pytest.mark.parametrize("kind", ["script", "-c", "-m"])
def test_it_is_given_what_a_new_process_is(kind: str, tmp_path: Path) -> None:
    (tmp_path / "report.py").write_text(REPORT)
    words = {"script": ("report.py",), "-c": ("-c", REPORT), "-m": ("-m", "report")}[kind]
    forked, new = told(tmp_path, "door", *words), told(tmp_path, "nothing", *words)
    assert forked == new


def test_it_has_what_it_is_said_to_have() -> None:
    names = ("torch", "wandb", "spritelora.commands.train.fit")
    code = f"import sys; print(*(name in sys.modules for name in {names}))"
    assert run_python("-c", code, ready="door").stdout == "False False False\n"
    assert run_python("-c", code, ready="torch").stdout == "True False True\n"


def test_an_environment_that_is_read_at_the_start_means_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import os, sys; print(os.environ.get('LANG'), os.environ.get('HYDRA_FULL_ERROR'), 'hydra' in sys.modules)"
    monkeypatch.setenv("HYDRA_FULL_ERROR", "7")
    assert run_python("-c", code, ready="door").stdout.endswith(" 7 True\n")
    monkeypatch.setenv("LANG", "C.UTF-8-of-another")
    assert run_python("-c", code, ready="door").stdout == "C.UTF-8-of-another 7 False\n"


@pytest.mark.parametrize("ready", ["door", "nothing"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)])
def test_it_is_ended_by_signals(ready: Ready, number: signal.Signals, status: int) -> None:
    process = start_python("-c", "print('here', flush=True); import time; time.sleep(60)", ready=ready)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    assert os.getpgid(process.pid) == os.getpgrp()
    process.send_signal(number)
    assert process.wait(20) == status
    process.send_signal(number)
    assert process.communicate() == ("", "")


def test_an_interrupt_and_an_error_end_it_as_they_do() -> None:
    code = "import time\ntry:\n print('here', flush=True)\n time.sleep(60)\nexcept KeyboardInterrupt: raise ValueError"
    process = start_python("-c", code, ready="door", stderr=subprocess.STDOUT)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert output.endswith("\nValueError\n")
    assert process.returncode == 1


def test_what_it_leaves_to_its_exit_is_done(tmp_path: Path) -> None:
    code = "import atexit, pathlib, sys; atexit.register(pathlib.Path('end').touch); sys.stdout.write('x' * 100_000)"
    assert len(run_python("-c", code, ready="door", cwd=tmp_path).stdout) == 100_000
    assert (tmp_path / "end").exists()


def test_several_are_forked_at_once_and_each_ends_for_itself() -> None:
    processes = [start_python("-c", f"import time; time.sleep({n} / 5); exit({n})", ready="door") for n in (3, 1, 2)]
    assert [p.wait(20) for p in processes] == [3, 1, 2]
