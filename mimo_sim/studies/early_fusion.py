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


def early_study(
    lams: Sequence[float],
    rhos: Sequence[float],
    *,
    mu: float = 0.05,
    init_scale: float = 1e-9,
    on_run: Advance = lambda: None,
) -> xr.Dataset:
    r"""Early against late fusion, two layers, exact engine in the limit of infinite width, over penalty and correlation.

    Returns
    -------
    xarray.Dataset
        ``time_ratio`` (fusion, rho, lam): time at which encoder A reaches a tenth of its final squared norm over that of encoder B; ``share`` and
        ``predicted_share`` (rho, lam): A's part of the early-fusion encoder's squared norm while it is small, measured when the norm has grown a
        thousandfold, and from the leading right singular vector of :func:`mimo_sim.theory.growth_matrix`; ``threshold`` (rho), the
        late-fusion order threshold; and, for rho = 0 and joint training, ``part`` (fusion, point, modality), squared encoder norms over their final values
        against ``time``.
    """
    ratios, share, predicted = (
        np.empty((2, len(rhos), len(lams))),
        np.empty((len(rhos), len(lams))),
        np.empty((len(rhos), len(lams))),
    )

    def both(problem: LateFusionProblem, method: Solver) -> list[xr.Dataset]:
        eta = min(default_step_size(problem, method), theory.default_step_size(problem, method)) * 2
        duration = 2.2 * theory.learning_times(problem, init_scale)
        steps = int(np.ceil(duration[np.isfinite(duration)].max() / eta))
        settings: dict[str, Any] = {
            "step_size": eta,
            "steps": steps,
            "record_every": max(1, steps // 1000),
            "width": math.inf,
            "init_scale": init_scale,
        }
        return [simulate_early(problem, method, **settings), simulate(problem, method, **settings)]

    for i, rho in enumerate(rhos):
        problem = correlated_preference(rho)
        for j, lam in enumerate(lams):
            runs = both(problem, MIMO(lam=lam, mu=mu))
            ratios[:, i, j] = [float(time_ratios(run, of="encoder_norm")) for run in runs]
            squared = runs[0].encoder_norm.values ** 2
            grown = int(np.argmax(squared.sum(1) > 1e6 * squared[0].sum()))
            share[i, j] = squared[grown, 0] / squared[grown].sum()
            leading = np.linalg.svd(theory.growth_matrix(problem, lam, mu))[2][0]
            predicted[i, j] = leading[0] ** 2
            on_run()
    joint = [
        run.isel(step=slice(None, None, 2)) for run in both(correlated_preference(0.0), Vanilla())
    ]
    part = np.array([(run.encoder_norm / run.encoder_norm[-1]).values ** 2 for run in joint])
    return xr.Dataset(
        {
            "time_ratio": (("fusion", "rho", "lam"), ratios),
            "share": (("rho", "lam"), share),
            "predicted_share": (("rho", "lam"), predicted),
            "threshold": (
                "rho",
                [theory.order_threshold(correlated_preference(rho), mu) for rho in rhos],
            ),
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
