"""The notebooks run from their first cell to their last, show what they promise, and hold nothing of a run."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

nbformat = pytest.importorskip("nbformat")
NotebookClient = pytest.importorskip("nbclient").NotebookClient

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
QUICK = {
    "tour": ("steps = 4", "sampler_steps = 2", "num_prompts = 2", "strengths = '[1]'"),
    "compare_sweep": ("rates = '4e-3'", "steps = 2", "sampler_steps = 2", "num_prompts = 2"),
}
QUICK_NOTEBOOKS = [f if f.stem == "tour" else pytest.param(f, marks=pytest.mark.slow) for f in NOTEBOOKS]
PICTURES = {"tour": 2, "compare_sweep": 1}
PAGES = {"tour": ("sprites/report.html", "run/validation/validation.html"), "compare_sweep": ("table/comparison.html",)}


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Notebooks name no cache: theirs is in a home of their own. Their kernel starts in another folder."""
    monkeypatch.setenv("HOME", str(cache))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))


def run_notebook(file: Path, folder: Path, *parameters: str):
    """The notebook after its run, with these settings in place of those of its parameters cell."""
    notebook = nbformat.read(file, as_version=4)
    (cell,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    cell.source = "\n".join([cell.source, *parameters, f"folder = {str(folder)!r}"])
    NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": str(file.parent)}}).execute()
    return notebook


def outputs_of(notebook) -> list:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def check_shown(name: str, notebook, folder: Path) -> None:
    """No command failed, every picture and page that the notebook shows is there."""
    outputs = outputs_of(notebook)
    assert [o for o in outputs if o.output_type == "error"] == []
    assert sum("image/png" in o.get("data", {}) for o in outputs) == PICTURES[name]
    for page in PAGES[name]:
        assert (folder / page).is_file()
        assert any(page in o.get("data", {}).get("text/html", "") for o in outputs)


@pytest.mark.parametrize("file", QUICK_NOTEBOOKS, ids=lambda f: f.stem)
def test_it_runs(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "notebook"
    check_shown(file.stem, run_notebook(file, folder, *QUICK[file.stem]), folder)


@pytest.mark.slow
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda f: f.stem)
def test_it_runs_as_it_stands(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "notebook"
    check_shown(file.stem, run_notebook(file, folder), folder)


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda f: f.stem)
def test_it_holds_no_outputs_and_defines_nothing(file: Path) -> None:
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    assert outputs_of(notebook) == []
    for cell in (c for c in notebook.cells if c.cell_type == "code"):
        assert cell.execution_count is None
        plain = "\n".join("pass" if line.startswith("%") else line for line in cell.source.splitlines())
        definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
        assert not any(isinstance(node, definitions) for node in ast.walk(ast.parse(plain)))
