"""The house in numbers: what a folder, a module and a function hold, names, and that tests mirror the sources."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCES = ROOT / "src" / "spritelora"
MODULES = sorted(SOURCES.rglob("*.py"))
NAMES = {file.relative_to(SOURCES).as_posix(): file for file in MODULES}
MOST_MODULES, MOST_IMPORTS, MOST_LINES, MOST_FUNCTION_LINES = 15, 20, 300, 60
WIDE = {"door/command_table.py": 29, "commands/train/fit.py": 31}
"""Modules that put everything together: the table of commands, and a training run."""
CROWDED = {
    "commands/benchmark/training.py": 24,
}
"""Modules that import more than they should. A number goes down or its line goes; none comes."""
LONG = list[str]()
"""Functions that are longer than they should be; none comes."""
MIRRORED_APART = {"gpu", "hostile", "elsewhere"}
"""Folders of tests that look at the whole, not at a folder of the sources."""


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def imports_of(file: Path) -> set[str]:
    """The modules of the project that a source imports, wherever in it."""
    found = set[str]()
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("spritelora"):
            found |= {
                f"{node.module}.{a.name}" if is_module(f"{node.module}.{a.name}") else str(node.module)
                for a in node.names
            }
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name.startswith("spritelora")}
    return found


def is_module(name: str) -> bool:
    return (ROOT / "src" / Path(*name.split("."))).with_suffix(".py").is_file()


def functions_of(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree_of(file)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_a_folder_holds_what_can_be_overlooked() -> None:
    held = Counter(file.parent.relative_to(SOURCES).as_posix() for file in MODULES if file.name != "__init__.py")
    assert {folder: number for folder, number in held.items() if number > MOST_MODULES} == {}


def test_a_module_knows_few_others() -> None:
    wide = {name: len(imports_of(file)) for name, file in NAMES.items()}
    assert {name: number for name, number in wide.items() if number > MOST_IMPORTS} == {**WIDE, **CROWDED}


def test_modules_and_functions_are_short() -> None:
    assert [
        name for name, file in NAMES.items() if len(file.read_text(encoding="utf-8").splitlines()) > MOST_LINES
    ] == []
    long = [
        f"{name}: {function.name}"
        for name, file in NAMES.items()
        for function in functions_of(file)
        if (function.end_lineno or 0) - function.lineno >= MOST_FUNCTION_LINES
    ]
    assert long == LONG


def test_a_name_is_that_of_one_module() -> None:
    mirrored = ("commands/", "config/commands/")
    names = Counter(file.stem for name, file in NAMES.items() if not name.startswith(mirrored))
    assert [name for name, number in names.items() if number > 1 and name != "__init__"] == []


def test_tests_stand_where_their_sources_stand() -> None:
    folders = {file.parent.relative_to(ROOT / "tests") for file in (ROOT / "tests").rglob("test_*.py")}
    strays = [f for f in folders if f.parts[:1] not in [(a,) for a in MIRRORED_APART] and not (SOURCES / f).is_dir()]
    assert strays == []


@pytest.mark.parametrize("kind", ["folder", "module"])
def test_the_map_names_everything(kind: str) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    if kind == "folder":
        names = [f"{folder.name}/" for folder in SOURCES.iterdir() if (folder / "__init__.py").is_file()]
    else:
        names = [file.name for file in SOURCES.glob("*.py") if file.name != "__init__.py"]
    assert [name for name in sorted(names) if f"  {name}" not in text and f", {name}" not in text] == []
