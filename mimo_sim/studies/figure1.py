"""Figure 1 of the paper: joint training and MIMO on one problem, from several initialisations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from mimo_sim import theory
from mimo_sim._checks import FloatArray, check_count
from mimo_sim.dynamics import simulate
from mimo_sim.dynamics.trajectory import half_times
from mimo_sim.errors import OutsideTheoryError
from mimo_sim.generators import superficial_preference
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, Solver, Vanilla

POINTS = 400  # steps that are stored over the whole run, and as many again over its first fifth
RECORDED = 20_000  # steps of a run that are measured, at most
STORED = ("loss_mm", "loss_uni", "encoder_norm", "sigma")


def compute(
    problem: LateFusionProblem | None = None,
    *,
    lam: float = 10.0,
    mu: float = 0.01,
    seeds: int = 20,
    init_scale: float = 1e-9,
    width: float = 100,
    step_size: float | None = None,
    steps: int | None = None,
    on_run: Callable[[], None] = lambda: None,
) -> xr.Dataset:
    r"""Train one problem by joint training and by MIMO, from several initialisations.

    All runs have the same step size and the same number of steps.

    Parameters
    ----------
    problem : LateFusionProblem, optional
        With one output; :func:`mimo_sim.generators.superficial_preference` by default.
    lam, mu : float
        MIMO's penalty and smoothing; f* is exact.
    seeds : int
        Number of initialisations, >= 1. Their seeds are 0 ... seeds - 1.
    init_scale : float
        :math:`u_0` in (0, 1). The predictions hold in the limit u0 -> 0.
    width : int
        Hidden width of every encoder.
    step_size : float, optional
        At most 1/L of both methods. By default the smaller of their two default step sizes.
    steps : int, optional
        By default 1.6 times the predicted time at which joint training has learned everything.
    on_run : callable
        Called after each of the 2 * seeds runs.

    Returns
    -------
    xarray.Dataset
        Dimensions solver ("vanilla", "mimo"), seed, step, modality.

        Trajectories, stored at about 700 steps: ``loss_mm``, ``loss_uni``, ``encoder_norm`` and
        ``sigma``. Measured before steps are left out: ``half_time`` (solver, seed, modality),
        ``final_encoder_norm``, ``initial_loss_mm`` and ``final_loss_mm``. Predicted:
        ``predicted_half_time`` and ``predicted_final_encoder_norm`` (solver, modality). Times are
        in steps. ``predicted_ratio`` (solver) is the later time over the earlier one in the limit
        u0 -> 0. For MIMO, both predicted times and their ratio are those of emergence; half-times
        lie closer together (:func:`mimo_sim.theory.mimo_learning_times`).

    Raises
    ------
    ValueError
        For `seeds` below 1, and for a `step_size` above 1/L.
    """
    check_count("seeds", seeds)
    problem = superficial_preference() if problem is None else problem
    solvers: list[Solver] = [Vanilla(), MIMO(lam=lam, mu=mu)]
    eta = _step_size(problem, solvers, step_size)
    times = theory.learning_times(problem, init_scale)
    if steps is None:
        steps = int(np.ceil(1.6 * times[np.isfinite(times)].max() / eta))
    settings: dict[str, Any] = {
        "step_size": eta,
        "steps": steps,
        "init_scale": init_scale,
        "width": width,
    }
    every = max(1, steps // RECORDED)
    last = steps // every
    whole, start = np.linspace(0, last, POINTS), np.linspace(0, last / 5, POINTS)
    rows = np.unique(np.r_[whole, start].astype(int))

    runs = []
    for solver in solvers:
        for seed in range(seeds):
            run = simulate(problem, solver, seed=seed, record_every=every, **settings)
            runs.append(_measured(run, rows))
            on_run()

    measured = {}
    for name, first in runs[0].data_vars.items():
        values = np.array([run[name].values for run in runs])
        measured[name] = (
            ("solver", "seed", *first.dims),
            values.reshape(len(solvers), seeds, *first.shape),
            first.attrs,
        )
    emergence = _emergence(problem, solvers[1], init_scale)
    limit = theory.learning_times(problem)
    norms = [theory.final_encoder_norms(problem, solver) for solver in solvers]
    over = ("solver", "modality")
    predicted = {
        "predicted_half_time": (over, np.array([times, emergence]) / eta, {"units": "steps"}),
        "predicted_final_encoder_norm": (over, np.array(norms)),
        "predicted_ratio": ("solver", np.array([_ratio(limit), _ratio(emergence)])),
    }
    coords = {
        "solver": [solver.name for solver in solvers],
        "seed": np.arange(seeds),
        "step": runs[0].step.values,
        "modality": list(problem.names),
    }
    attrs = {"lam": lam, "mu": mu, **settings, "seeds": seeds, "problem": problem.to_json()}
    return xr.Dataset(measured | predicted, coords, attrs)


def _step_size(
    problem: LateFusionProblem, solvers: Sequence[Solver], step_size: float | None
) -> float:
    """The given step size, or the smallest default one; raise where theory does not hold for it."""
    if step_size is None:
        step_size = min(theory.default_step_size(problem, solver) for solver in solvers)
    largest = 1 / max(theory.smoothness(problem, solver) for solver in solvers)
    if not 0 < step_size <= largest:
        raise ValueError(
            f"`step_size` must be at most 1/L = {largest:.4g} of both methods,"
            f" where theory holds, and > 0. Got step_size={step_size}."
        )
    return step_size


def _measured(run: xr.Dataset, rows: np.ndarray) -> xr.Dataset:
    """What is kept of a run: trajectories at these rows, and measures of the whole run."""
    kept = run[list(STORED)].isel(step=rows)
    kept["half_time"] = ("modality", half_times(run).values)
    kept["final_encoder_norm"] = ("modality", run.encoder_norm.values[-1])
    kept["initial_loss_mm"] = run.loss_mm.values[0]
    kept["final_loss_mm"] = run.loss_mm.values[-1]
    return kept


def _ratio(times: FloatArray) -> float:
    """The latest time over the earliest; NaN where one of them is, ``inf`` where that is zero."""
    return float(times.max() / times.min()) if times.min() != 0 else math.inf


def _emergence(problem: LateFusionProblem, solver: Solver, init_scale: float) -> FloatArray:
    """(K,) flow times at which MIMO's encoders emerge.

    Where their law does not hold, only the time of the first is known; the others are NaN.
    """
    try:
        times = theory.mimo_learning_times(problem, solver.lam)
    except OutsideTheoryError:
        rates = theory.growth_rates(problem, solver.lam, solver.mu)
        times = np.where(rates == rates.max(), 1 / rates, np.nan)
    return np.asarray(times * np.log(1 / init_scale))


def summarise(data: xr.Dataset) -> dict[str, Any]:
    """The measured and predicted numbers of Figure 1 as plain values.

    Numbers are medians over seeds, half-times are in steps. A modality that half of the runs
    never learned has the half-time None.

    Three ratios are predicted. For joint training, ``predicted_ratio`` is that of half-times in
    the limit u0 -> 0, and ``predicted_ratio_this_u0`` that at the initial scale of the runs. For
    MIMO, ``predicted_emergence_ratio`` is that of emergence in the limit, None where no law is
    known.

    Parameters
    ----------
    data : xarray.Dataset
        What :func:`compute` returned.
    """
    problem = LateFusionProblem.from_json(data.attrs["problem"])
    lam, mu = float(data.attrs["lam"]), float(data.attrs["mu"])
    report = theory.superficial_preference(problem)
    vanilla, mimo = _medians(data.sel(solver="vanilla")), _medians(data.sel(solver="mimo"))
    limit, emergence = data.predicted_ratio.values.tolist()
    half_times = data.predicted_half_time.sel(solver="vanilla").values
    vanilla["predicted_ratio"], vanilla["predicted_ratio_this_u0"] = limit, _ratio(half_times)
    mimo["predicted_emergence_ratio"] = None if np.isnan(emergence) else emergence
    mimo["lam"], mimo["mu"] = lam, mu
    mimo["order_threshold"] = theory.order_threshold(problem, mu)
    return {
        "seeds": int(data.attrs["seeds"]),
        "conditions": {
            "holds": report.holds,
            "first_learned": report.first_learned,
            "most_explaining": report.most_explaining,
        },
        "vanilla": vanilla,
        "mimo": mimo,
    }


def _medians(runs: xr.Dataset) -> dict[str, Any]:
    """The numbers of one solver, medians over seeds."""
    half = runs.half_time.median("seed").values
    return {
        "half_time": [float(steps) if np.isfinite(steps) else None for steps in half],
        "ratio": float(half.max() / half.min()) if np.isfinite(half).all() else None,
        "final_encoder_norm": runs.final_encoder_norm.median("seed").values.tolist(),
        "predicted_final_encoder_norm": runs.predicted_final_encoder_norm.values.tolist(),
        "final_loss_mm": float(runs.final_loss_mm.median()),
    }
