"""Which finished runs form a grid of hyper-parameters, and along which of them it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from mimo_sim.benchmark.records import FinishedRun

Grid: TypeAlias = dict[str, dict[str, Any]]  # method as its folder names it -> values it was given
FEWEST = 3  # runs with other hyper-parameters that make a grid


def find_grids(runs: Sequence[FinishedRun]) -> dict[str, Grid]:
    """The grids among finished runs, by name.

    Runs of one method that were given values for the same hyper-parameters form a grid, if there
    are at least three of them and one of the values that vary is a number.

    Returns
    -------
    dict
        The name ``method-key-key`` -> the runs of the grid, each with the values it was given.
    """
    found: dict[str, Grid] = {}
    for run in runs:
        config = run.result["config"]
        given = {key: value for key, value in config["hyper"].items() if f"-{key}=" in run.method}
        if given and "tuning" not in config:
            name = "-".join([config["method"], *given])
            found.setdefault(name, {})[run.method] = given
    return {
        name: grid
        for name, grid in found.items()
        if len(grid) >= FEWEST and varying_keys(grid)[0] is not None
    }


def varying_keys(grid: Mapping[str, Mapping[str, Any]]) -> tuple[str | None, list[str]]:
    """The first hyper-parameter that varies and is a number, and the others that vary."""
    members = list(grid.values())
    varying = [key for key in members[0] if len({str(values[key]) for values in members}) > 1]
    for key in varying:
        if all(_is_number(values[key]) for values in members):
            return key, [other for other in varying if other != key]
    return None, varying


def in_order(value: Any) -> tuple[bool, float, str]:
    """A key to sort values of a hyper-parameter by: numbers by size, then words."""
    if _is_number(value):
        return False, float(value), ""
    return True, 0.0, str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
