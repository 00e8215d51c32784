"""The study after [ZLS]: the time ratio and the mis-attribution of joint training on scalar pairs."""

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
from mimo_sim.studies.race import plateau_hidden


def compute(
    sigma_ratios: Sequence[float] = (1.0, 1.5, 2.0, 3.0),
    rhos: Sequence[float] = (-0.9, -0.675, -0.45, -0.225, 0.0, 0.225, 0.45, 0.675, 0.9),
    *,
    seeds: int = 5,
    init_scale: float = 1e-9,
    steps: int = 40_000,
    on_run: Callable[[], None] = lambda: None,
) -> xr.Dataset:
    r"""Time ratio and mis-attribution of joint training on the scalar pair, against theory, over correlation.

    `sigma_ratios` are ratios of *standard deviations* (:math:`\sigma_A / \sigma_B`; variances are in the ratio of their squares), as in the figure of [ZLS].

    Parameters
    ----------
    sigma_ratios : sequence of float
        >= 1.
    rhos : sequence of float
        In (-1, 1).
    seeds : int
        Initialisations 0 ... seeds - 1, >= 1.
    init_scale : float
        :math:`u_0` in (0, 1).
    steps : int
        Of each run; step sizes follow so that each run ends when all is learned.

    Returns
    -------
    xarray.Dataset
        Dims sigma_ratio, rho, seed: ``time_ratio`` (half-time of B over A's), ``misattribution`` (A's weight midway between the half-times minus the optimal
        one; NaN for equal standard deviations, which have no uni-modal phase). Predictions ``predicted_time_ratio`` (limit of tiny u0; on a fine grid of rho
        ``theory_curve``), ``predicted_time_ratio_u0`` and ``predicted_misattribution`` (sigma_ratio, rho); ``hidden`` (:func:`plateau_hidden`).
    """
    from mimo_sim.dynamics.ensemble.driver import simulate_ensemble

    check_count("seeds", seeds, 1)
    check_count("steps", steps, 1)
    if len(sigma_ratios) == 0 or not min(sigma_ratios) >= 1 or len(rhos) == 0:
        raise ValueError(
            f"`sigma_ratios` must be >= 1, so that A is learned first, and there must be `rhos`. Got {list(sigma_ratios)} and {list(rhos)}."
        )
    grid = list(itertools.product(map(float, sigma_ratios), map(float, rhos)))
    problems = [scalar_pair(*point) for point in grid]
    shape = (len(sigma_ratios), len(rhos))
    settle = [
        3 / np.linalg.eigvalsh(problem.input_moment)[0] for problem in problems
    ]  # of the slowest direction once all have emerged
    end = (
        np.array([1.3 * theory.learning_times(problem, init_scale).max() for problem in problems])
        + settle
    )
    runs = simulate_ensemble(
        [problem for problem in problems for _ in range(seeds)],
        Vanilla(),
        step_size=np.repeat(end / steps, seeds),
        steps=steps,
        init_scale=init_scale,
        seed=list(range(seeds)) * len(problems),
    )
    half = runs.half_time.transpose("run", "modality").values
    final = np.array([problem.joint_map[0, 0] for problem in problems])
    weight = runs.plateau_map.isel(output=0, modality=0, component=0).values
    found = {
        "time_ratio": half[:, 1] / half[:, 0],
        "misattribution": weight - np.repeat(final, seeds),
    }
    found = {name: values.reshape(*shape, seeds) for name, values in found.items()}
    for _ in range(runs.sizes["run"]):
        on_run()
    apart = (np.asarray(sigma_ratios) > 1)[:, None, None]
    fine = np.linspace(-0.95, 0.95, 191)
    over, point = ("sigma_ratio", "rho", "seed"), ("sigma_ratio", "rho")
    data = {
        "time_ratio": (over, found["time_ratio"]),
        "misattribution": (over, np.where(apart, found["misattribution"], np.nan)),
        "theory_curve": (
            ("sigma_ratio", "rho_theory"),
            np.array(
                [[theory.time_ratio(scalar_pair(r, rho)) for rho in fine] for r in sigma_ratios]
            ),
        ),
        "predicted_time_ratio": (
            point,
            np.reshape([theory.time_ratio(problem) for problem in problems], shape),
        ),
        "predicted_time_ratio_u0": (
            point,
            np.reshape([theory.time_ratio(problem, init_scale) for problem in problems], shape),
        ),
        "predicted_misattribution": (
            point,
            np.where(
                apart[..., 0],
                np.reshape([theory.misattribution(p).item() for p in problems], shape),
                np.nan,
            ),
        ),
        "hidden": (
            point,
            np.reshape(
                [r > 1 and plateau_hidden(p) for (r, _), p in zip(grid, problems, strict=True)],
                shape,
            ),
        ),
    }
    coords = {
        "sigma_ratio": list(map(float, sigma_ratios)),
        "rho": np.asarray(rhos, dtype=float),
        "seed": np.arange(seeds),
        "rho_theory": fine,
    }
    return xr.Dataset(data, coords, {"init_scale": init_scale, "steps": steps, "width": 100})


def summarise(data: xr.Dataset) -> dict[str, Any]:
    """Deviations of :func:`zls` from its predictions, largest over the grid: medians over seeds, relative for times, absolute for mis-attribution."""
    shown = ~data.hidden
    ratio = data.time_ratio.median("seed")
    return {
        "runs": int(data.time_ratio.size),
        "steps": int(data.attrs["steps"]),
        "init_scale": float(data.attrs["init_scale"]),
        "points_with_hidden_plateau": int(data.hidden.sum()),
        "largest_error_limit": float(abs(ratio / data.predicted_time_ratio - 1).where(shown).max()),
        "largest_error_finite_u0": float(
            abs(ratio / data.predicted_time_ratio_u0 - 1).where(shown).max()
        ),
        "largest_error_misattribution": float(
            abs(data.misattribution.median("seed") - data.predicted_misattribution)
            .where(shown)
            .max()
        ),
        "time_ratio": {
            f"{r:g}": [round(float(x), 4) for x in ratio.sel(sigma_ratio=r)]
            for r in data.sigma_ratio.values
        },
    }
