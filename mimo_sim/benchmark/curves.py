"""Which methods are shown epoch by epoch, where a figure has no room for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mimo_sim.benchmark.grids import Grid
from mimo_sim.benchmark.records import FinishedRun

CURVES = ("vanilla", "linear_scalarization", "mimo", "unimodal")
MOST_NAMED = 12  # methods that a figure of many names


def default_curves(runs: Sequence[FinishedRun], grids: Mapping[str, Grid]) -> list[str]:
    """The methods of :data:`CURVES`, the best member of each grid, and MIMO's best variant.

    The best have the best mean over seeds on the validation split.

    If a method was not run with its defaults, its variants outside of grids take its place. If none
    of these was run, all methods are returned.

    Parameters
    ----------
    runs : sequence of FinishedRun
        Of one data set.
    grids : mapping
        Of :func:`mimo_sim.benchmark.grids.find_grids`.
    """
    names = list(dict.fromkeys(run.method for run in runs))
    in_a_grid = {name for grid in grids.values() for name in grid}
    curves: list[str] = []
    for method in CURVES:
        if method in names:
            curves.append(method)
        else:
            curves += [name for name in _variants(method, names) if name not in in_a_grid]
    best = [_best_on_validation(runs, grid) for grid in grids.values()]
    of_mimo = [name for name in _variants("mimo", names) if name not in in_a_grid]
    if of_mimo:
        best.append(max(of_mimo, key=lambda name: _mean_score(runs, name)))
    for method in CURVES:
        curves += [name for name in _variants(method, names) if name in best]
    return list(dict.fromkeys(curves)) or names


def main_methods(runs: Sequence[FinishedRun], most: int = MOST_NAMED) -> list[str]:
    """The methods that a crowded figure names: those of :data:`CURVES`, then the best.

    Parameters
    ----------
    runs : sequence of FinishedRun
        Of one data set.
    most : int
        How many at most.

    Returns
    -------
    list of str
        The best are those with the best mean over seeds on the validation split.
    """
    names = list(dict.fromkeys(run.method for run in runs))
    main = [name for name in CURVES if name in names]
    others = [name for name in names if name not in main]
    others.sort(key=lambda name: -_mean_score(runs, name))
    return [*main, *others][:most]


def asked_curves(runs: Sequence[FinishedRun], asked: Sequence[str]) -> list[str]:
    """The methods that were asked for, then their variants; empty where none of them was run.

    ``"mimo"`` has all its variants, ``"mimo-lam"`` those that were given a lam.
    """
    names = list(dict.fromkeys(run.method for run in runs))
    curves = [name for name in asked if name in names]
    for name in asked:
        curves += _variants(name, names)
    return list(dict.fromkeys(curves))


def refuse_unknown_curves(runs: Sequence[FinishedRun], asked: Sequence[str]) -> None:
    """Refuse a name that no run has, on any data set.

    Raises
    ------
    ValueError
        The message names the argument and what there is.
    """
    for name in asked:
        if not asked_curves(runs, [name]):
            names = tuple(dict.fromkeys(run.method for run in runs))
            raise ValueError(f"`curves` must name methods among {names}. Got {name!r}.")


def _variants(start: str, names: Sequence[str]) -> list[str]:
    return [name for name in names if name.startswith((f"{start}-", f"{start}="))]


def _best_on_validation(runs: Sequence[FinishedRun], grid: Grid) -> str:
    """The member of a grid with the best mean over seeds on the validation split."""

    return max(grid, key=lambda name: _mean_score(runs, name))


def _mean_score(runs: Sequence[FinishedRun], name: str) -> float:
    """Mean over seeds of how good a method is on the validation split."""
    return float(np.mean([_score(run) for run in runs if run.method == name]))


def _score(run: FinishedRun) -> float:
    return validation_score(run.result["metrics"])


def validation_score(metrics: Mapping[str, Any]) -> float:
    """How good a run is by its metrics of the validation split: higher is better."""
    found = metrics["validation"]
    return float(found["accuracy"] if "accuracy" in found else -found["mse"])
