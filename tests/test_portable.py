"""Nothing is asked of the system that only one of them has: by reading the sources, and by running without it."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import QUICK, ROOT, draw_sprite
from tests.documents import SCRIPTS
from tests.elsewhere.posix_only import ABSENT, MISSING

SOURCES = [*sorted((ROOT / "src").rglob("*.py")), *SCRIPTS]
OWNERS = {"training/machine.py": {"resource", "/proc/self/status", "/proc/self/clear_refs",
                                  "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
          "process.py": {"/proc/cpuinfo"},
          "commands/benchmark/suite/conduct.py": {"/dev/shm"}}  # fmt: skip
"""The modules that may know one system's own, each with what it does on the others, and what they know."""
FOLDER_RENAMERS = {"training/callbacks/checkpoints.py", "data/training_set.py", "door/run_folder.py"}
"""Rename folders; a file would not replace another on Windows: `files.replace`."""
SYSTEM_FOLDERS = ("/proc", "/sys/", "/tmp", "/dev/", "/etc", "/var")
LINKS = {"symlink_to", "hardlink_to", "symlink", "link", "lchmod", "mkfifo"}
NO_TEXT = {"Image.open", "os.open", "webbrowser.open"}


def module_of(file: Path) -> str:
    return file.relative_to(ROOT / "src").as_posix().removeprefix("spritelora/") if "src" in file.parts else file.name


