"""Private names of other libraries stand in CONTRIBUTING's table, each with a test that is there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

PACKAGE = ROOT / "src" / "spritelora"
SOURCES = sorted(PACKAGE.rglob("*.py"))
TABLE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## What is private")[2].partition("\n## ")[0]
PUBLIC = {"_replace", "_exit", "_target_"}
"""Documented, for all that they begin with a line: namedtuple's, os's, Hydra's."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def own_names(trees: list[ast.Module]) -> set[str]:
    """Private names that this project gives itself."""
    found = set[str]()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def private_names(tree: ast.Module, own: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
            yield node.attr
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("spritelora"):
            yield from (part for part in (node.module or "").split(".") if is_private(part))
            yield from (alias.name for alias in node.names if is_private(alias.name))


def test_every_private_name_of_another_library_is_in_the_table() -> None:
    trees = {f.relative_to(PACKAGE).as_posix(): ast.parse(f.read_text(encoding="utf-8")) for f in SOURCES}
    own = own_names(list(trees.values()))
    used = {(module, name) for module, tree in trees.items() for name in private_names(tree, own)}
    rows = [row for row in TABLE.splitlines() if row.startswith("| `")]
    assert sorted((m, n) for m, n in used if not any(f"`{m}`" in row and n in row for row in rows)) == []


def test_every_row_of_the_table_names_a_module_and_a_test_that_are_there() -> None:
    rows = [row.split(" | ") for row in TABLE.splitlines() if row.startswith("| `")]
    assert len(rows) > 10
    modules = [name for row in rows for name in re.findall(r"`([\w/]+\.py)`", row[0])]
    tests = [name for row in rows for name in re.findall(r"`(tests/[\w/]+\.py)`", row[-1])]
    assert len(tests) == len(rows)
    assert [name for name in modules if not (PACKAGE / name).is_file()] == []
    assert [name for name in tests if not Path(ROOT, name).is_file()] == []
