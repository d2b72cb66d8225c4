"""The size of the house, as a table:  python .ci/figures.py [REVISION ...]

A column for each revision named, the last for the files as they are.
"""

import ast
import io
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
IGNORE = re.compile(r"#\s*(pyright: ignore|type: ignore|noqa)")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
MIRRORED = ("commands/", "config/commands/")
"""Folders whose modules have each other's names."""


def count(root: Path) -> dict[str, int]:
    """The figures of the repository at `root`, by name."""
    folder = root / "src" / "spritelora"
    texts = {f.relative_to(folder).as_posix(): f.read_text(encoding="utf-8") for f in sorted(folder.rglob("*.py"))}
    trees = {name: ast.parse(text) for name, text in texts.items()}
    modules = [name for name in texts if not name.endswith("__init__.py")]
    stems = Counter(Path(name).stem for name in modules if not name.startswith(MIRRORED))
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    functions = [node for node in nodes if isinstance(node, FUNCTIONS)]
    docstrings = [text for node in nodes if (text := docstring(node))]
    subscripts = [ast.unparse(node) for node in nodes if isinstance(node, ast.Subscript)]
    imports = {name: len(imported(tree, root / "src")) for name, tree in trees.items()}
    lines = sum(len(text.splitlines()) for text in texts.values())
    return {
        "modules": len(modules),
        "lines of src": lines,
        "modules in the fullest folder": max(Counter(str(Path(name).parent) for name in modules).values()),
        "project imports of the widest module": max(imports.values()),
        "modules with over 20 project imports": sum(n > 20 for n in imports.values()),
        "longest module, lines": max(len(text.splitlines()) for text in texts.values()),
        "longest function, lines": max((f.end_lineno or 0) - f.lineno + 1 for f in functions),
        "functions over 6 parameters": sum(num_parameters(f) > 6 for f in functions),
        "Any": sum(isinstance(node, ast.Name) and node.id == "Any" for node in nodes),
        "dict[str, Any]": subscripts.count("dict[str, Any]"),
        "ignores": sum(len(IGNORE.findall(text)) for text in texts.values()),
        "module names used twice": sum(n > 1 for n in stems.values()),
        "docstrings that begin with What": sum(text.startswith("What ") for text in docstrings),
        "docstrings that begin with How": sum(text.startswith("How ") for text in docstrings),
        "lines of tests": sum(len(f.read_text(encoding="utf-8").splitlines()) for f in (root / "tests").rglob("*.py")),
    }


def docstring(node: ast.AST) -> str | None:
    """A text that describes a module, a class, a function or the name before it."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return node.value.value
    return None


def num_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Parameters apart from self and cls."""
    arguments = function.args
    named = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len([name for name in named if name not in ("self", "cls")])


def imported(tree: ast.Module, src: Path) -> set[str]:
    """The modules of the project that a module imports, wherever in it."""

    def names() -> Iterator[str]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                for whole in (f"{node.module}.{alias.name}" for alias in node.names):
                    is_module = (src / Path(*whole.split("."))).with_suffix(".py").is_file()
                    yield whole if is_module else node.module

    return {name for name in names() if name.startswith("spritelora")}


def count_revision(revision: str) -> dict[str, int]:
    """The figures of a revision of git."""
    archive = subprocess.run(["git", "archive", revision, "src", "tests"], cwd=ROOT, capture_output=True, check=True)
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
        return count(Path(folder))


def main(revisions: list[str]) -> None:
    columns = {**{revision: count_revision(revision) for revision in revisions}, "now": count(ROOT)}
    names = list(columns["now"])
    widths = [max(map(len, names)), *(max(8, len(title)) for title in columns)]
    rows = [["", *columns], *([name, *(str(figures[name]) for figures in columns.values())] for name in names)]
    for name, *figures in rows:
        cells = [figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True)]
        sys.stdout.write("  ".join([name.ljust(widths[0]), *cells]).rstrip() + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
