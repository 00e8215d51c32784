"""The study of convergence: joint training and MIMO against the bound of Theorem 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from mimo_sim import theory
from mimo_sim.dynamics import simulate
from mimo_sim.generators import superficial_preference
from mimo_sim.solvers import MIMO, Solver, Vanilla

if TYPE_CHECKING:
    from mimo_sim.problem import LateFusionProblem

POINTS = 400  # stored over a run


def compute(
    problem: LateFusionProblem | None = None,
    *,
    lams: Sequence[float] = (1.0, 10.0, 100.0),
    mu: float = 0.01,
    init_scale: float = 0.3,
    steps: int = 400_000,
    step_size: float | None = None,
    seed: int = 0,
    on_run: Callable[[], None] = lambda: None,
) -> xr.Dataset:
    r"""One run of joint training and one of MIMO per penalty, at one step size, for the convergence figure.

    Joint training carries uni-modal heads that follow their own losses and leave the encoders alone (``Vanilla(heads="plain")``), so that its
    uni-modal gaps say what can be read off its encoders.

    Returns
    -------
    xarray.Dataset
        Dims run, step (log-spaced), modality: ``excess_objective`` (F - inf F), ``excess_mm``, ``excess_uni``, ``grad_norm_sq`` (its smallest value so
        far); ``bound`` (run, step), the right-hand side
        :math:`2 (F_0 - \inf F) / (\eta T)` of Theorem 1 for the running minimum of ``grad_norm_sq``.
    """
    problem = superficial_preference() if problem is None else problem
    methods: list[Solver] = [Vanilla(heads="plain"), *(MIMO(lam=lam, mu=mu) for lam in lams)]
    eta = (
        min(theory.default_step_size(problem, method) for method in methods)
        if step_size is None
        else step_size
    )
    every = max(1, steps // 20_000)
    runs = []
    for method in methods:
        run = simulate(
            problem,
            method,
            step_size=eta,
            steps=steps,
            init_scale=init_scale,
            seed=seed,
            record_every=every,
        )
        rows = np.unique(np.geomspace(1, run.sizes["step"] - 1, POINTS).astype(int))
        infimum = problem.joint_optimum + method.lam * method.mu * np.log(problem.num_modalities)
        lowest = np.minimum.accumulate(run.grad_norm_sq.values)
        run["grad_norm_sq"] = ("step", lowest)
        run["excess_objective"] = run.objective - infimum
        thin = (
            run[["excess_objective", "excess_mm", "excess_uni", "grad_norm_sq"]]
            .isel(step=rows)
            .drop_vars("time")
        )
        thin["bound"] = 2 * (run.objective[0].item() - infimum) / (eta * thin.step)
        runs.append(thin.drop_attrs())
        on_run()
    labels = ["vanilla", *(f"MIMO, λ = {lam:g}" for lam in lams)]
    data = xr.concat(runs, "run", join="exact", combine_attrs="drop").assign_coords(run=labels)
    settings = {"mu": mu, "init_scale": init_scale, "steps": steps, "step_size": eta, "seed": seed}
    data.attrs = {"lams": list(map(float, lams)), **settings, "problem": problem.to_json()}
    return data
