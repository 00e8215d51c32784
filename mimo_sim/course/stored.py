"""Where the runs lie that the repository stores, wherever a notebook is run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import mimo_sim

if TYPE_CHECKING:
    from mimo_sim.benchmark import FinishedRun

NOT_THERE = (
    "Skipped: the stored runs are part of the repository, not of the installed package. "
    "Open this notebook in a clone to see them."
)


def stored(name: str) -> Path | None:
    """A file of the repository's folder ``benchmarks/``; None where that is not at hand.

    It is looked for in the working directory and the folders above it, and beside the package, as
    in a clone that was installed with ``pip install -e``.

    Parameters
    ----------
    name : str
        Below ``benchmarks/``, such as ``"records/avmnist.csv.gz"``.
    """
    package = Path(mimo_sim.__file__).resolve().parent.parent
    here = Path.cwd()
    for folder in (here, *here.parents, package):
        path = folder / "benchmarks" / name
        if path.is_file():
            return path
    return None


def stored_runs(
    name: str = "records/avmnist.csv.gz", dataset: str = "avmnist"
) -> list[FinishedRun]:
    """The stored runs on one data set; none, and a sentence that says why, where they are missing.

    Parameters
    ----------
    name : str
        As in :func:`stored`.
    dataset : str
        What the names of the runs' data sets begin with.
    """
    from mimo_sim import benchmark

    path = stored(name)
    if path is None:
        print(NOT_THERE)
        return []
    return [run for run in benchmark.read(path) if run.dataset.startswith(dataset)]
