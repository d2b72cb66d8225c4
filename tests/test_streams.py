"""No message ends in a traceback, whatever is at the other end of the standard streams."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = """
import pathlib, sys
from spritelora.streams import lasting_streams

@lasting_streams()
def main():
    print("error: \\u5263 \\u00e9 \\udcff", file=sys.stderr)
    for number in range(20000):
        print("caf\\u00e9 \\u5263", number, file=getattr(sys, sys.argv[1]))
    pathlib.Path(sys.argv[2]).touch()

main()
"""


def run(told: str, done: Path, redirection: str = "", encoding: str = "utf-8") -> "subprocess.CompletedProcess[str]":
    """Let a command tell 20,000 lines on a stream through the shell; status is its own. `done`: made at its end."""
    line = f'{sys.executable} -c "$COMMAND" {told} {done} {redirection}; exit ${{PIPESTATUS[0]}}'
    environment = {**os.environ, "COMMAND": COMMAND, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    return subprocess.run(
        ["bash", "-c", line], env=environment, capture_output=True, encoding="utf-8", errors="replace"
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_what_an_encoding_has_not_is_escaped(encoding: str, tmp_path: Path) -> None:
    result = run("stdout", tmp_path / "done", "| tail -1", encoding)
    assert result.returncode == 0
    assert result.stdout.isascii() == (encoding == "ascii")
    assert ("\\u5263 19999" in result.stdout) == (encoding != "utf-8")
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr


def test_a_command_whose_answer_nobody_reads_ends(tmp_path: Path) -> None:
    result = run("stdout", tmp_path / "done", "| head -1")
    assert (result.returncode, result.stdout) == (1, "caf\u00e9 \u5263 0\n")
    assert len(result.stderr.splitlines()) == 1, "nothing but its own message"
    assert not (tmp_path / "done").exists()


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    result = run("stdout", tmp_path / "done", "> /dev/full")
    assert result.returncode == 1
    assert "error: standard output cannot be written (No space left on device)" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("redirection", ["2>&1 >/dev/null | head -1", "2> /dev/full", "2>&-", ">&- 2>&- <&-"])
def test_work_goes_on_without_a_reader_of_its_messages(redirection: str, tmp_path: Path) -> None:
    result = run("stderr", tmp_path / "done", redirection)
    assert result.returncode == 0
    assert (tmp_path / "done").exists()
    assert "Traceback" not in result.stdout + result.stderr


def test_a_file_opened_later_is_never_taken_for_a_closed_stream(tmp_path: Path) -> None:
    code = (
        "import sys; from spritelora.streams import lasting_streams\n"
        "with lasting_streams():\n"
        "    file = open(sys.argv[1], 'w')\n"
        "    assert file.fileno() > 2\n"
        "    print('not for the file')\n"
    )
    result = subprocess.run(["bash", "-c", f'{sys.executable} -c "{code}" {tmp_path / "file"} >&- 2>&- <&-'])
    assert result.returncode == 0
    assert (tmp_path / "file").read_text() == ""
