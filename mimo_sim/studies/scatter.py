"""Predicted against simulated time ratios of joint training, on random problems."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from mimo_sim import theory
from mimo_sim._checks import FloatArray, check_count
from mimo_sim.generators import random_problem
from mimo_sim.solvers import Vanilla
from mimo_sim.studies._statistics import check_finished, correlation, median


def compute(
    problems: int = 150,
    dims: tuple[int, int] = (5, 5),
    *,
    init_scale: float = 1e-9,
    steps: int = 40_000,
    on_run: Callable[[], None] = lambda: None,
) -> xr.Dataset:
    r"""Train random problems by joint training, and predict their time ratios.

    All of them meet the two conditions of superficial preference.

    Parameters
    ----------
    problems : int
        Number of problems, >= 3. They are the draws with seeds 0 ... problems - 1 of
        :func:`mimo_sim.generators.random_problem`.
    dims : (int, int)
        Dimensions of the inputs.
    init_scale : float
        :math:`u_0` in (0, 1).
    steps : int
        Steps of each run, >= 1. Its step size is chosen so that the run ends when all is learned.
    on_run : callable
        Called once per problem.

    Returns
    -------
    xarray.Dataset
        Dimension problem: ``time_ratio``, the later half-time over the earlier one; its predictions
        ``predicted``, in the limit of tiny u0, and ``predicted_u0``. The ratio is NaN where a run
        did not learn both modalities.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, or no run learned both modalities.

    Warns
    -----
    UnconvergedWarning
        If some runs did not.
    """
    from mimo_sim.dynamics.ensemble.driver import simulate_ensemble

    check_count("problems", problems, 3)
    check_count("steps", steps)
    drawn = [random_problem(dims, seed, "superficial") for seed in range(problems)]
    end = np.array([1.6 * theory.learning_times(problem, init_scale).max() for problem in drawn])
    runs = simulate_ensemble(
        drawn, Vanilla(), step_size=end / steps, steps=steps, init_scale=init_scale
    )
    for _ in drawn:
        on_run()
    half = runs.half_time.transpose("run", "modality").values
    check_finished(half, steps)
    limit = [theory.time_ratio(problem) for problem in drawn]
    finite = [theory.time_ratio(problem, init_scale) for problem in drawn]
    return xr.Dataset(
        {
            "time_ratio": ("problem", half.max(1) / half.min(1)),
            "predicted": ("problem", np.array(limit)),
            "predicted_u0": ("problem", np.array(finite)),
        },
        {"problem": np.arange(problems)},
        {"init_scale": init_scale, "steps": steps, "dims": list(dims)},
    )


def summarise(data: xr.Dataset) -> dict[str, Any]:
    """How well each of the two predictions meets the simulated time ratios.

    Parameters
    ----------
    data : xarray.Dataset
        What :func:`compute` returned.
    """
    found = data.time_ratio.values
    return {
        "problems": int(data.sizes["problem"]),
        "finished": int(np.isfinite(found).sum()),
        "limit": _agreement(data.predicted.values, found),
        "finite_u0": _agreement(data.predicted_u0.values, found),
    }


def _agreement(predicted: FloatArray, found: FloatArray) -> dict[str, float]:
    """Correlations, and relative errors of the prediction, over the finished runs."""
    known = np.isfinite(predicted) & np.isfinite(found)
    predicted, found = predicted[known], found[known]
    errors = abs(predicted / found - 1)
    return {
        "correlation": correlation(predicted, found),
        "correlation_of_logarithms": correlation(np.log(predicted), np.log(found)),
        "median_relative_error": median(errors),
        "largest_relative_error": float(np.max(errors)) if len(errors) else math.nan,
    }
