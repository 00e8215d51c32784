"""The figure of [ZLS]: how long joint training's second modality waits, over correlation.

[ZLS] is Zhang, Latham and Saxe (ICML 2024).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from mimo_sim import theory
from mimo_sim._checks import check_count
from mimo_sim.generators import scalar_pair
from mimo_sim.solvers import Vanilla
from mimo_sim.studies._statistics import check_finished
from mimo_sim.studies.race import plateau_hidden

FINE = np.linspace(-0.95, 0.95, 191)  # the correlations of the curve of theory


def compute(
    sigma_ratios: Sequence[float] = (1.0, 1.5, 2.0, 3.0),
    rhos: Sequence[float] = (-0.9, -0.675, -0.45, -0.225, 0.0, 0.225, 0.45, 0.675, 0.9),
    *,
    seeds: int = 5,
    init_scale: float = 1e-9,
    steps: int = 40_000,
    on_run: Callable[[], None] = lambda: None,
) -> xr.Dataset:
    r"""Time ratio and mis-attribution of joint training on the scalar pair, against theory.

    Parameters
    ----------
    sigma_ratios : sequence of float
        Ratios of *standard deviations* :math:`\sigma_A / \sigma_B`, >= 1, as in the figure of
        [ZLS]. Variances are in the ratio of their squares.
    rhos : sequence of float
        Correlations of the inputs, in (-1, 1).
    seeds : int
        Number of initialisations, >= 1. Their seeds are 0 ... seeds - 1.
    init_scale : float
        :math:`u_0` in (0, 1).
    steps : int
        Steps of each run, >= 1. Its step size is chosen so that the run ends when all is learned.
    on_run : callable
        Called once per run.

    Returns
    -------
    xarray.Dataset
        Dimensions sigma_ratio, rho and seed.

        ``time_ratio`` is B's half-time over A's. ``misattribution`` is A's weight midway between
        the half-times minus its optimal weight; NaN for equal standard deviations, where no
        modality is ever alone.

        Predictions (sigma_ratio, rho): ``predicted_time_ratio`` in the limit of tiny u0,
        ``predicted_time_ratio_u0``, ``predicted_misattribution``, and ``hidden``
        (:func:`mimo_sim.studies.race.plateau_hidden`). ``theory_curve`` (sigma_ratio, rho_theory)
        is ``predicted_time_ratio`` on a fine grid.

    Raises
    ------
    ValueError, TypeError
        For a sigma ratio below 1, no `rhos`, and counts below 1. Also if no run learned both
        modalities.

    Warns
    -----
    UnconvergedWarning
        If some runs did not; their numbers are NaN.
    """
    from mimo_sim.dynamics.ensemble.driver import simulate_ensemble

    check_count("seeds", seeds)
    check_count("steps", steps)
    if len(sigma_ratios) == 0 or not min(sigma_ratios) >= 1 or len(rhos) == 0:
        raise ValueError(
            "`sigma_ratios` must be >= 1, so that A is learned first, and there must be `rhos`."
            f" Got {list(sigma_ratios)} and {list(rhos)}."
        )
    grid = list(itertools.product(map(float, sigma_ratios), map(float, rhos)))
    problems = [scalar_pair(*point) for point in grid]
    over_grid = (len(sigma_ratios), len(rhos))
    # Once all modalities have emerged, the slowest direction still has to settle.
    settle = [3 / np.linalg.eigvalsh(problem.input_moment)[0] for problem in problems]
    latest = [theory.learning_times(problem, init_scale).max() for problem in problems]
    end = np.array([1.3 * time for time in latest]) + settle
    runs = simulate_ensemble(
        [problem for problem in problems for _ in range(seeds)],
        Vanilla(),
        step_size=np.repeat(end / steps, seeds),
        steps=steps,
        init_scale=init_scale,
        seed=list(range(seeds)) * len(problems),
    )
    for _ in range(runs.sizes["run"]):
        on_run()

    half = runs.half_time.transpose("run", "modality").values
    check_finished(half, steps)
    weight = runs.plateau_map.isel(output=0, modality=0, component=0).values
    optimal = np.repeat([problem.joint_map[0, 0] for problem in problems], seeds)
    waits = (half[:, 1] / half[:, 0]).reshape(*over_grid, seeds)
    wrong = (weight - optimal).reshape(*over_grid, seeds)

    apart = (np.asarray(sigma_ratios) > 1)[:, None]  # A and B are learned at different times
    curve = [[theory.time_ratio(scalar_pair(ratio, rho)) for rho in FINE] for ratio in sigma_ratios]
    limit = [theory.time_ratio(problem) for problem in problems]
    finite = [theory.time_ratio(problem, init_scale) for problem in problems]
    misattribution = [theory.misattribution(problem).item() for problem in problems]
    hidden = [
        ratio > 1 and plateau_hidden(problem)
        for (ratio, _), problem in zip(grid, problems, strict=True)
    ]
    every, point = ("sigma_ratio", "rho", "seed"), ("sigma_ratio", "rho")
    data = {
        "time_ratio": (every, waits),
        "misattribution": (every, np.where(apart[..., None], wrong, np.nan)),
        "theory_curve": (("sigma_ratio", "rho_theory"), np.array(curve)),
        "predicted_time_ratio": (point, np.reshape(limit, over_grid)),
        "predicted_time_ratio_u0": (point, np.reshape(finite, over_grid)),
        "predicted_misattribution": (
            point,
            np.where(apart, np.reshape(misattribution, over_grid), np.nan),
        ),
        "hidden": (point, np.reshape(hidden, over_grid)),
    }
    coords = {
        "sigma_ratio": list(map(float, sigma_ratios)),
        "rho": np.asarray(rhos, dtype=float),
        "seed": np.arange(seeds),
        "rho_theory": FINE,
    }
    return xr.Dataset(data, coords, {"init_scale": init_scale, "steps": steps, "width": 100})


def summarise(data: xr.Dataset) -> dict[str, Any]:
    """How far simulations are from the predictions, at most over the grid.

    Each point is the median over seeds. Errors of times are relative, those of mis-attribution
    absolute. Points whose plateau is hidden do not count.

    Parameters
    ----------
    data : xarray.Dataset
        What :func:`compute` returned.
    """
    shown = ~data.hidden
    ratio, wrong = data.time_ratio.median("seed"), data.misattribution.median("seed")

    def largest(error: xr.DataArray) -> float:
        return float(abs(error).where(shown).max())

    return {
        "runs": int(data.time_ratio.size),
        "finished": int(np.isfinite(data.time_ratio).sum()),
        "steps": int(data.attrs["steps"]),
        "init_scale": float(data.attrs["init_scale"]),
        "points_with_hidden_plateau": int(data.hidden.sum()),
        "largest_error_limit": largest(ratio / data.predicted_time_ratio - 1),
        "largest_error_finite_u0": largest(ratio / data.predicted_time_ratio_u0 - 1),
        "largest_error_misattribution": largest(wrong - data.predicted_misattribution),
        "time_ratio": {
            f"{sigma:g}": [round(float(x), 4) for x in ratio.sel(sigma_ratio=sigma)]
            for sigma in data.sigma_ratio.values
        },
    }
