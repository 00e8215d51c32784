"""The phase diagrams: races over grids of problems or of penalties."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from mimo_sim import theory
from mimo_sim.generators import superficial_preference
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO
from mimo_sim.studies import race

if TYPE_CHECKING:
    from mimo_sim._checks import FloatArray

LOUDER = tuple(np.geomspace(1, 5, 25).tolist())  # ratios of correlations in the maps
Design = Callable[..., tuple[LateFusionProblem, MIMO]]


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
    """The phase diagram over who is louder and who explains more, at one correlation of the inputs.

    Parameters
    ----------
    correlation_ratios, explained_ratios : sequence of float
        As in :func:`mimo_sim.studies.race.ratio_pair`. The preference is superficial where both exceed 1; ratios of correlations below 1 are the same problems with A and B
        exchanged.
    rho : float
        Correlation of the inputs, in (-1, 1).
    lam, mu : float
        MIMO's penalty and smoothing (exact f*). Initial losses are 1.
    init_scale : float
        :math:`u_0` in (0, 1).

    Returns
    -------
    xarray.Dataset
        Dims explained_ratio, correlation_ratio and those of :func:`mimo_sim.studies.race.compute`, with its variables, those of :func:`mimo_sim.studies.race.gains`, ``predicted_gain``
        (:func:`mimo_sim.studies.race.predicted_gain`), ``predicted_time_ratio`` (joint training, this u0) and ``hidden`` (:func:`mimo_sim.studies.race.plateau_hidden`).
    """
    axes = {"explained_ratio": explained_ratios, "correlation_ratio": correlation_ratios}
    data = _map(
        axes,
        lambda explained_ratio, correlation_ratio: (
            race.ratio_pair(correlation_ratio, explained_ratio, rho),
            MIMO(lam, mu),
        ),
        init_scale,
        on_run,
    )
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
    """The phase diagram over who is louder and how much the inputs correlate; the rest as in :func:`compute_ratios`, dims correlation_ratio, rho."""
    axes = {"correlation_ratio": correlation_ratios, "rho": rhos}
    data = _map(
        axes,
        lambda correlation_ratio, rho: (
            race.ratio_pair(correlation_ratio, explained_ratio, rho),
            MIMO(lam, mu),
        ),
        init_scale,
        on_run,
    )
    return data.assign_attrs(explained_ratio=explained_ratio, lam=lam, mu=mu)


def compute_penalties(
    lams: Sequence[float] = tuple(np.geomspace(0.1, 30, 25).tolist()),
    mus: Sequence[float] = tuple(np.geomspace(0.003, 1, 21).tolist()),
    *,
    problem: LateFusionProblem | None = None,
    init_scale: float = 1e-6,
    on_run: Callable[[], None] = lambda: None,
) -> xr.Dataset:
    """The phase diagram over MIMO's own parameters on one problem, for both rules of the uni-modal heads.

    Parameters
    ----------
    lams, mus : sequence of float
        Penalties and smoothings, > 0.
    problem : LateFusionProblem, optional
        K = 2, m = 1; that of Figure 1 by default.

    Returns
    -------
    xarray.Dataset
        As :func:`compute_ratios`, with dims heads ("gradient", "plain"), mu, lam; ``order_threshold`` (heads, mu) is the predicted lam*.
    """
    problem = superficial_preference(names=("A", "B")) if problem is None else problem
    axes = {"heads": ("gradient", "plain"), "mu": mus, "lam": lams}
    data = _map(
        axes,
        lambda heads, mu, lam: (problem, MIMO(float(lam), float(mu), heads=heads)),
        init_scale,
        on_run,
    )
    thresholds = [
        [theory.order_threshold(problem, float(mu), heads=heads) for mu in mus]
        for heads in ("gradient", "plain")
    ]
    return data.assign(order_threshold=(("heads", "mu"), np.array(thresholds))).assign_attrs(
        problem=problem.to_json()
    )


def _map(
    axes: Mapping[str, Sequence[Any]], design: Design, init_scale: float, on_run: Callable[[], None]
) -> xr.Dataset:
    """Races over the grid of `axes`, with gains and predictions, one dimension per axis."""
    points = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    if not points:
        raise ValueError(
            f"{' and '.join(f'`{name}s`' for name in axes if name != 'heads')} must have at least one value each."
        )
    problems, methods = zip(*(design(**point) for point in points), strict=True)
    runs = race.compute(problems, methods, init_scale=init_scale, on_run=on_run)
    predicted = [
        race.predicted_gain(p, method.lam) if method.heads == "gradient" else np.nan
        for p, method in zip(problems, methods, strict=True)
    ]
    data = runs.merge(race.gains(runs)).assign(
        predicted_gain=("problem", np.array(predicted)),
        predicted_time_ratio=(
            "problem",
            np.array([theory.time_ratio(problem, init_scale) for problem in problems]),
        ),
        hidden=("problem", np.array([race.plateau_hidden(problem) for problem in problems])),
    )
    shape = {name: len(values) for name, values in axes.items()}

    def unfolded(variable: xr.Variable) -> xr.Variable:
        return variable.unstack(problem=shape) if "problem" in variable.dims else variable

    coords = {name: (name, list(values)) for name, values in axes.items()}
    return xr.Dataset(
        {name: unfolded(values.variable) for name, values in data.data_vars.items()},
        {**data.coords, **coords},
        data.attrs,
    )


def summarise(data: xr.Dataset) -> dict[str, Any]:
    """Where MIMO helps and costs on a map, by three ways to count time, and how well the closed form of the gain does.

    Time is flow time of the matched objective, flow time at equal step size, or the number of steps of each method's own default size.
    """
    gain, predicted = data.learning_gain.values, data.predicted_gain.values
    clear = (
        np.isfinite(gain)
        & np.isfinite(predicted)
        & ((gain > race.MARGIN) | (gain < 1 / race.MARGIN))
    )
    known = np.isfinite(gain) & np.isfinite(predicted)
    steps_for = data.default_step_size.sel(
        solver="vanilla", drop=True
    ) / data.default_step_size.sel(solver="mimo", drop=True)
    budgets = {
        "matched": 1.0,
        "equal step size": 1 + data.penalty,
        "steps of each method's default size": (1 + data.penalty) / steps_for,
    }
    loss = {
        f"f_mm settled at {level:.0%}": data.loss_gain.sel(level=level) for level in race.LEVELS
    }
    return {
        "points": int(gain.size),
        "steps": int(data.steps.sum()) * len(race.SOLVERS),
        **{
            name: data.attrs[name]
            for name in ("init_scale", "lam", "mu", "rho", "explained_ratio")
            if name in data.attrs
        },
        **{
            budget: {
                name: _shares((values * scale).values)
                for name, values in {"both learned": data.learning_gain, **loss}.items()
            }
            for budget, scale in budgets.items()
        },
        "predicted_gain": {
            "median_relative_error": float(np.median(abs(predicted[known] / gain[known] - 1))),
            "right_side_where_not_neutral": float(
                np.mean((predicted[clear] > 1) == (gain[clear] > 1))
            ),
            "not_neutral": int(clear.sum()),
        },
    }


def summarise_penalties(data: xr.Dataset) -> dict[str, Any]:
    """How often the order of half-times under MIMO is the one that lam* predicts, for penalties clear of lam* by a factor 1.25; and the shares of gains."""
    half = data.half_time.sel(solver="mimo")
    reversed_order = half.isel(modality=1, drop=True) < half.isel(modality=0, drop=True)
    distance = data.lam / data.order_threshold
    clear = (distance > 1.25) | (distance < 0.8)
    right = (reversed_order == (distance > 1)).where(clear)
    return {
        "points": int(clear.size),
        "init_scale": data.attrs["init_scale"],
        "order_threshold_small_mu": {
            str(heads): float(data.order_threshold.sel(heads=heads).min())
            for heads in data.heads.values
        },
        "order_as_predicted": {
            str(heads): float(right.sel(heads=heads).mean()) for heads in data.heads.values
        },
        "clear_of_threshold": {
            str(heads): int(clear.sel(heads=heads).sum()) for heads in data.heads.values
        },
        "matched": {
            str(heads): _shares(data.learning_gain.sel(heads=heads).values)
            for heads in data.heads.values
        },
    }


def _shares(gain: FloatArray) -> dict[str, float]:
    """Parts of the finished races that MIMO wins clearly, that are neutral, and that it loses clearly."""
    gain = gain[~np.isnan(gain)]
    helps, costs = float(np.mean(gain > race.MARGIN)), float(np.mean(gain < 1 / race.MARGIN))
    return {"helps": helps, "neutral": 1 - helps - costs, "costs": costs, "finished": len(gain)}
