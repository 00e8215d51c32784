"""All figures of finished runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mimo_sim.benchmark.tables import mark

if TYPE_CHECKING:
    from mimo_sim.benchmark.comparison import Row
    from mimo_sim.benchmark.records import Finished
from mimo_sim.plots.benchmark.epochs import draw_epochs
from mimo_sim.plots.benchmark.grid import draw_grid, find_grids
from mimo_sim.plots.benchmark.looks import CURVES, REFERENCES, method_looks
from mimo_sim.plots.benchmark.trade_off import draw_gap


def draw_benchmark(
    runs: Sequence[Finished], rows: Sequence[Row], curves: Sequence[str] | None = None
) -> Iterator[tuple[str, Figure]]:
    """(file stem, figure) of every data set's figures. A grid has one of its own; of its runs the best on validation is in the one of epochs too.

    Other variants of a method, such as ``mimo-f_star=zero``, are in the figure of epochs when `curves` names the method, or the method itself is not there.

    Parameters
    ----------
    runs : sequence of Finished
    rows : sequence of Row
        Of :func:`mimo_sim.benchmark.comparison.summary`.
    curves : sequence of str, optional
        Methods of the per-epoch figure: names as in the table, or the first part of them ("mimo" for all its variants, "mimo-lam" for those in lam).

    Raises
    ------
    ValueError
        If none of the runs is of the methods named in `curves`.
    """
    seen = method_looks([run.method for run in runs])
    for dataset in dict.fromkeys(run.dataset for run in runs):
        here = [run for run in runs if run.dataset == dataset]
        mine = [row for row in rows if row.dataset == dataset]
        names = dict.fromkeys(run.method for run in here)
        found = find_grids(here)
        apart = {name for members in found.values() for name in members}
        if {"gap/probe", "accuracy"} <= {row.figure for row in mine}:
            if not found or set(names) - apart - {*REFERENCES}:
                yield (
                    f"{dataset}-gap{mark(rows)}",
                    draw_gap([row for row in mine if row.method not in apart], seen),
                )
            for name, members in found.items():
                yield f"{dataset}-{name}{mark(rows)}", draw_grid(mine, members, seen)
        wanted = []
        for one in curves or CURVES:
            stand_in = (
                []
                if curves
                else [name for name in names if name.startswith(f"{one}-") and name not in apart]
            )
            wanted += [one] if one in names else stand_in
        best = {
            max(members, key=lambda m: np.mean([_score(run) for run in here if run.method == m]))
            for members in found.values()
        }
        wanted += [
            name
            for one in curves or CURVES
            for name in names
            if name.startswith((f"{one}-", f"{one}=")) and (curves or name in best)
        ]
        if curves and not wanted:
            raise ValueError(
                f"`curves` must name methods among {tuple(names)}. Got {tuple(curves)}."
            )
        yield (
            "-".join([dataset, "epochs", *(curves or ())]),
            draw_epochs(here, wanted or list(names), seen),
        )


def _score(run: Finished) -> float:
    """How good a run is on validation."""
    figures = run.figures("validation")
    return figures["accuracy"] if "accuracy" in figures else -figures["mse"]
