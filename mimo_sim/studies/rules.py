r"""The rules of the field on one problem and on maps of problems: order, wait, and time.

Modality A correlates more with the target, so joint training learns it first. Each rule trains the
same problem from the same initial weights. Two things are measured.

*Order.* An encoder has emerged when its norm first reaches a tenth of its final value. The wait is
B's time of emergence over A's. A rule reverses the order where that is below 1. Half-times are
measured too, but they say less about the order: MIMO holds the first encoder below half of its
final squared norm until the second one has emerged.

*Time.* Rules add gradients with weights of different size, so at one step size they take steps of
different size. Times are therefore *matched*: flow time (step size times steps) is multiplied by
the sum of the rule's weights where gradients agree (:meth:`mimo_sim.rules.Rule.weight_sum`). That
is 1 for joint training, 1 + lam for MIMO, and 3 for the plain sum of all three losses.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from mimo_sim import theory
from mimo_sim._checks import FloatArray, check_within
from mimo_sim.dynamics.ensemble.driver import simulate_ensemble
from mimo_sim.generators import superficial_preference
from mimo_sim.problem import LateFusionProblem
from mimo_sim.rules import (
    MGDA,
    OGM,
    STCH,
    CAGrad,
    GBlending,
    GradNorm,
    LinearScalarization,
    MMPareto,
    PCGrad,
    Rule,
)
from mimo_sim.solvers import MIMO, AnySolver, Vanilla
from mimo_sim.studies.race import MARGIN, ratio_pair, settling_times
from mimo_sim.theory.rules import rule_growth_rates

RULES: dict[str, AnySolver] = {
    "joint training": Vanilla(heads="plain"),
    "linear scalarization": LinearScalarization(),
    "PCGrad": PCGrad(),
    "CAGrad": CAGrad(),
    "MMPareto": MMPareto(),
    "MGDA per encoder": MGDA(scope="encoder"),
    "G-Blending": GBlending(),
    "STCH": STCH(mu=0.03),
    "MGDA": MGDA(),
    "GradNorm": GradNorm(),
    "OGM": OGM(),
    "MIMO": MIMO(lam=10.0, mu=0.03),
}
EMERGED = 0.1  # an encoder has emerged at this part of its final norm
BUDGET = 6.0  # matched time of every run, over the time that joint training needs for everything
LEVEL = 0.1  # f_mm is learned when its excess stays below this part of the initial one
ROWS = 512  # recorded steps of a run
CHUNK = 1024  # runs whose trajectories are in memory at once
CORRELATION_RATIOS = tuple(np.geomspace(1.0, 5.0, 13).tolist())
EXPLAINED_RATIOS = tuple(np.geomspace(0.5, 4.0, 7).tolist())
RHOS = tuple(np.linspace(-0.8, 0.8, 13).tolist())


def compute(
    correlation_ratios: Sequence[float] = CORRELATION_RATIOS,
    explained_ratios: Sequence[float] = EXPLAINED_RATIOS,
    rhos: Sequence[float] = RHOS,
    *,
    rules: Mapping[str, AnySolver] | None = None,
    init_scale: float = 1e-6,
    on_run: Callable[[int], None] = lambda count: None,
) -> xr.Dataset:
    r"""Every rule on the problem of Figure 1, and on a grid of problems.

    Parameters
    ----------
    correlation_ratios, explained_ratios, rhos : sequences of float
        As in :func:`mimo_sim.studies.race.ratio_pair`.
    rules : mapping, optional
        From a label to its solver, :data:`RULES` by default. The first one is what the others are
        compared with.
    init_scale : float
        :math:`u_0` in (0, 1), of all runs.
    on_run : callable
        Called with the number of runs that are done since the last call.

    Returns
    -------
    xarray.Dataset
        Dimensions rule, explained_ratio, correlation_ratio, rho, and modality (A, B).

        On the grid, in matched time: ``emergence`` (modality); ``wait``, B's over A's; and
        ``loss_time``, when f_mm is learned, ``inf`` where that is not within the run.

        On the problem of Figure 1, named ``figure1_*``: ``norm`` (rule, time, modality), the
        encoder norms at matched times ``time``; ``emergence``, ``wait`` and ``loss_time`` as above;
        ``half_time`` (modality) and ``half_time_ratio``, B's over A's; ``excess``, the part of the
        excess of f_mm left at the end; ``growth`` and
        ``predicted_growth``, the rates near the origin per unit of flow time.

    Raises
    ------
    ValueError
        For an axis without values, and for values out of range.
    """
    check_within("init_scale", init_scale, 0, 1)
    rules = RULES if rules is None else rules
    axes = {
        "explained_ratio": list(explained_ratios),
        "correlation_ratio": list(correlation_ratios),
        "rho": list(rhos),
    }
    for name, values in axes.items():
        if not values:
            raise ValueError(f"`{name}s` must have at least one value. Got none.")
    problems = [
        ratio_pair(louder, more, rho) for more, louder, rho in itertools.product(*axes.values())
    ]
    shape = tuple(map(len, axes.values()))
    emerged = np.empty((len(rules), *shape, 2))
    settled = np.empty((len(rules), *shape))
    for i, rule in enumerate(rules.values()):
        runs = _trained(problems, rule, init_scale, on_run)
        emerged[i] = runs["emergence"].reshape(*shape, 2)
        settled[i] = runs["loss_time"].reshape(shape)
    over = ("rule", *axes)
    data = {
        "emergence": ((*over, "modality"), emerged, {"units": "matched time"}),
        "wait": (over, emerged[..., 1] / emerged[..., 0]),
        "loss_time": (over, settled, {"units": "matched time"}),
    }
    coords = {"rule": list(rules), **axes, "modality": ["A", "B"]}
    attrs = {"init_scale": init_scale, "budget": BUDGET, "level": LEVEL}
    return _figure1(rules, init_scale).merge(xr.Dataset(data, coords)).assign_attrs(attrs)


def _figure1(rules: Mapping[str, AnySolver], init_scale: float) -> xr.Dataset:
    problem = superficial_preference(names=("A", "B"))
    end = BUDGET * _joint_time(problem, init_scale)
    times = np.linspace(0.0, end, ROWS)
    norm = np.empty((len(rules), ROWS, 2))
    half, emerged, growth, predicted = (np.empty((len(rules), 2)) for _ in range(4))
    excess, settled = np.empty(len(rules)), np.empty(len(rules))
    for i, rule in enumerate(rules.values()):
        one = {name: values[0] for name, values in _trained([problem], rule, init_scale).items()}
        for k in range(2):
            norm[i, :, k] = np.interp(times, one["times"], one["norm"][:, k])
        half[i], emerged[i] = one["half_time"], one["emergence"]
        settled[i], excess[i] = one["loss_time"], one["excess"][-1]
        growth[i] = _growth(problem, rule)
        predicted[i] = _predicted_growth(problem, rule)
    return xr.Dataset(
        {
            "figure1_norm": (("rule", "time", "modality"), norm),
            "figure1_half_time": (("rule", "modality"), half, {"units": "matched time"}),
            "figure1_half_time_ratio": ("rule", half[:, 1] / half[:, 0]),
            "figure1_emergence": (("rule", "modality"), emerged, {"units": "matched time"}),
            "figure1_wait": ("rule", emerged[:, 1] / emerged[:, 0]),
            "figure1_loss_time": ("rule", settled, {"units": "matched time"}),
            "figure1_excess": ("rule", excess),
            "figure1_growth": (("rule", "modality"), growth, {"units": "per flow time"}),
            "figure1_predicted_growth": (("rule", "modality"), predicted),
        },
        {"rule": list(rules), "time": times, "modality": ["A", "B"]},
    )


def _joint_time(problem: LateFusionProblem, init_scale: float) -> float:
    """The flow time that joint training is predicted to need for all that can be learned."""
    times = theory.learning_times(problem, init_scale)
    return float(times[np.isfinite(times)].max())


def _weight_sum(rule: AnySolver) -> float:
    """The sum of the weights of f_mm and two uni-modal losses where gradients agree."""
    return rule.weight_sum(2) if isinstance(rule, Rule) else 1 + rule.lam


def _trained(
    problems: Sequence[LateFusionProblem],
    rule: AnySolver,
    init_scale: float,
    on_run: Callable[[int], None] = lambda count: None,
) -> dict[str, FloatArray]:
    """Runs (N, ...) of one rule in matched time: measured times, and recorded steps.

    The number of steps is the smallest power of two for which no step is above the default one.
    """
    end = np.array([BUDGET * _joint_time(each, init_scale) for each in problems])
    scale = _weight_sum(rule)
    end /= scale
    safe = np.array([theory.default_step_size(each, rule) for each in problems])
    steps = 2 ** np.ceil(np.log2(np.maximum(end / safe, 16 * ROWS))).astype(int)
    found: dict[str, FloatArray] = {
        "half_time": np.empty((len(problems), 2)),
        "emergence": np.empty((len(problems), 2)),
        "loss_time": np.empty(len(problems)),
        "times": np.empty((len(problems), ROWS + 1)),
        "norm": np.empty((len(problems), ROWS + 1, 2)),
        "excess": np.empty((len(problems), ROWS + 1)),
    }
    for count in map(int, np.unique(steps)):
        members = np.flatnonzero(steps == count)
        for chunk in np.split(members, range(CHUNK, len(members), CHUNK)):
            eta = end[chunk] / count
            runs = simulate_ensemble(
                [problems[i] for i in chunk],
                rule,
                step_size=eta,
                steps=count,
                init_scale=init_scale,
                record_every=count // ROWS,
            )
            times = scale * eta[:, None] * runs.step.values
            excess = runs.path_excess_mm.transpose("run", "step").values
            excess = excess / excess[:, :1]
            half = runs.half_time.transpose("run", "modality").values
            found["half_time"][chunk] = scale * eta[:, None] * half
            found["loss_time"][chunk] = settling_times(excess, times, LEVEL)
            found["times"][chunk], found["excess"][chunk] = times, excess
            norm = runs.path_encoder_norm.transpose("run", "step", ...).values
            found["norm"][chunk] = norm
            found["emergence"][chunk] = emergence(norm, times)
            on_run(len(chunk))
    return found


def emergence(norm: FloatArray, times: FloatArray) -> FloatArray:
    """(N, K) times at which norms (N, T, K) first reach EMERGED times their last values.

    Between two records at `times` (N, T) a norm is log-linear. NaN for an encoder that was never
    learned: it begins above that part of its last norm.
    """
    parts = np.log(norm / (EMERGED * norm[:, -1:]))
    after = np.maximum((parts >= 0).argmax(axis=1), 1)[:, None]
    low, high = (np.take_along_axis(parts, at, axis=1)[:, 0] for at in (after - 1, after))
    start, end = (
        np.take_along_axis(times[..., None], at, axis=1)[:, 0] for at in (after - 1, after)
    )
    found = start + (end - start) * np.clip(-low / (high - low), 0, 1)
    return np.where(parts[:, 0] < 0, found, np.nan)


def _growth(problem: LateFusionProblem, rule: AnySolver) -> FloatArray:
    """(K,) measured growth rates: far from the start, and before anything is learned."""
    rates = _predicted_growth(problem, rule)
    fastest = rates.max()
    eta = 0.01 / fastest
    steps = int(math.log(1e9) / (fastest * eta))
    runs = simulate_ensemble(
        problem, rule, step_size=eta, steps=steps, init_scale=1e-13, record_every=steps // 2
    )
    norm = runs.path_encoder_norm.values[0]
    taken = float(runs.step.values[2] - runs.step.values[1])
    factor = (norm[2] / norm[1]) ** (1 / taken)
    return np.asarray((factor - 1) / eta)


def _predicted_growth(problem: LateFusionProblem, rule: AnySolver) -> FloatArray:
    if isinstance(rule, Rule):
        return rule_growth_rates(problem, rule)
    return theory.growth_rates(problem, rule.lam, rule.mu)


ORDERS = ("reverses", "equalises", "shortens", "keeps", "lengthens")


def order(data: xr.Dataset) -> xr.DataArray:
    """What each rule does to joint training's wait, as the number of a word of :data:`ORDERS`.

    Waits within a factor MARGIN of 1 are equal, those within it of joint training's are the same.
    NaN where joint training does not make B wait, or where a modality is never learned.
    """
    joint = data.wait.isel(rule=0, drop=True)
    wait = data.wait
    words = xr.full_like(wait, ORDERS.index("keeps"))
    words = words.where(wait < joint * MARGIN, ORDERS.index("lengthens"))
    words = words.where(wait > joint / MARGIN, ORDERS.index("shortens"))
    words = words.where(wait > MARGIN, ORDERS.index("equalises"))
    words = words.where(wait >= 1 / MARGIN, ORDERS.index("reverses"))
    known: xr.DataArray = words.where((joint > MARGIN) & np.isfinite(wait))
    return known


def summarise(data: xr.Dataset) -> dict[str, Any]:
    """What each rule does on the grid and on the problem of Figure 1, as plain values.

    ``order``: the share of problems where it reverses, equalises, shortens, keeps or lengthens the
    wait; ``superficial_order``: the same where B explains more than A. ``finished``: where it
    learns f_mm within the run. ``gain``: the median of joint training's time for that over its own,
    both matched; 0 where it does not finish. ``wastes``: the share with a gain below 1 / MARGIN. On
    Figure 1 a time is None where f_mm is never learned.

    Parameters
    ----------
    data : xarray.Dataset
        What :func:`compute` returned.
    """
    words, joint = order(data), data.loss_time.isel(rule=0, drop=True)
    gain = (joint / data.loss_time).where(np.isfinite(joint))
    found: dict[str, Any] = {}
    for rule in map(str, data.rule.values):
        one, said, gains = data.sel(rule=rule), words.sel(rule=rule), gain.sel(rule=rule).values
        gains = gains[np.isfinite(gains)]
        found[rule] = {
            "order": _shares(said),
            "superficial_order": _shares(said.where(said.explained_ratio > 1)),
            "finished": _share(np.isfinite(one.loss_time.values)),
            "gain": float(np.median(gains)) if len(gains) else math.nan,
            "wastes": _share(gains < 1 / MARGIN),
            "figure1": {
                "wait": float(one.figure1_wait),
                "half_time_ratio": float(one.figure1_half_time_ratio),
                "half_time": one.figure1_half_time.values.tolist(),
                "loss_time": _finite(one.figure1_loss_time),
                "excess_left": float(one.figure1_excess),
                "growth": one.figure1_growth.values.tolist(),
                "predicted_growth": one.figure1_predicted_growth.values.tolist(),
            },
        }
    return {"problems": int(joint.size), "init_scale": data.attrs["init_scale"], "rules": found}


def _finite(value: xr.DataArray) -> float | None:
    return float(value) if np.isfinite(value) else None


def _shares(words: xr.DataArray) -> dict[str, float]:
    known = words.values[np.isfinite(words.values)]
    return {word: _share(known == i) for i, word in enumerate(ORDERS)}


def _share(where: np.ndarray) -> float:
    return float(np.mean(where)) if where.size else math.nan
