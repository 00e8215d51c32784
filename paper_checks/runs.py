"""Simulations that several claims need."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import xarray as xr

import mimo_sim as ms
from paper_checks.moments import sizes
from paper_checks.network import Array

ROWS = 8000  # recorded in a converged run: half-times are known to one part in ROWS of its length
MOST_STEPS = 2_000_000

# The engine compiles its loop once for each size of a problem, and once for all larger sizes.
# Checks with many random problems use sizes that share one compiled loop:
WIDE = 13  # inputs per modality, or more
MANY_OUTPUTS = 2  # outputs, or more


@contextmanager
def without_advice() -> Iterator[None]:
    """Silence two warnings: that sigma flips from step to step, and that a run has not converged.

    For checks that expect these, or that look for them themselves.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ms.ChatteringWarning)
        warnings.simplefilter("ignore", ms.UnconvergedWarning)
        yield


def quietly(
    problem: ms.LateFusionProblem, method: ms.solvers.AnySolver, **settings: Any
) -> xr.Dataset:
    """`ms.simulate` without advice, and at infinite width unless `settings` say otherwise."""
    with without_advice():
        return ms.simulate(problem, method, **({"width": math.inf} | settings))


def converged(
    problem: ms.LateFusionProblem,
    method: ms.Vanilla | ms.MIMO,
    *,
    init_scale: float,
    step_size: float,
    steps: int = 0,
    tolerance: float = 1e-6,
) -> xr.Dataset | None:
    """A run at whose end the excess of f_mm is at most `tolerance` times its first value.

    The number of steps is doubled until the run is long enough. None if it would need more than
    MOST_STEPS.
    """
    if steps == 0:
        growth = step_size * float(sizes(problem).max())
        steps = math.ceil(3 * math.log(1 / init_scale) / growth)
    while steps <= MOST_STEPS:
        run = quietly(
            problem,
            method,
            steps=steps,
            step_size=step_size,
            init_scale=init_scale,
            record_every=max(steps // ROWS, 1),
        )
        if float(run.excess_mm[-1]) < tolerance * float(run.excess_mm[0]):
            return run
        steps *= 2
    return None


def half_times(run: xr.Dataset) -> Array:
    """Flow times (K,) at which each squared encoder norm passes half of its final value."""
    with without_advice():
        return np.asarray(ms.half_times(run).values * run.attrs["step_size"])
