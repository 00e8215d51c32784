r"""MIMO with three to eight modalities: predicted against simulated times of emergence.

Random problems of many sizes are trained by MIMO from several initial scales. An encoder has
emerged when its norm first reaches a tenth of its final value. Times are divided by
:math:`\ln(1/u_0)`, as in :func:`mimo_sim.theory.mimo_learning_times`. What theory leaves out are
terms of order one in flow time, so the error of a time must fall like 1/ln(1/u_0).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from mimo_sim import theory
from mimo_sim._checks import FloatArray, check_count, check_sequence, check_within
from mimo_sim.dynamics.ensemble.driver import simulate_ensemble
from mimo_sim.errors import OutsideTheoryError
from mimo_sim.generators import random_problem
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO
from mimo_sim.studies._statistics import median
from mimo_sim.studies.rules import emergence

MODALITIES = (3, 4, 5, 6, 7, 8)
INIT_SCALES = (1e-6, 1e-12, 1e-24)
LAMS = (0.5, 10.0)  # the penalty is log-uniform between them
DIMS = (1, 2)  # inputs of each modality
SPACED = 0.01  # the smallest gap and all differences of gaps, over the largest gap, are above it
SHARP = 6.0  # and they are at least so many mu
GROWTH = 0.02  # largest growth of an encoder in a step: Euler's method is then 1 % slow
MOST_STEPS = 2**21  # of a run
SHRUNK = 8.0  # e-foldings by which a mode may shrink and still be seen in float64
LATER = 6.0  # a run ends this many e-foldings of u0 after the last predicted time
ROWS = 1024  # recorded steps of a run
LEFT_OUT = ("crowded", "outside", "unseen")  # why a draw is left out
AWAY = 3.0  # e-foldings of growth: problems with a smaller margin are near a tie


def compute(
    modalities: Sequence[int] = MODALITIES,
    problems: int = 40,
    *,
    init_scales: Sequence[float] = INIT_SCALES,
    on_run: Callable[[int], None] = lambda count: None,
) -> xr.Dataset:
    r"""Train random problems with many modalities, and predict when each encoder emerges.

    Problems are drawn until there are enough. One is left out where two gaps are too similar for
    the limit of small mu, where a run would be too long or too fine for float64, and where it lies
    outside the theory.

    Parameters
    ----------
    modalities : sequence of int
        Numbers K, each >= 2.
    problems : int
        Problems of each K with scalar inputs, and as many with two inputs per modality; >= 1.
    init_scales : sequence of float
        :math:`u_0` in (0, 1). Every problem is trained from each of them.
    on_run : callable
        Called with the number of runs that are done since the last call.

    Returns
    -------
    xarray.Dataset
        Dimensions count (K), dim (inputs of each modality), problem, init_scale and modality.

        * ``predicted`` (count, dim, problem, modality) and ``simulated`` (count, dim, problem,
          init_scale, modality): times of emergence in units of ln(1/u0); NaN beyond K.
        * ``margin`` (count, dim, problem): as in :class:`mimo_sim.theory.EmergenceChain`.
        * ``lam``, ``mu`` and ``seed`` (count, dim, problem): the penalty, the smoothing, the draw.
        * ``crowded``, ``outside`` and ``unseen`` (count, dim): draws that were left out because two
          gaps are too similar; because they lie outside the theory; and because float64 cannot show
          the mode that grows, or a run would be too long.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.
    """
    check_sequence("modalities", modalities, "integers")
    check_sequence("init_scales", init_scales, "numbers")
    check_count("problems", problems, 1)
    for count in modalities:
        check_count("modalities", count, 2)
    for scale in init_scales:
        check_within("init_scales", scale, 0, 1)
    cells, most = (len(modalities), len(DIMS)), max(modalities)
    predicted = np.full((*cells, problems, most), np.nan)
    simulated = np.full((*cells, problems, len(init_scales), most), np.nan)
    margin, lam, mu, seed = (np.empty((*cells, problems)) for _ in range(4))
    left_out = np.zeros((*cells, len(LEFT_OUT)), int)
    for cell in np.ndindex(cells):
        count, dim = modalities[cell[0]], DIMS[cell[1]]
        drawn, why = _draw((dim,) * count, problems, min(init_scales))
        left_out[cell] = [why[name] for name in LEFT_OUT]
        predicted[cell][:, :count] = [one.times for one in drawn]
        margin[cell] = [one.margin for one in drawn]
        lam[cell], mu[cell] = [one.lam for one in drawn], [one.mu for one in drawn]
        seed[cell] = [one.seed for one in drawn]
        for s, scale in enumerate(init_scales):
            simulated[cell][:, s, :count] = _simulated(drawn, scale)
            on_run(len(drawn))
    over = ("count", "dim", "problem")
    return xr.Dataset(
        {
            "predicted": ((*over, "modality"), predicted, {"units": "ln(1/u0)"}),
            "simulated": ((*over, "init_scale", "modality"), simulated, {"units": "ln(1/u0)"}),
            "margin": (over, margin),
            "lam": (over, lam),
            "mu": (over, mu),
            "seed": (over, seed),
        }
        | {name: (over[:2], left_out[..., i]) for i, name in enumerate(LEFT_OUT)},
        {"count": list(modalities), "dim": list(DIMS), "init_scale": list(init_scales)},
        {"away": AWAY, "lams": list(LAMS), "spaced": SPACED},
    )


@dataclass(frozen=True)
class _Drawn:
    """A problem, its penalty and smoothing, predicted times and margin, step size and seed."""

    problem: LateFusionProblem
    lam: float
    mu: float
    times: FloatArray
    margin: float
    step: float
    seed: int


def _draw(
    dims: tuple[int, ...], problems: int, smallest: float
) -> tuple[list[_Drawn], Counter[str]]:
    """Problems that theory covers, and how many draws were left out for each of LEFT_OUT."""
    drawn: list[_Drawn] = []
    left_out: Counter[str] = Counter()
    for seed in itertools.count():
        if len(drawn) == problems:
            break
        problem = random_problem(dims, seed)
        lam = float(np.exp(np.random.default_rng([len(dims), seed]).uniform(*np.log(LAMS))))
        gaps = np.sort(theory.superficial_preference(problem).explained) / 2
        space = float(np.diff(gaps, prepend=0).min())
        if space < SPACED * gaps[-1]:
            left_out["crowded"] += 1
            continue
        try:
            chain = theory.emergence_chain(problem, lam)
        except OutsideTheoryError:
            left_out["outside"] += 1
            continue
        times, log = chain.times, math.log(1 / smallest)
        mu = space / SHARP
        step = _step_size(problem, lam, mu)
        if times.max() * (log + LATER) / step > MOST_STEPS or chain.shrunk * log > SHRUNK:
            left_out["unseen"] += 1
            continue
        drawn.append(_Drawn(problem, lam, mu, times, chain.margin, step, seed))
    return drawn, left_out


def _step_size(problem: LateFusionProblem, lam: float, mu: float) -> float:
    """A step that neither chatters, nor oscillates, nor outgrows the flow."""
    return min(
        0.5 * theory.chattering_threshold(problem, lam, mu),
        1 / theory.smoothness(problem, MIMO(lam=lam, mu=1e9)),  # F without the bends of sigma
        GROWTH / float(theory.growth_rates(problem, lam, 1e-9).max()),
    )


def _simulated(drawn: Sequence[_Drawn], scale: float) -> FloatArray:
    """(N, K) times of emergence over ln(1/u0)."""
    log = math.log(1 / scale)
    end = np.array([one.times.max() * (log + LATER) for one in drawn])
    safe = np.array([one.step for one in drawn])
    steps = 2 ** np.ceil(np.log2(np.maximum(end / safe, ROWS))).astype(int)
    found = np.empty((len(drawn), len(drawn[0].times)))
    for total in map(int, np.unique(steps)):
        members: list[int] = np.flatnonzero(steps == total).tolist()
        eta = end[members] / total
        runs = simulate_ensemble(
            [drawn[i].problem for i in members],
            [MIMO(lam=drawn[i].lam, mu=drawn[i].mu) for i in members],
            step_size=eta,
            steps=total,
            width=math.inf,
            init_scale=scale,
            record_every=total // ROWS,
        )
        norm = runs.path_encoder_norm.transpose("run", "step", ...).values
        found[members] = emergence(norm, eta[:, None] * runs.step.values) / log
    return found


def order_is_right(data: xr.Dataset) -> xr.DataArray:
    """(count, problem, init_scale) whether all encoders emerged in the predicted order."""
    predicted, simulated = (
        data[name].fillna(np.inf).argsort(axis=-1) for name in ("predicted", "simulated")
    )
    right: xr.DataArray = (predicted == simulated).all("modality")
    return right


def errors(data: xr.Dataset) -> xr.DataArray:
    """(count, problem, init_scale) the largest relative error of the predicted time ratios.

    A time ratio is an encoder's time of emergence over that of the first one.
    """
    predicted, simulated = (
        data[name] / data[name].min("modality") for name in ("predicted", "simulated")
    )
    worst: xr.DataArray = abs(simulated / predicted - 1).max("modality")
    return worst


def away_from_ties(data: xr.Dataset) -> xr.DataArray:
    """(count, dim, problem, init_scale) whether the margin is at least AWAY e-foldings."""
    away: xr.DataArray = data.margin * np.log(1 / data.init_scale) >= AWAY
    return away


def summarise(data: xr.Dataset) -> dict[str, Any]:
    """How often the order is right, and how the error of time ratios falls, as plain values.

    For all, and for each K. Lists have one value for each u0.

    * ``problems``; ``away_from_ties``, the part of them with a margin of AWAY e-foldings or more.
    * ``right`` and ``right_near_ties``: the part whose order is right, away from ties and near.
    * ``error``: the median of :func:`errors` away from ties. ``error_times_log``: the median and
      the largest of that times ln(1/u0), which should not depend on u0.
    * ``outside`` and ``unseen``: for scalar inputs and for two inputs, the part of the draws with
      well-spaced gaps that was left out for this reason.

    Parameters
    ----------
    data : xarray.Dataset
        What :func:`compute` returned.
    """
    every = {f"K = {count}": data.sel(count=[count]) for count in data["count"].values}
    return {"init_scales": data.init_scale.values.tolist(), "away": AWAY} | {
        name: _judged(one) for name, one in ({"all": data} | every).items()
    }


def _judged(data: xr.Dataset) -> dict[str, Any]:
    problems = int(data.margin.size)
    right, away, error = (
        what.transpose("init_scale", ...).values.reshape(data.sizes["init_scale"], -1)
        for what in (order_is_right(data), away_from_ties(data), errors(data))
    )
    logs = np.log(1 / data.init_scale.values)
    each = [list(rows) for rows in zip(right, away, error, logs, strict=True)]
    outside, unseen = data.outside.sum("count"), data.unseen.sum("count")
    spaced = outside + unseen + problems // len(DIMS)
    return {
        "problems": problems,
        "away_from_ties": [float(a.mean()) for _, a, _, _ in each],
        "right": [_share(r[a]) for r, a, _, _ in each],
        "right_near_ties": [_share(r[~a]) for r, a, _, _ in each],
        "error": [median(e[a]) for _, a, e, _ in each],
        "error_times_log": [
            [median(e[a]) * log, float(e[a].max(initial=0)) * log] for _, a, e, log in each
        ],
        "outside": (outside / spaced).values.tolist(),
        "unseen": (unseen / spaced).values.tolist(),
    }


def _share(right: np.ndarray) -> float:
    return float(np.mean(right)) if right.size else math.nan
