"""All figures of a results folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matplotlib.figure import Figure

from mimo_sim.benchmark.comparison import Row, split_suffix
from mimo_sim.benchmark.curves import (
    asked_curves,
    default_curves,
    main_methods,
    refuse_unknown_curves,
)
from mimo_sim.benchmark.grids import find_grids
from mimo_sim.benchmark.records import FinishedRun
from mimo_sim.plots.benchmark.epochs import draw_epochs
from mimo_sim.plots.benchmark.grid import REFERENCES, draw_grid
from mimo_sim.plots.benchmark.looks import method_looks
from mimo_sim.plots.benchmark.trade_off import draw_gap
from mimo_sim.plots.benchmark.trajectories import draw_trajectories_of_runs


def draw_benchmark(
    runs: Sequence[FinishedRun], rows: Sequence[Row], curves: Sequence[str] | None = None
) -> Iterator[tuple[str, Figure]]:
    """The figures of every data set, each with the stem of its file name.

    - ``<data set>-gap``: accuracy against modality gap, without the members of grids. At most a
      dozen methods have names: the main ones, and the best on validation.
    - ``<data set>-<grid>``: the same of one grid of hyper-parameters.
    - ``<data set>-epochs``: accuracies and weights over epochs. The best member of each grid is
      among them.
    - ``<data set>-trajectories``: encoder norms and losses over epochs, a column per method.

    Regression has no figures of the first two kinds.

    Parameters
    ----------
    runs : sequence of FinishedRun
    rows : sequence of Row
        Of :func:`mimo_sim.benchmark.summary`.
    curves : sequence of str, optional
        Methods in the figure of epochs, as in
        :func:`mimo_sim.benchmark.curves.asked_curves`; by default those of
        :func:`mimo_sim.benchmark.curves.default_curves`.

    Raises
    ------
    ValueError
        If no run is of a method named in `curves`.
    """
    refuse_unknown_curves(runs, curves or ())
    looks = method_looks([run.method for run in runs])
    suffix = split_suffix(rows)
    for dataset in dict.fromkeys(run.dataset for run in runs):
        own_runs = [run for run in runs if run.dataset == dataset]
        own_rows = [row for row in rows if row.dataset == dataset]
        grids = find_grids(own_runs)
        if {"gap/probe", "accuracy"} <= {row.metric for row in own_rows}:
            in_a_grid = {name for grid in grids.values() for name in grid}
            others = {run.method for run in own_runs} - in_a_grid
            if not grids or others - set(REFERENCES):
                without = [row for row in own_rows if row.method not in in_a_grid]
                named = main_methods([run for run in own_runs if run.method in others])
                yield f"{dataset}-gap{suffix}", draw_gap(without, looks, named)
            for name, grid in grids.items():
                yield f"{dataset}-{name}{suffix}", draw_grid(own_rows, grid, looks)
        shown = asked_curves(own_runs, curves) if curves else default_curves(own_runs, grids)
        if not shown:
            continue
        ending = "".join(f"-{name}" for name in curves or ())
        yield f"{dataset}-epochs{ending}", draw_epochs(own_runs, shown, looks)
        yield f"{dataset}-trajectories{ending}", draw_trajectories_of_runs(own_runs, shown)
