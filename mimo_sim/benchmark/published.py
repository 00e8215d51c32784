"""What others published of a data set, beside our figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mimo_sim import datasets
from mimo_sim.benchmark.comparison import Row, rows_by_name
from mimo_sim.benchmark.records import FinishedRun
from mimo_sim.benchmark.tables import Table
from mimo_sim.datasets._published import Published

ALONE = " alone"  # ends the name of a row about one encoder
HEADER = ("method", "ours", "theirs", "macro F1", "their uni-modal", "source")
REMARK = "other encoders, frames and epochs; sources differ too, so compare within one"


def published_tables(runs: Sequence[FinishedRun], rows: Sequence[Row]) -> Iterator[Table]:
    """For each data set that others have measured, their figures of our methods beside ours.

    Methods that we did not run are left out, except ``vanilla``. A modality alone is the linear
    probe of our ``unimodal``. Nothing is given where a data set has no published figures.

    Parameters
    ----------
    runs : sequence of FinishedRun
    rows : sequence of Row
        What :func:`mimo_sim.benchmark.summary` makes of them.
    """
    for place in dict.fromkeys(run.dataset for run in runs):
        here = [run for run in runs if run.dataset == place]
        name = here[0].result["config"]["dataset"]
        published = datasets.get(name).published if name in datasets.available() else ()
        folders: dict[str, list[str]] = {}  # method -> its folders, one for each hyper-parameter
        for run in here:
            folders.setdefault(run.result["config"]["method"], []).append(run.method)
        known = {method: list(dict.fromkeys(names)) for method, names in folders.items()}
        found = rows_by_name([row for row in rows if row.dataset == place])
        cells = [
            line
            for theirs in published
            if theirs.method in ("vanilla", *known) or theirs.method.endswith(ALONE)
            for line in _lines(theirs, known, found)
        ]
        if cells:
            yield Table(f"{place}: published beside ours, in % ({REMARK})", HEADER, cells)


def _lines(
    theirs: Published, known: dict[str, list[str]], found: dict[tuple[str, str], Row]
) -> Iterator[tuple[str, ...]]:
    """A published row beside each of ours that is of the same method, or by itself."""
    metric, folders = "accuracy", known.get(theirs.method, [])
    if theirs.method.endswith(ALONE):
        metric = f"probe/{theirs.method.removesuffix(ALONE)}"
        folders = known.get("unimodal", [])
    told = ", ".join(f"{name} {value:.1f}" for name, value in theirs.unimodal.items())
    if told and theirs.definition:
        told += f" ({theirs.definition})"
    source = theirs.source + (f"; {theirs.selection}" if theirs.selection else "")
    for folder in folders or [theirs.method]:
        ours = found.get((folder, metric))
        yield (
            theirs.method if metric != "accuracy" else folder,
            "" if ours is None else f"{100 * ours.mean:.1f}",
            f"{theirs.accuracy:.1f}",
            "" if theirs.macro_f1 is None else f"{theirs.macro_f1:.1f}",
            told,
            source,
        )
