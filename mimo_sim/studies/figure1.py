"""The study of Figure 1: joint training and MIMO over several initialisations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from mimo_sim import theory
from mimo_sim.dynamics import simulate
from mimo_sim.dynamics.trajectory import half_times
from mimo_sim.generators import superficial_preference
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, Solver, Vanilla

POINTS = 400  # stored over a run, and as many over its first fifth
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
    r"""Train the Figure 1 problem by joint training and by MIMO, over several initialisations, at one step size.

    Parameters
    ----------
    problem : LateFusionProblem, optional
        m = 1; :func:`mimo_sim.generators.superficial_preference` by default.
    lam, mu : float
        MIMO's penalty and smoothing; exact f*.
    seeds : int
        Initialisations 0 ... seeds - 1, >= 1.
    init_scale : float
        :math:`u_0` in (0, 1); predictions hold in the limit u0 -> 0.
    width : int
        Hidden width of every encoder.
    step_size : float, optional
        For both methods, at most 1/L; the smaller of their two defaults.
    steps : int, optional
        For both methods; 1.6 times the predicted time at which joint training has learned everything.
    on_run : callable
        Called after each of the 2 * seeds runs.

    Returns
    -------
    xarray.Dataset
        Dims solver ("vanilla", "mimo"), seed, step, modality. Trajectories ``loss_mm``, ``loss_uni``, ``encoder_norm``, ``sigma`` at about 700 steps; measured
        on all steps ``half_time`` (solver, seed, modality), ``final_encoder_norm``, ``final_loss_mm``, ``initial_loss_mm``; predictions
        ``predicted_half_time``, ``predicted_final_encoder_norm`` (solver, modality).
    """
    if seeds < 1:
        raise ValueError(f"`seeds` must be >= 1. Got seeds={seeds}.")
    problem = superficial_preference() if problem is None else problem
    methods: list[Solver] = [Vanilla(), MIMO(lam=lam, mu=mu)]
    eta = (
        min(theory.default_step_size(problem, method) for method in methods)
        if step_size is None
        else step_size
    )
    largest = 1 / max(theory.smoothness(problem, method) for method in methods)
    if not 0 < eta <= largest:
        raise ValueError(
            f"`step_size` must be at most 1/L = {largest:.4g} of both methods, where theory holds, and > 0. Got step_size={eta}."
        )
    times = theory.learning_times(problem, init_scale)
    if steps is None:
        steps = int(np.ceil(1.6 * times[np.isfinite(times)].max() / eta))
    settings: dict[str, Any] = {
        "step_size": eta,
        "steps": steps,
        "init_scale": init_scale,
        "width": width,
    }
    last = steps // (every := max(1, steps // 20_000))
    rows = np.unique(
        np.r_[np.linspace(0, last, POINTS), np.linspace(0, last / 5, POINTS)].astype(int)
    )

    def trajectory(name: str) -> Callable[[xr.Dataset], Any]:
        return lambda run: run[name].values[rows]

    measures: dict[str, Callable[[xr.Dataset], Any]] = {
        **{name: trajectory(name) for name in STORED},
        "half_time": lambda run: half_times(run).values,
        "final_encoder_norm": lambda run: run.encoder_norm.values[-1],
        "initial_loss_mm": lambda run: run.loss_mm.values[0],
        "final_loss_mm": lambda run: run.loss_mm.values[-1],
    }
    taken: dict[str, list[Any]] = {name: [] for name in measures}
    for method in methods:
        for seed in range(seeds):
            run = simulate(problem, method, seed=seed, record_every=every, **settings)
            for name, measure in measures.items():
                taken[name].append(measure(run))
            on_run()

    def variable(name: str) -> tuple[tuple[str, ...], np.ndarray, dict[str, str]]:
        values = np.array(taken[name])
        over = run[name].dims if name in STORED else ("modality",)[: values.ndim - 1]
        return (
            ("solver", "seed", *map(str, over)),
            values.reshape(len(methods), seeds, *values.shape[1:]),
            run[name].attrs if name in STORED else {},
        )

    predicted = {
        "predicted_half_time": (
            ("solver", "modality"),
            np.array([times, _emergence(problem, methods[1], init_scale)]) / eta,
            {"units": "steps"},
        ),
        "predicted_final_encoder_norm": (
            ("solver", "modality"),
            np.array([theory.final_encoder_norms(problem, method) for method in methods]),
        ),
    }
    coords = {
        "solver": [method.name for method in methods],
        "seed": np.arange(seeds),
        "step": run.step.values[rows],
        "modality": list(problem.names),
    }
    attrs = {"lam": lam, "mu": mu, **settings, "seeds": seeds, "problem": problem.to_json()}
    return xr.Dataset({**{name: variable(name) for name in measures}, **predicted}, coords, attrs)


def _emergence(problem: LateFusionProblem, method: Solver, init_scale: float) -> np.ndarray:
    """(K,) flow time at which MIMO's encoders emerge; for K > 2 of the first alone, by its growth law, and NaN for the others."""
    if problem.num_modalities == 2:
        return np.asarray(theory.mimo_learning_times(problem, method.lam) * np.log(1 / init_scale))
    rates = theory.growth_rates(problem, method.lam, method.mu)
    return np.where(rates == rates.max(), np.log(1 / init_scale) / rates, np.nan)


def summarise(data: xr.Dataset) -> dict[str, Any]:
    """The measured and predicted numbers of Figure 1 as plain values: medians over seeds, half-times in steps; None for what was never learned."""
    problem = LateFusionProblem.from_json(data.attrs["problem"])
    report = theory.superficial_preference(problem)

    def measured(name: str) -> dict[str, Any]:
        runs = data.sel(solver=name)
        half = runs.half_time.median("seed").values
        return {
            "half_time": [float(steps) if np.isfinite(steps) else None for steps in half],
            "ratio": float(half.max() / half.min()) if np.isfinite(half).all() else None,
            "final_encoder_norm": runs.final_encoder_norm.median("seed").values.tolist(),
            "predicted_final_encoder_norm": runs.predicted_final_encoder_norm.values.tolist(),
            "final_loss_mm": float(runs.final_loss_mm.median()),
        }

    lam, mu = float(data.attrs["lam"]), float(data.attrs["mu"])
    return {
        "seeds": int(data.attrs["seeds"]),
        "conditions": {
            "holds": report.holds,
            "first_learned": report.first_learned,
            "most_explaining": report.most_explaining,
        },
        "vanilla": measured("vanilla") | {"predicted_ratio": theory.time_ratio(problem)},
        "mimo": measured("mimo")
        | {"lam": lam, "mu": mu, "order_threshold": theory.order_threshold(problem, mu)},
    }
