"""The study of random problems: predicted against simulated time ratios of joint training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from mimo_sim import theory
from mimo_sim._checks import check_count
from mimo_sim.generators import random_problem
from mimo_sim.solvers import Vanilla


def compute(
    problems: int = 150,
    dims: tuple[int, int] = (5, 5),
    *,
    init_scale: float = 1e-9,
    steps: int = 40_000,
    on_run: Callable[[], None] = lambda: None,
) -> xr.Dataset:
    """Predicted against simulated time ratio of joint training on random problems that meet the two conditions of superficial preference.

    Returns
    -------
    xarray.Dataset
        Dim problem (the seed of :func:`mimo_sim.generators.random_problem`): ``time_ratio`` (half-times), ``predicted`` (limit of tiny u0), ``predicted_u0``.
    """
    from mimo_sim.dynamics.ensemble.driver import simulate_ensemble

    check_count("problems", problems, 3)
    check_count("steps", steps, 1)
    drawn = [random_problem(dims, seed, "superficial") for seed in range(problems)]
    end = np.array([1.6 * theory.learning_times(problem, init_scale).max() for problem in drawn])
    runs = simulate_ensemble(
        drawn, Vanilla(), step_size=end / steps, steps=steps, init_scale=init_scale
    )
    half = runs.half_time.transpose("run", "modality").values
    for _ in drawn:
        on_run()
    data = {
        "time_ratio": half.max(1) / half.min(1),
        "predicted": np.array([theory.time_ratio(problem) for problem in drawn]),
        "predicted_u0": np.array([theory.time_ratio(problem, init_scale) for problem in drawn]),
    }
    attrs = {"init_scale": init_scale, "steps": steps, "dims": list(dims)}
    return xr.Dataset(
        {name: ("problem", values) for name, values in data.items()},
        {"problem": np.arange(problems)},
        attrs,
    )


def summarise(data: xr.Dataset) -> dict[str, Any]:
    """Correlations and median relative errors of :func:`scatter`, for both predictions."""
    found = data.time_ratio.values

    def against(name: str) -> dict[str, float]:
        predicted = data[name].values
        return {
            "correlation": float(np.corrcoef(predicted, found)[0, 1]),
            "correlation_of_logarithms": float(np.corrcoef(np.log(predicted), np.log(found))[0, 1]),
            "median_relative_error": float(np.median(abs(predicted / found - 1))),
            "largest_relative_error": float(np.max(abs(predicted / found - 1))),
        }

    return {
        "problems": int(data.sizes["problem"]),
        "limit": against("predicted"),
        "finite_u0": against("predicted_u0"),
    }