def alien(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of everything in a source that some systems lack."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, a.name) for a in node.names if a.name.partition(".")[0] in ABSENT)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module.partition(".")[0] in ABSENT:
                yield node.lineno, node.module
            yield from ((node.lineno, a.name) for a in node.names if a.name in MISSING.get(node.module, ()))
        elif isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if node.attr in MISSING.get(owner, ()) or (node.attr in LINKS and owner != "self"):
                yield node.lineno, f"{owner}.{node.attr}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(SYSTEM_FOLDERS):
            yield node.lineno, node.value


def texts_of_the_locale(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and call wherever a path or a process is read or written in the encoding that the machine happens to have.

    Ruff's PLW1514 sees to `open` and to temporary files.
    """
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner, called, named = ast.unparse(node.func.value), node.func.attr, {k.arg for k in node.keywords}
        modes = [a.value for a in node.args if isinstance(a, ast.Constant)] if called.endswith("open") else []
        opens = called in ("read_text", "write_text", "open", "fdopen") and f"{owner}.{called}" not in NO_TEXT
        if "encoding" not in named and (
            (opens and not any("b" in str(mode) for mode in modes)) or (owner == "subprocess" and "text" in named)
        ):
            yield node.lineno, f"{owner}.{called}"


@pytest.mark.parametrize("file", SOURCES, ids=module_of)
def test_a_source_asks_for_nothing_that_one_system_alone_has(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    own = OWNERS.get(module_of(file), set())
    assert [f"line {line}: {name}" for line, name in alien(tree) if name not in own] == []
    assert [f"line {line}: {name} without encoding=" for line, name in texts_of_the_locale(tree)] == []
    renames = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr == "rename"]
    assert not renames or module_of(file) in FOLDER_RENAMERS


@pytest.mark.parametrize(
    "source",
    [
        "import fcntl", "from resource import getrusage", "from os import fork", "import os; os.getuid()",
        "import signal; signal.SIGKILL", "file.symlink_to(other)", "open('/proc/meminfo', encoding='utf-8')",
    ],
)  # fmt: skip
def test_the_reading_finds(source: str) -> None:
    assert list(alien(ast.parse(source)))


@pytest.mark.parametrize(
    ("source", "is_bad"),
    [
        ("file.read_text()", True), ("file.read_text(encoding='utf-8')", False), ("file.write_text(text)", True),
        ("file.open()", True), ("file.open('a')", True), ("file.open('rb')", False), ("Image.open(file)", False),
        ("subprocess.run(words, text=True)", True), ("subprocess.run(words, encoding='utf-8')", False),
        ("os.fdopen(handle, 'w')", True), ("os.open(file, flags)", False), ("file.write_text('b')", True),
    ],
)  # fmt: skip
def test_the_reading_finds_text_in_the_machines_encoding(source: str, is_bad: bool) -> None:
    assert bool(list(texts_of_the_locale(ast.parse(source)))) == is_bad


Environment = Mapping[str, str]

EVERY_COMMAND = """
import runpy, sys
for script in {scripts!r}:
    sys.argv = [script, "--help"]
    runpy.run_path(script, run_name="__main__")
"""


@pytest.fixture(scope="module")
def elsewhere() -> Environment:
    """An environment in which our modules find neither a module nor a name that Windows has not."""
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'tests' / 'elsewhere'}{os.pathsep}{ROOT / 'src'}"}


@pytest.fixture(scope="module")
def western(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment whose locale, for names of files and their text too, is Windows' Western European one."""
    folder = tmp_path_factory.mktemp("locales")
    command = ["localedef", "-f", "CP1252", "-i", "en_US", str(folder / "en_US.CP1252")]
    if shutil.which("localedef") is None or subprocess.run(command, capture_output=True).returncode > 1:
        pytest.skip("no localedef with the sources of CP1252 and en_US here (Debian: packages libc-bin and locales)")
    locale = {"LOCPATH": str(folder), "LC_ALL": "en_US.CP1252", "PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"}
    environment = {**os.environ, **locale}
    asked = [sys.executable, "-c", "import sys; assert sys.getfilesystemencoding() == 'cp1252'"]
    if subprocess.run(asked, env=environment, capture_output=True).returncode:
        pytest.skip("this C library takes no locale from LOCPATH")
    return environment


def type_in(environment: Environment, folder: Path, *words: str) -> str:
    """Type a command that is to succeed. Returns what it printed."""
    done = subprocess.run(
        [sys.executable, str(ROOT / words[0]), *words[1:]], cwd=folder, env=environment, capture_output=True
    )
    printed = (done.stdout + done.stderr).decode("cp1252", "replace")
    assert done.returncode == 0, printed
    assert "Traceback" not in printed
    assert "Logging error" not in printed
    return printed


def draw_set(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        Image.fromarray(draw_sprite(number)).save(folder / f"\u00e9p\u00e9e_{number:03d}.png")
        text = f"pixel art, \u00e9p\u00e9e \u5263 number {number}\n"
        (folder / f"\u00e9p\u00e9e_{number:03d}.txt").write_text(text, encoding="utf-8-sig")  # as Notepad saves it


def test_every_command_starts_elsewhere(elsewhere: Environment) -> None:
    code = EVERY_COMMAND.format(scripts=[str(script) for script in SCRIPTS])
    environment = {**elsewhere, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, encoding="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage") + done.stdout.count("python ") >= len(SCRIPTS)
    assert done.stderr == ""


def test_elsewhere_is_poorer(elsewhere: Environment) -> None:
    code = "import os, signal; assert not hasattr(os, 'fork') and not hasattr(signal, 'SIGKILL'); import fcntl"
    done = subprocess.run([sys.executable, "-c", code], env=elsewhere, capture_output=True, encoding="utf-8")
    assert "No module named 'fcntl'" in done.stderr


@pytest.mark.parametrize("where", ["elsewhere", "western"])
def test_a_set_is_prepared(where: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    environment = request.getfixturevalue(where)
    draw_set(tmp_path / "art", 4)
    type_in(environment, tmp_path, "scripts/prepare.py", "input=art", "output=set", "resolution=256", "workers=1")
    caption = (tmp_path / "set" / "\u00e9p\u00e9e_003.txt").read_bytes()
    assert caption == "pixel art, \u00e9p\u00e9e \u5263 number 3\n".encode()
    told = type_in(
        environment, tmp_path, "scripts/prepare.py", "input=art", "output=set", "resolution=256", "workers=1"
    )
    assert "nothing to do" in told


def test_a_name_has_the_letters_that_file_names_can_have(western: Environment) -> None:
    code = "from spritelora.file_names import safe_name; assert safe_name('\\u5263 \\u00e9') == '_ \\u00e9'"
    assert subprocess.run([sys.executable, "-c", code], env=western).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("where", ["elsewhere", "western"])
def test_the_whole_way(where: str, request: pytest.FixtureRequest, cache: Path, tmp_path: Path) -> None:
    """From sprites to sprites, in several processes where there are any."""
    environment = request.getfixturevalue(where)
    draw_set(tmp_path / "art", 130)
    (tmp_path / "prompts.txt").write_text("pixel art, \u5263 \u00e9p\u00e9e\ncon\n", encoding="utf-8-sig")
    quick = [o for o in QUICK if not o.startswith(("trainer.sample_every", "data.limit"))]
    train = (
        "train.py",
        *quick,
        f"data.cache={cache}",
        "data.path=set",
        "model.resolution=256",
        "trainer.sample_every=2",
    )

    type_in(environment, tmp_path, "scripts/prepare.py", "input=art", "output=set", "resolution=256", "workers=2")
    type_in(environment, tmp_path, *train, "output=run", "trainer.max_steps=2", "hardware.devices=2")
    type_in(environment, tmp_path, "train.py", "resume=run", "trainer.max_steps=3", "hardware.devices=2")
    type_in(environment, tmp_path, "scripts/validate.py", "run=run", "prompts_file=prompts.txt", "num_prompts=2")
    type_in(environment, tmp_path, "scripts/generate.py", "run=run", "prompts_file=prompts.txt", "output=sprites")
    type_in(environment, tmp_path, "scripts/export.py", "run=run", "workflow=true", "title=aux")
    type_in(environment, tmp_path, "scripts/compare.py", "runs=run", "output=comparison")
    assert (tmp_path / "sprites" / "sprites" / "con_.png").is_file()
    assert (tmp_path / "run" / "export" / "aux_.safetensors").is_file()
