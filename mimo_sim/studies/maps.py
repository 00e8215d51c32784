"""Phase diagrams: races on grids of problems, or of penalties on one problem."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from mimo_sim import theory
from mimo_sim._checks import FloatArray
from mimo_sim.generators import superficial_preference
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, HeadUpdate
from mimo_sim.studies import race
from mimo_sim.studies._statistics import mean, median

LOUDER = tuple(np.geomspace(1, 5, 25).tolist())  # ratios of correlations
HEADS: tuple[HeadUpdate, ...] = ("gradient", "plain")
CLEAR = 1.25  # a penalty is clear of lam* when it differs from it by more than this factor
SETTINGS = ("init_scale", "lam", "mu", "rho", "explained_ratio")


def compute_ratios(
    correlation_ratios: Sequence[float] = LOUDER,
    explained_ratios: Sequence[float] = tuple(np.geomspace(0.3, 4, 25).tolist()),
    *,
    rho: float = 0.5,
    lam: float = 10.0,
    mu: float = 0.03,
    init_scale: float = 1e-6,
    on_run: Callable[[], None] = lambda: None,
) -> xr.Dataset:
    """The map over two ratios, of correlation and of explained variance, at one `rho`.

    Parameters
    ----------
    correlation_ratios, explained_ratios : sequence of float
        As in :func:`mimo_sim.studies.race.ratio_pair`. The preference is superficial where both
        exceed 1. Ratios of correlations below 1 are the same problems with A and B exchanged.
    rho : float
        Correlation of the inputs, in (-1, 1).
    lam, mu : float
        MIMO's penalty and smoothing; f* is exact. Initial losses are 1.
    init_scale : float
        :math:`u_0` in (0, 1).
    on_run : callable
        Called after each run, twice per point.

    Returns
    -------
    xarray.Dataset
        Dimensions explained_ratio, correlation_ratio and those of a race.

        The variables of :func:`mimo_sim.studies.race.compute` and
        :func:`mimo_sim.studies.race.gains`, and those known before training: ``predicted_gain``
        (:func:`mimo_sim.studies.race.predicted_gain`), ``predicted_time_ratio`` of joint training
        at this u0, and ``hidden`` (:func:`mimo_sim.studies.race.plateau_hidden`).

    Raises
    ------
    ValueError
        For an axis without values, and for values out of range.
    """
    axes = {"explained_ratio": explained_ratios, "correlation_ratio": correlation_ratios}
    problems = [race.ratio_pair(louder, more, rho) for more, louder in _points(axes)]
    mimos = [MIMO(lam, mu)] * len(problems)
    data = _races_on(axes, problems, mimos, init_scale, on_run)
    return data.assign_attrs(rho=rho, lam=lam, mu=mu)


def compute_correlations(
    correlation_ratios: Sequence[float] = LOUDER,
    rhos: Sequence[float] = tuple(np.linspace(-0.7, 0.7, 25).tolist()),
    *,
    explained_ratio: float = 16 / 9,
    lam: float = 10.0,
    mu: float = 0.03,
    init_scale: float = 1e-6,
    on_run: Callable[[], None] = lambda: None,
) -> xr.Dataset:
    """The map over the ratio of correlations, and over the correlation of the inputs.

    Everything else is as in :func:`compute_ratios`; the dimensions are correlation_ratio and rho.
    """
    axes = {"correlation_ratio": correlation_ratios, "rho": rhos}
    problems = [race.ratio_pair(louder, explained_ratio, rho) for louder, rho in _points(axes)]
    mimos = [MIMO(lam, mu)] * len(problems)
    data = _races_on(axes, problems, mimos, init_scale, on_run)
    return data.assign_attrs(explained_ratio=explained_ratio, lam=lam, mu=mu)


def compute_penalties(
    lams: Sequence[float] = tuple(np.geomspace(0.1, 30, 25).tolist()),
    mus: Sequence[float] = tuple(np.geomspace(0.003, 1, 21).tolist()),
    *,
    problem: LateFusionProblem | None = None,
    init_scale: float = 1e-6,
    on_run: Callable[[], None] = lambda: None,
) -> xr.Dataset:
    """The map over MIMO's own parameters on one problem, for both rules of the uni-modal heads.

    Parameters
    ----------
    lams, mus : sequence of float
        Penalties and smoothings, > 0.
    problem : LateFusionProblem, optional
        Of two modalities and one output; that of Figure 1 by default.
    init_scale : float
        :math:`u_0` in (0, 1).
    on_run : callable
        Called after each run, twice per point.

    Returns
    -------
    xarray.Dataset
        As :func:`compute_ratios`, with the dimensions heads ("gradient", "plain"), mu and lam.
        ``order_threshold`` (heads, mu) is the predicted lam*.
    """
    problem = superficial_preference(names=("A", "B")) if problem is None else problem
    axes = {"heads": HEADS, "mu": mus, "lam": lams}
    mimos = [MIMO(float(lam), float(mu), heads=heads) for heads, mu, lam in _points(axes)]
    data = _races_on(axes, [problem] * len(mimos), mimos, init_scale, on_run)
    thresholds = [
        [theory.order_threshold(problem, float(mu), heads=heads) for mu in mus] for heads in HEADS
    ]
    data = data.assign(order_threshold=(("heads", "mu"), np.array(thresholds)))
    return data.assign_attrs(problem=problem.to_json())


def _points(axes: Mapping[str, Sequence[Any]]) -> list[tuple[Any, ...]]:
    """The points of a grid; the last axis varies fastest."""
    for name, values in axes.items():
        if len(values) == 0:
            raise ValueError(f"`{name}s` must have at least one value. Got none.")
    return list(itertools.product(*axes.values()))


def _races_on(
    axes: Mapping[str, Sequence[Any]],
    problems: Sequence[LateFusionProblem],
    mimos: Sequence[MIMO],
    init_scale: float,
    on_run: Callable[[], None],
) -> xr.Dataset:
    """One race per point of the grid, with gains and predictions; a dimension per axis."""
    runs = race.compute(problems, mimos, init_scale=init_scale, on_run=on_run)
    gain = []
    for problem, mimo in zip(problems, mimos, strict=True):
        known = mimo.heads == "gradient"  # the closed form is for heads that follow the objective
        gain.append(race.predicted_gain(problem, mimo.lam) if known else np.nan)
    ratio = [theory.time_ratio(problem, init_scale) for problem in problems]
    hidden = [race.plateau_hidden(problem) for problem in problems]
    data = runs.merge(race.gains(runs)).assign(
        predicted_gain=("problem", np.array(gain)),
        predicted_time_ratio=("problem", np.array(ratio)),
        hidden=("problem", np.array(hidden)),
    )
    shape = {name: len(values) for name, values in axes.items()}
    on_grid = {}
    for name, values in data.data_vars.items():
        variable = values.variable
        on_grid[name] = variable.unstack(problem=shape) if "problem" in values.dims else variable
    coords = {name: (name, list(values)) for name, values in axes.items()}
    return xr.Dataset(on_grid, {**data.coords, **coords}, data.attrs)


def summarise(data: xr.Dataset) -> dict[str, Any]:
    """Where MIMO helps and costs on a map of problems, and how good the predicted gain is.

    Time is counted in three ways: flow time of the matched objective, flow time at equal step
    size, and steps of each method's own default size.

    Parameters
    ----------
    data : xarray.Dataset
        What :func:`compute_ratios` or :func:`compute_correlations` returned.
    """
    default = data.default_step_size
    default_ratio = default.sel(solver="vanilla", drop=True) / default.sel(solver="mimo", drop=True)
    factors = {
        "matched": 1.0,
        "equal step size": 1 + data.penalty,
        "steps of each method's default size": (1 + data.penalty) / default_ratio,
    }
    gains = {"both learned": data.learning_gain}
    for level in race.LEVELS:
        gains[f"f_mm settled at {level:.0%}"] = data.loss_gain.sel(level=level)

    summary: dict[str, Any] = {
        "points": int(data.learning_gain.size),
        "steps": int(data.steps.sum()) * len(race.SOLVERS),
    }
    summary |= {name: data.attrs[name] for name in SETTINGS if name in data.attrs}
    for count, factor in factors.items():
        summary[count] = {name: _shares((gain * factor).values) for name, gain in gains.items()}
    summary["predicted_gain"] = _accuracy(data.predicted_gain.values, data.learning_gain.values)
    return summary


def _accuracy(predicted: FloatArray, gain: FloatArray) -> dict[str, float]:
    """How well the closed form of the gain does: its error, and its side of 1."""
    known = np.isfinite(gain) & np.isfinite(predicted)
    clear = known & ((gain > race.MARGIN) | (gain < 1 / race.MARGIN))
    right = (predicted[clear] > 1) == (gain[clear] > 1)
    return {
        "median_relative_error": median(abs(predicted[known] / gain[known] - 1)),
        "right_side_where_not_neutral": mean(right),
        "not_neutral": int(clear.sum()),
    }


def _shares(gain: FloatArray) -> dict[str, float]:
    """Parts of the finished races that MIMO wins, that are neutral, and that it loses."""
    gain = gain[~np.isnan(gain)]
    helps, costs = mean(gain > race.MARGIN), mean(gain < 1 / race.MARGIN)
    return {"helps": helps, "neutral": 1 - helps - costs, "costs": costs, "finished": len(gain)}


def summarise_penalties(data: xr.Dataset) -> dict[str, Any]:
    """How often lam* predicts which modality MIMO learns first, and the shares of gains.

    Only penalties clear of lam* count for the order: those that differ from it by more than a
    factor of 1.25. All numbers are per rule of the uni-modal heads.

    Parameters
    ----------
    data : xarray.Dataset
        What :func:`compute_penalties` returned.
    """
    half = data.half_time.sel(solver="mimo")
    reversed_order = half.isel(modality=1, drop=True) < half.isel(modality=0, drop=True)
    distance = data.lam / data.order_threshold
    clear = (distance > CLEAR) | (distance < 1 / CLEAR)
    right = (reversed_order == (distance > 1)).where(clear)
    rules = list(map(str, data.heads.values))
    return {
        "points": int(clear.size),
        "init_scale": data.attrs["init_scale"],
        "order_threshold_small_mu": {
            heads: float(data.order_threshold.sel(heads=heads).min()) for heads in rules
        },
        "order_as_predicted": {heads: float(right.sel(heads=heads).mean()) for heads in rules},
        "clear_of_threshold": {heads: int(clear.sel(heads=heads).sum()) for heads in rules},
        "matched": {heads: _shares(data.learning_gain.sel(heads=heads).values) for heads in rules},
    }
