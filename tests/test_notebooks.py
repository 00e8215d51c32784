"""What every notebook keeps to.

It is stored without outputs, starts with its parameters and ends with its claims. It runs from top
to bottom in a clean kernel, without a warning.
"""

from __future__ import annotations

import ast
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
TIMEOUT = 300  # seconds for a cell: the first run of the exact engine may compile it
# Half a minute to a minute each. The claims of 02 are also checked one by one.
LONG = ("02_claims", "03_real_data", "04_phase_diagrams")


class ThisInterpreter(AsyncKernelManager):
    """Knows no installed kernels, so that `python3` is the interpreter that runs the tests."""

    @default("kernel_spec_manager")
    def _no_installed_kernels(self) -> KernelSpecManager:
        return KernelSpecManager(kernel_dirs=[])


each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)  # type: ignore[no-untyped-call]


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


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
    cells = code_cells(path)
    assert "parameters" in cells[0].metadata.get("tags", []), (
        "the first code cell must be tagged `parameters`"
    )
    assert all(isinstance(node, ast.Assign) for node in ast.parse(cells[0].source).body), (
        "the parameters cell only assigns"
    )
    assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cells[-1].source))), (
        "the last code cell must assert what the notebook shows"
    )


def with_marks(path: Path) -> Any:
    return pytest.param(path, id=path.stem, marks=pytest.mark.slow if path.stem in LONG else ())


@pytest.mark.notebook
@pytest.mark.parametrize("path", [with_marks(path) for path in NOTEBOOKS])
def test_runs_in_a_clean_kernel(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))  # nobody's start-up files
    # Nor data sets in a cache: without $MIMO_SIM_DATA, AV-MNIST's pictures are skipped.
    monkeypatch.setenv("MIMO_SIM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel's own, inline
    notebook = read(path)
    where = {"metadata": {"path": str(FOLDER)}}
    client = NotebookClient(
        notebook,
        kernel_manager_class=ThisInterpreter,
        kernel_name="python3",
        timeout=TIMEOUT,
        allow_errors=False,
        resources=where,
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
