"""What the tests of single runs share: cases, and how two runs are compared."""

from __future__ import annotations

import numpy as np
import xarray as xr

import mimo_sim as ms
from mimo_sim.solvers import Solver
from mimo_sim.testing import Weights
from tests.reference import every_rule

FIGURE_1 = ms.generators.superficial_preference()
# Relative to the largest value of a variable. 100 contracting steps on numbers of order one keep
# some 1e-14; where engines differ, they differ by 1e-2.
ROUND_OFF = 1e-10
METHODS = every_rule(f_star=(0.1, 0.2))


def distances(run: xr.Dataset, other: xr.Dataset) -> dict[str, float]:
    """Largest difference of each variable, relative to its largest value.

    NaN is allowed only where both have it (joint training has no sigma). Problems and weights drawn
    here are of order one; a variable that stays below 1e-6 (a run that starts at its optimum) is
    compared with 1e-6.
    """
    assert set(run.data_vars) == set(other.data_vars)
    result = {}
    for name in run.data_vars:
        mine, theirs = run[name].values, other[name].values
        assert mine.shape == theirs.shape, name
        assert (np.isnan(mine) == np.isnan(theirs)).all(), name
        result[str(name)] = float(
            np.nanmax(np.abs(mine - theirs), initial=0.0)
            / max(np.nanmax(np.abs(theirs), initial=0.0), 1e-6)
        )
    return result


def assert_same(run: xr.Dataset, other: xr.Dataset, rtol: float = ROUND_OFF) -> None:
    apart = {name: distance for name, distance in distances(run, other).items() if distance > rtol}
    assert not apart


def assert_identical(run: xr.Dataset, other: xr.Dataset) -> None:
    """Same bytes in every variable and coordinate."""
    xr.testing.assert_equal(run, other)
    assert all(run[name].values.tobytes() == other[name].values.tobytes() for name in run.data_vars)


def safe_step(problem: ms.LateFusionProblem, method: Solver, weights: list[Weights]) -> float:
    """Twice the default step size.

    It is below 1/L, so the iteration contracts and does not chatter, and 60 steps learn most of
    what there is.
    """
    largest = max(
        sum(float(np.linalg.norm(block, 2)) ** 2 for block in triple) for triple in weights
    )
    return 2 * ms.theory.default_step_size(problem, method, init_norm_squared=largest)
