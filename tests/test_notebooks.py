"""What every notebook keeps to.

It is stored without outputs, starts with its parameters and ends with its claims. It says for whom
it is, asks for predictions and has exercises. Its cells are short. It runs from top to bottom in a
clean kernel and in any folder, without a warning.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from traitlets import default

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LESSONS = [path for path in NOTEBOOKS if path.stem[0].isdigit()]
TIMEOUT = 300  # seconds for a cell: the first run of the exact engine may compile it
SHORT = ("00_start_here",)  # the others take ten seconds and more
MOST_LINES = 20  # of a code cell: what is longer is a function of mimo_sim.course


class ThisInterpreter(AsyncKernelManager):
    """Knows no installed kernels, so that `python3` is the interpreter that runs the tests."""

    @default("kernel_spec_manager")
    def _no_installed_kernels(self) -> KernelSpecManager:
        return KernelSpecManager(kernel_dirs=[])


each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)  # type: ignore[no-untyped-call]


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def words(path: Path) -> str:
    texts = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    return "\n\n".join(texts)


def test_there_are_notebooks_without_a_gap_in_their_numbers() -> None:
    assert [int(path.stem[:2]) for path in LESSONS] == list(range(len(LESSONS)))
    assert len(LESSONS) >= 8


@each_notebook
def test_stored_without_outputs_and_valid(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)  # cell ids included
    assert (notebook.nbformat, notebook.metadata.kernelspec.name) == (4, "python3")
    for cell in code_cells(path):
        assert not cell.outputs, f"cell {cell.id} stores outputs"
        assert cell.execution_count is None, f"cell {cell.id} stores an execution count"
        assert "execution" not in cell.metadata, f"cell {cell.id} stores times of execution"


@each_notebook
def test_starts_with_parameters_and_ends_with_assertions(path: Path) -> None:
    cells = [cell for cell in code_cells(path) if "install" not in cell.metadata.get("tags", [])]
    assert "parameters" in cells[0].metadata.get("tags", []), (
        "the first code cell must be tagged `parameters`"
    )
    assert all(isinstance(node, ast.Assign) for node in ast.parse(cells[0].source).body), (
        "the parameters cell only assigns"
    )
    assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cells[-1].source))), (
        "the last code cell must assert what the notebook shows"
    )


@each_notebook
def test_every_code_cell_is_short(path: Path) -> None:
    lines = {cell.id: len(cell.source.splitlines()) for cell in code_cells(path)}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


@each_lesson
def test_says_for_whom_it_is_and_asks_for_predictions(path: Path) -> None:
    title = read(path).cells[0].source
    assert re.match(r"# \w", title)
    for word in ("**For** ", "**Time:** ", "**Runs in** "):
        assert word in re.sub(r"\s+", " ", title), word
    text = words(path)
    assert "> **Predict first.**" in text
    if not path.stem.startswith("00"):
        assert "**Afterwards you can**" in title


@each_lesson
def test_has_exercises_with_hidden_solutions(path: Path) -> None:
    text = words(path)
    exercises = text[re.search(r"^## (?:A first e|E)xercises?$", text, re.MULTILINE).start() :]  # type: ignore[union-attr]
    count = len(re.findall(r"^\*\*\d\.\*\*", exercises, re.MULTILINE))
    assert 2 <= count <= 3
    assert len(re.findall("<details><summary>Solution</summary>\n\n", exercises)) == count
    assert text.count("<details>") == text.count("</details>") == count


def test_the_map_lists_every_lesson_and_links_lead_somewhere() -> None:
    listed = re.findall(r"\]\((\d\d_\w+\.ipynb)\)", words(LESSONS[0]))
    assert listed == [path.name for path in LESSONS[1:]]
    for path in NOTEBOOKS:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)\)", words(path)):
            assert (FOLDER / target).exists(), f"{path.name}: {target}"
        for target in re.findall(r"`((?:docs|notebooks|figures)/[\w./]+)`", words(path)):
            made = target.startswith("notebooks/_rendered")
            assert made or (FOLDER.parent / target).exists(), f"{path.name}: {target}"


def with_marks(path: Path) -> Any:
    return pytest.param(path, id=path.stem, marks=() if path.stem in SHORT else pytest.mark.slow)


@pytest.mark.notebook
@pytest.mark.parametrize("path", [with_marks(path) for path in NOTEBOOKS])
def test_runs_in_a_clean_kernel_and_any_folder(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))  # nobody's start-up files
    # Nor data sets in a cache: without $MIMO_SIM_DATA, what needs raw files is skipped.
    monkeypatch.setenv("MIMO_SIM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel's own, inline
    notebook = read(path)
    client = NotebookClient(
        notebook,
        kernel_manager_class=ThisInterpreter,
        kernel_name="python3",
        timeout=TIMEOUT,
        allow_errors=False,
        resources={"metadata": {"path": str(tmp_path)}},  # outside the repository
    )
    spec = client.create_kernel_manager().kernel_spec
    assert spec is not None
    assert spec.argv[0] == sys.executable
    client.execute()

    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    complaints = [
        output.text
        for cell in cells
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stderr"
    ]
    assert not complaints, "a notebook shows no warnings"
