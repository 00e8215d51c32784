"""Simulations that several claims about learning order and norms need: run until the losses have closed, with few rows kept."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

import mimo_sim as ms

Array = npt.NDArray[np.float64]
ROWS = 8000  # of a converged run: half-times are known to one part in ROWS of its length
MOST_STEPS = 2_000_000
WIDE = 13  # inputs per modality from which on the engine's loop is compiled once for all sizes, instead of once per size
MANY_OUTPUTS = 2  # so is it for more than one output


def quietly(
    problem: ms.LateFusionProblem, method: ms.Vanilla | ms.MIMO, **settings: Any
) -> xr.Dataset:
    """`ms.simulate` at infinite width without its advice about sigma flipping from step to step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ms.ChatteringWarning)
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
    """A run long enough for f_mm to lose all but `tolerance` of its first excess, found by doubling; None if that takes more than MOST_STEPS."""
    steps = steps or math.ceil(
        3 * math.log(1 / init_scale) / (step_size * float(sizes(problem).max()))
    )
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
    """Flow times at which each squared encoder norm passes half of its final value (`ms.half_times` times the step size)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ms.UnconvergedWarning)
        return np.asarray(ms.half_times(run).values * run.attrs["step_size"])


def sizes(problem: ms.LateFusionProblem) -> Array:
    """|C_k| as the norm of each block, for scalar targets."""
    return np.array([np.linalg.norm(block, 2) for block in problem.sigma_yx])


def left_to_learn(problem: ms.LateFusionProblem) -> tuple[int, int, Array]:
    """For two modalities and m = 1: A (larger |C|), B, and D = C_B - C_A S_AA^-1 S_AB, by least squares."""
    a, b = (0, 1) if sizes(problem)[0] >= sizes(problem)[1] else (1, 0)
    alone = np.linalg.lstsq(problem.sigma[a][a], problem.sigma_yx[a].T, rcond=None)[0].T
    return a, b, np.asarray(problem.sigma_yx[b] - alone @ problem.sigma[a][b])
