"""Convergence: joint training and MIMO against the bound of Theorem 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from mimo_sim import theory
from mimo_sim._checks import FloatArray
from mimo_sim.dynamics import simulate
from mimo_sim.generators import superficial_preference
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, Solver, Vanilla

POINTS = 400  # steps that are stored, evenly spaced in the logarithm
RECORDED = 20_000  # steps of a run that are measured, at most


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
    r"""Train once by joint training and once by MIMO for each penalty, at one step size.

    Joint training carries uni-modal heads that follow their own losses and leave the encoders
    alone (``Vanilla(heads="plain")``). So its uni-modal gaps show how well each of its encoders can
    predict alone.

    Parameters
    ----------
    problem : LateFusionProblem, optional
        :func:`mimo_sim.generators.superficial_preference` by default.
    lams : sequence of float
        MIMO's penalties, >= 0.
    mu : float
        MIMO's smoothing, > 0.
    init_scale : float
        :math:`u_0` > 0.
    steps : int
        Steps of each run, >= 1.
    step_size : float, optional
        By default the smallest default step size of all runs.
    seed : int
        Seed of the initial weights, the same in all runs.
    on_run : callable
        Called after each run.

    Returns
    -------
    xarray.Dataset
        Dimensions run, step and modality; the steps are evenly spaced in the logarithm.

        ``excess_objective`` is :math:`F - \inf F`; ``excess_mm`` and ``excess_uni`` are the gaps of
        the losses; ``grad_norm_sq`` is the smallest squared gradient norm so far. ``bound`` is what
        Theorem 1 allows for it after T steps, :math:`2 (F_0 - \inf F) / (\eta T)`.
    """
    problem = superficial_preference() if problem is None else problem
    solvers: list[Solver] = [Vanilla(heads="plain"), *(MIMO(lam=lam, mu=mu) for lam in lams)]
    if step_size is None:
        step_size = min(theory.default_step_size(problem, solver) for solver in solvers)
    runs = []
    for solver in solvers:
        run = simulate(
            problem,
            solver,
            step_size=step_size,
            steps=steps,
            init_scale=init_scale,
            seed=seed,
            record_every=max(1, steps // RECORDED),
        )
        # At the optimum all gaps are zero, and the smoothed maximum is mu * log(K).
        infimum = problem.joint_optimum + solver.lam * solver.mu * np.log(problem.num_modalities)
        runs.append(_thinned(run, infimum, step_size, solver.lam, solver.mu))
        on_run()
    labels = ["vanilla", *(f"MIMO, λ = {lam:g}" for lam in lams)]
    data = xr.concat(runs, "run", join="exact", combine_attrs="drop").assign_coords(run=labels)
    data.attrs = {
        "lams": list(map(float, lams)),
        "mu": mu,
        "init_scale": init_scale,
        "steps": steps,
        "step_size": step_size,
        "seed": seed,
        "problem": problem.to_json(),
    }
    return data


def excess_maximum(gaps: FloatArray, mu: float) -> FloatArray:
    """The smoothed maximum of gaps (..., K) >= 0, minus its smallest value mu log(K).

    No digits cancel, also near zero.
    """
    largest = gaps.max(-1)
    below: FloatArray = np.expm1((gaps - largest[..., None]) / mu).mean(-1)
    return np.asarray(largest + mu * np.log1p(below))


def _thinned(
    run: xr.Dataset, infimum: float, step_size: float, lam: float, mu: float
) -> xr.Dataset:
    """What is kept of a run, with the bound of Theorem 1."""
    run["grad_norm_sq"] = ("step", np.minimum.accumulate(run.grad_norm_sq.values))
    run["excess_objective"] = run.excess_mm + lam * xr.DataArray(
        excess_maximum(run.excess_uni.values, mu), dims="step"
    )
    rows = np.unique(np.geomspace(1, run.sizes["step"] - 1, POINTS).astype(int))
    names = ["excess_objective", "excess_mm", "excess_uni", "grad_norm_sq"]
    kept = run[names].isel(step=rows).drop_vars("time")
    kept["bound"] = 2 * (run.objective[0].item() - infimum) / (step_size * kept.step)
    return kept.drop_attrs()


def summarise(data: xr.Dataset) -> dict[str, dict[str, float]]:
    """Where every run ended, and how much of the bound its gradient used at most.

    Parameters
    ----------
    data : xarray.Dataset
        What :func:`compute` returned.

    Returns
    -------
    dict
        For each run the last ``excess_objective`` and ``excess_mm``, and ``largest_part_of_bound``:
        the largest ``grad_norm_sq`` over ``bound``, at most 1 by Theorem 1.
    """
    part = data.grad_norm_sq / data.bound
    return {
        str(name): {
            "excess_objective": float(data.excess_objective.sel(run=name)[-1]),
            "excess_mm": float(data.excess_mm.sel(run=name)[-1]),
            "largest_part_of_bound": float(part.sel(run=name).max()),
        }
        for name in data["run"].values
    }
