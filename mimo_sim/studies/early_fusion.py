"""Early against late fusion: when each modality is learned, over penalty and correlation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from mimo_sim import theory
from mimo_sim.dynamics.driver import simulate
from mimo_sim.dynamics.engines.early import default_step_size, simulate_early
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, Solver, Vanilla
from mimo_sim.studies._fusion import SCALE, Advance, correlated_preference, time_ratios
from mimo_sim.studies._fusion import summarise as summarise

STRETCH = 2.2  # length of a run, over joint training's latest learning time
RECORDED = 1000  # steps of a run that are recorded, at most
GROWN = 1e6  # the squared encoder norm is still small when it has grown by this factor


def compute(
    lams: Sequence[float],
    rhos: Sequence[float],
    *,
    mu: float = 0.05,
    init_scale: float = 1e-9,
    on_run: Advance = lambda: None,
) -> xr.Dataset:
    r"""Train two-layer networks with early and with late fusion, over penalty and correlation.

    Both engines are exact, in the limit of infinite width.

    Parameters
    ----------
    lams : sequence of float
        Penalties, >= 0.
    rhos : sequence of float
        Correlations of the two scalar inputs, in (-1, 1).
    mu : float
        Smoothing, > 0.
    init_scale : float
        :math:`u_0` in (0, 1).
    on_run : callable
        Called once per point (rho, lam).

    Returns
    -------
    xarray.Dataset
        ``time_ratio`` (fusion, rho, lam) is the time at which encoder A reaches a tenth of its
        final squared norm over that of encoder B. ``threshold`` (rho) is the order threshold of
        late fusion.

        ``share`` (rho, lam) is A's part of the squared norm of the early-fusion encoder while it is
        small: when the norm has grown a thousandfold. ``predicted_share`` is its prediction, from
        the leading right singular vector of :func:`mimo_sim.theory.growth_matrix`.

        ``part`` (fusion, point, modality) are squared encoder norms over their final values against
        ``time``, for rho = 0 and joint training.
    """
    over_grid = (len(rhos), len(lams))
    ratios = np.empty((2, *over_grid))
    share, predicted = np.empty(over_grid), np.empty(over_grid)
    for i, rho in enumerate(rhos):
        problem = correlated_preference(rho)
        for j, lam in enumerate(lams):
            early, late = _early_and_late(problem, MIMO(lam=lam, mu=mu), init_scale)
            ratios[0, i, j] = float(time_ratios(early, of="encoder_norm"))
            ratios[1, i, j] = float(time_ratios(late, of="encoder_norm"))
            squared = early.encoder_norm.values**2
            grown = int(np.argmax(squared.sum(1) > GROWN * squared[0].sum()))
            share[i, j] = squared[grown, 0] / squared[grown].sum()
            leading = np.linalg.svd(theory.growth_matrix(problem, lam, mu))[2][0]
            predicted[i, j] = leading[0] ** 2
            on_run()

    thresholds = [theory.order_threshold(correlated_preference(rho), mu) for rho in rhos]
    joint = [
        run.isel(step=slice(None, None, 2))
        for run in _early_and_late(correlated_preference(0.0), Vanilla(), init_scale)
    ]
    part = np.array([(run.encoder_norm / run.encoder_norm[-1]).values ** 2 for run in joint])
    return xr.Dataset(
        {
            "time_ratio": (("fusion", "rho", "lam"), ratios),
            "share": (("rho", "lam"), share),
            "predicted_share": (("rho", "lam"), predicted),
            "threshold": ("rho", thresholds),
            "part": (("fusion", "point", "modality"), part),
        },
        {
            "fusion": ["early", "late"],
            "rho": list(rhos),
            "lam": list(lams),
            "modality": ["A", "B"],
            "time": ("point", joint[0].time.values),
        },
        {"mu": mu, "init_scale": init_scale, "scale": SCALE},
    )


def _early_and_late(
    problem: LateFusionProblem, solver: Solver, init_scale: float
) -> tuple[xr.Dataset, xr.Dataset]:
    """The same run with early and with late fusion, at one step size."""
    defaults = default_step_size(problem, solver), theory.default_step_size(problem, solver)
    eta = min(defaults) * 2
    duration = STRETCH * theory.learning_times(problem, init_scale)
    steps = int(np.ceil(duration[np.isfinite(duration)].max() / eta))
    settings: dict[str, Any] = {
        "step_size": eta,
        "steps": steps,
        "record_every": max(1, steps // RECORDED),
        "width": math.inf,
        "init_scale": init_scale,
    }
    return simulate_early(problem, solver, **settings), simulate(problem, solver, **settings)
