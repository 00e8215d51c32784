r"""Studies over many runs of the toy, as labelled datasets: when one modality waits for another, and when MIMO helps, is neutral, or costs.

Every comparison of joint training with MIMO is a *race*: the same problem, the same initial weights, one step size, recorded in flow time (step size
times step). MIMO minimises :math:`f_{mm} + \lambda g_\mu`, whose weights add up to :math:`1 + \lambda`, so at one step size it also takes larger steps.
Gains here are therefore stated for the *matched* objective :math:`F / (1 + \lambda)`, a weighted mean of losses like joint training's own: MIMO's flow
times count :math:`1 + \lambda` fold. Multiply a gain by :math:`1 + \lambda` to compare at equal step size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from mimo_sim import theory
from mimo_sim._checks import check_positive
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, Solver, Vanilla

if TYPE_CHECKING:
    from mimo_sim._checks import FloatArray

CHUNK = 256  # races whose trajectories are in memory at once
ROWS = 1024  # recorded per trajectory
MARGIN = 1.1  # a gain within this factor of one is neutral
BUDGET = (
    3.0  # flow time at which gaps are compared, in units of joint training's first learning time
)
LEVELS = (
    0.1,
    0.01,
)  # parts of the initial excess of f_mm; below one of them f_mm counts as learned
SOLVERS = ("vanilla", "mimo")
COMPARISONS = ("equal step size", "matched")


def ratio_pair(
    correlation_ratio: float = 2.0, explained_ratio: float = 2.0, rho: float = 0.0
) -> LateFusionProblem:
    r"""Two scalar inputs with a prescribed ratio of correlations, of explained variances, and mutual correlation.

    With :math:`q_k = C_k / s_k` (:math:`s_k` the standard deviation of input k) the part of :math:`E[y^2]` that k explains alone is :math:`q_k^2`, and
    without noise :math:`E[y^2] = (q_A^2 + q_B^2 - 2 \rho q_A q_B) / (1 - \rho^2)`. Setting :math:`E[y^2] = 2`, :math:`q_B = \sqrt e\, q_A` and
    :math:`s_A = c \sqrt e\, s_B` solves for everything; both :math:`C_k > 0`. Joint training then has
    :math:`t_B / t_A = 1 + (c \mp 1) / |1 - \rho / \sqrt e|` for c > 1, with + where :math:`\rho > \sqrt e` (:func:`mimo_sim.theory.time_ratio`).

    Parameters
    ----------
    correlation_ratio : float
        :math:`c = |C_A| / |C_B|` > 0. Joint training learns A first when c > 1.
    explained_ratio : float
        :math:`e` > 0, what B explains alone over what A explains alone. The preference is superficial when c > 1 and e > 1.
    rho : float
        Pearson correlation of the inputs, in (-1, 1).

    Returns
    -------
    LateFusionProblem
        Noise-free, initial loss 1, input scales :math:`s_A s_B = 1`, modalities named A and B.
    """
    check_positive("correlation_ratio", correlation_ratio)
    check_positive("explained_ratio", explained_ratio)
    if not -1.0 < rho < 1.0:
        raise ValueError(f"`rho` must lie in (-1, 1). Got rho={rho}.")
    root = math.sqrt(explained_ratio)
    q = math.sqrt(2 * (1 - rho**2) / (1 + explained_ratio - 2 * rho * root)) * np.array([1.0, root])
    s = math.sqrt(correlation_ratio * root) ** np.array([1.0, -1.0])
    return LateFusionProblem(
        np.outer(s, s) * [[1, rho], [rho, 1]], list(q * s), 2.0, names=("A", "B")
    )


def plateau_hidden(problem: LateFusionProblem) -> bool:
    """Whether the modality learned first rests, while alone, below half of its final squared norm, so that its half-time misses its emergence (m = 1)."""
    first = theory.superficial_preference(problem).first_learned
    alone, together = problem.unimodal_maps[first], problem.joint_map[:, problem.features(first)]
    return bool(np.linalg.norm(alone) < np.linalg.norm(together) / 2)


def predicted_gain(problem: LateFusionProblem, lam: float) -> float:
    r"""Closed form of the matched gain in time to learn both modalities, in the limit of tiny initialisation and mu (K = 2, m = 1).

    Latest of :func:`mimo_sim.theory.learning_times` over :math:`1 + \lambda` times the latest of :func:`mimo_sim.theory.mimo_learning_times`.
    """
    return float(
        theory.learning_times(problem).max()
        / ((1 + lam) * theory.mimo_learning_times(problem, lam).max())
    )


def settling_times(values: FloatArray, times: FloatArray, level: float) -> FloatArray:
    """(N,) first time after which each row of `values` (N, T) stays at or below `level`, log-linear between the records at `times` (N, T).

    ``inf`` for a row that ends above, NaN for one that is not finite.
    """
    above, rows = values > level, np.arange(len(values))
    last = values.shape[1] - 1 - above[:, ::-1].argmax(1)  # the last record above
    after = np.minimum(last + 1, values.shape[1] - 1)
    logs = np.log(np.maximum(values, np.finfo(float).tiny))
    drop = np.maximum(logs[rows, last] - logs[rows, after], np.finfo(float).tiny)
    part = np.clip((logs[rows, last] - math.log(level)) / drop, 0.0, 1.0)
    found = times[rows, last] + part * (times[rows, after] - times[rows, last])
    found = np.select(
        [~np.isfinite(values).all(1), above[:, -1], ~above.any(1)],
        [np.nan, np.inf, times[:, 0]],
        found,
    )
    return np.asarray(found)


def gains(runs: xr.Dataset) -> xr.Dataset:
    r"""Matched gains of MIMO over joint training in a race, > 1 where MIMO wins.

    Returns
    -------
    xarray.Dataset
        ``half_time_ratio`` (solver): later over earlier half-time, and ``balance_gain``, joint training's over MIMO's. ``learning_gain``: of the time until
        the later half-time. ``loss_gain`` (level): of the time until f_mm has settled; 0 where only MIMO did not finish, NaN where joint training did not.
    """
    half = runs.half_time
    latest = half.max("modality", skipna=False)
    settled = runs.settling_time
    ratio = latest / half.min("modality", skipna=False)
    data = {
        "half_time_ratio": ratio,
        "balance_gain": ratio.sel(solver="vanilla", drop=True)
        / ratio.sel(solver="mimo", drop=True),
        "learning_gain": latest.sel(solver="vanilla", drop=True)
        / ((1 + runs.penalty) * latest.sel(solver="mimo", drop=True)),
        "loss_gain": settled.sel(solver="vanilla", drop=True).where(np.isfinite)
        / ((1 + runs.penalty) * settled.sel(solver="mimo", drop=True)),
    }
    return xr.Dataset(data)


def compute(
    problems: Sequence[LateFusionProblem],
    methods: MIMO | Sequence[MIMO],
    *,
    init_scale: float = 1e-6,
    seed: int = 0,
    stretch: float = 3.0,
    max_steps: int = 2**20,
    on_run: Callable[[], None] = lambda: None,
) -> xr.Dataset:
    r"""Joint training against MIMO on each problem: same weights, one step size, the same flow time.

    Joint training carries uni-modal heads that follow their own losses and leave the encoders alone (``Vanilla(heads="plain")``), so that its gaps say what
    can be read off its encoders. The step size is at most the smaller of both methods' :func:`mimo_sim.theory.default_step_size`, such that a power of two of
    steps ends at `stretch` times the time that joint training is predicted to need (or at the budget below, if that is later).

    Parameters
    ----------
    problems : sequence of LateFusionProblem
        m = 1, K = 2.
    methods : MIMO, or one per problem
    init_scale : float
        :math:`u_0` in (0, 1).
    seed : int
        Of all initial weights.
    stretch : float
        > 1.
    max_steps : int
        A problem that would need more is not run and stays NaN.
    on_run : callable
        Called once per run, two per problem.

    Returns
    -------
    xarray.Dataset
        Dims solver ("vanilla", "mimo"), problem, modality, level, comparison: ``half_time`` (flow time; NaN when never learned), ``settling_time`` of the
        excess of f_mm at each of LEVELS (flow time; ``inf`` when not within the run), ``worst_gap`` (part of the initial worst gap left after BUDGET times
        :math:`\ln(1/u_0) / \max_k |C_k|`, joint training's first learning time; "matched": for MIMO after that over 1 + lam), and per problem ``step_size``,
        ``steps``, ``penalty`` (lam) and each method's own ``default_step_size``.
    """
    from mimo_sim.dynamics.ensemble.driver import simulate_ensemble

    if (
        not isinstance(problems, Sequence)
        or not problems
        or any(problem.num_modalities != 2 or problem.output_dim != 1 for problem in problems)
    ):
        raise ValueError(
            f"`problems` must be one or more problems of two modalities with scalar targets. Got {problems!r:.80}."
        )
    mimos = (
        [methods] * len(problems)
        if isinstance(methods, MIMO)
        else list(methods)
        if isinstance(methods, Sequence)
        else []
    )
    if len(mimos) != len(problems) or not all(isinstance(mimo, MIMO) for mimo in mimos):
        raise ValueError(
            f"`methods` must be one MIMO or one per problem ({len(problems)}). Got {methods!r:.80}."
        )
    if not 1 < stretch < math.inf:
        raise ValueError(f"`stretch` must be finite and > 1. Got stretch={stretch}.")
    pairs: list[tuple[Solver, ...]] = [(Vanilla(heads="plain"), mimo) for mimo in mimos]
    budget = (
        BUDGET
        * math.log(1 / init_scale)
        / np.array(
            [theory.superficial_preference(problem).correlation.max() for problem in problems]
        )
    )
    latest = [
        times[np.isfinite(times)].max()
        for times in (theory.learning_times(problem, init_scale) for problem in problems)
    ]
    end = np.maximum(stretch * np.array(latest), budget)
    safe = np.array(
        [
            [theory.default_step_size(problem, method) for method in pair]
            for problem, pair in zip(problems, pairs, strict=True)
        ]
    )
    steps = 2 ** np.ceil(np.log2(np.maximum(end / safe.min(1), ROWS))).astype(int)

    half = np.full((len(problems), len(SOLVERS), 2), np.nan)
    settled = np.full((len(problems), len(SOLVERS), len(LEVELS)), np.nan)
    gap = np.full((len(problems), len(SOLVERS), 2), np.nan)
    for count in map(int, np.unique(steps[steps <= max_steps])):
        members = np.flatnonzero(steps == count)
        for chunk in np.split(members, range(CHUNK, len(members), CHUNK)):
            eta = np.repeat(end[chunk] / count, len(SOLVERS))
            runs = simulate_ensemble(
                [problems[i] for i in chunk for _ in SOLVERS],
                [method for i in chunk for method in pairs[i]],
                step_size=eta,
                steps=count,
                init_scale=init_scale,
                seed=seed,
                record_every=count // ROWS,
            )
            times = eta[:, None] * runs.step.values
            excess = runs.path_excess_mm.transpose("run", "step").values
            worst = runs.path_excess_uni.max("modality").transpose("run", "step").values
            limits = np.repeat(budget[chunk], len(SOLVERS))
            matched = limits / [1 + method.lam for i in chunk for method in pairs[i]]
            left = [
                [np.interp(at, *curve) for at in limit]
                for *limit, curve in zip(
                    limits, matched, zip(times, worst / worst[:, :1], strict=True), strict=True
                )
            ]
            half[chunk] = (
                runs.half_time.transpose("run", "modality").values * eta[:, None]
            ).reshape(half[chunk].shape)
            settled[chunk] = np.stack(
                [settling_times(excess / excess[:, :1], times, level) for level in LEVELS], -1
            ).reshape(settled[chunk].shape)
            gap[chunk] = np.reshape(left, gap[chunk].shape)
            for _ in times:
                on_run()
    data = {
        "half_time": (("problem", "solver", "modality"), half, {"units": "flow time"}),
        "settling_time": (("problem", "solver", "level"), settled, {"units": "flow time"}),
        "worst_gap": (
            ("problem", "solver", "comparison"),
            gap,
            {"long_name": "part of the initial worst gap left after the budget"},
        ),
        "step_size": ("problem", end / steps),
        "default_step_size": (("problem", "solver"), safe),
        "steps": ("problem", steps),
        "penalty": ("problem", np.array([mimo.lam for mimo in mimos])),
    }
    coords = {
        "solver": list(SOLVERS),
        "modality": list(problems[0].names),
        "level": list(LEVELS),
        "comparison": list(COMPARISONS),
    }
    return xr.Dataset(data, coords, {"init_scale": init_scale, "seed": seed, "budget": BUDGET})
