r"""Races of joint training against MIMO: when one modality waits, and when MIMO helps or costs.

In a race both methods train the same problem from the same initial weights at one step size. Times
are flow times: steps times step size.

MIMO minimises :math:`f_{mm} + \lambda g_\mu`, whose weights add up to :math:`1 + \lambda`. So at
one step size it takes larger steps. Gains are therefore stated for the *matched* objective
:math:`F / (1 + \lambda)`, whose weights add up to 1 as in joint training. In other words, each of
MIMO's flow times is multiplied by :math:`1 + \lambda`. Multiply a gain by :math:`1 + \lambda` to
compare at equal step size.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from mimo_sim import theory
from mimo_sim._checks import FloatArray, check_positive, check_within
from mimo_sim.errors import UnconvergedWarning
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, Solver, Vanilla

CHUNK = 256  # races whose trajectories are in memory at once
ROWS = 1024  # steps that are recorded of a run
MARGIN = 1.1  # a gain within this factor of 1 is neutral
BUDGET = 3.0  # flow time at which gaps are compared, over joint training's first learning time
LEVELS = (0.1, 0.01)  # f_mm has settled when its excess stays below this part of the initial one
SOLVERS = ("vanilla", "mimo")
COMPARISONS = ("equal step size", "matched")


def ratio_pair(
    correlation_ratio: float = 2.0, explained_ratio: float = 2.0, rho: float = 0.0
) -> LateFusionProblem:
    r"""Two scalar inputs with prescribed ratios of correlation and of explained variance.

    Let :math:`s_k` be the standard deviation of input k, and :math:`q_k = C_k / s_k`. Input k alone
    explains :math:`q_k^2` of :math:`E[y^2]`. Without noise
    :math:`E[y^2] = (q_A^2 + q_B^2 - 2 \rho q_A q_B) / (1 - \rho^2)`. The problem follows from
    :math:`E[y^2] = 2`, :math:`q_B = \sqrt e\, q_A`, :math:`s_A = c \sqrt e\, s_B` and
    :math:`s_A s_B = 1`, with both :math:`C_k > 0`.

    For c > 1 joint training has :math:`t_B / t_A = 1 + (c \mp 1) / |1 - \rho / \sqrt e|`, with +
    where :math:`\rho > \sqrt e` (:func:`mimo_sim.theory.time_ratio`).

    Parameters
    ----------
    correlation_ratio : float
        :math:`c = |C_A| / |C_B|` > 0. Joint training learns A first when c > 1.
    explained_ratio : float
        :math:`e` > 0, what B explains alone over what A explains alone. The preference is
        superficial when c > 1 and e > 1.
    rho : float
        Pearson correlation of the inputs, in (-1, 1).

    Returns
    -------
    LateFusionProblem
        Without noise, with initial loss 1 and modalities named A and B.

    Raises
    ------
    ValueError
        For a ratio that is not positive, and for `rho` outside (-1, 1).
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
    """Whether the half-time of the modality learned first comes after its emergence (one output).

    While it is alone, the squared norm of its encoder rests on a plateau. A half-time is when half
    of the final squared norm is reached. So it comes too late if the plateau lies below that half.
    """
    first = theory.superficial_preference(problem).first_learned
    alone, together = problem.unimodal_maps[first], problem.joint_map[:, problem.features(first)]
    return bool(np.linalg.norm(alone) < np.linalg.norm(together) / 2)


def predicted_gain(problem: LateFusionProblem, lam: float) -> float:
    r"""Closed form of the matched gain in the time to learn both modalities.

    It is the latest of :func:`mimo_sim.theory.learning_times` over :math:`1 + \lambda` times the
    latest of :func:`mimo_sim.theory.mimo_learning_times`. It holds for one output, in the
    limit of tiny initialisation and mu, where the second one holds.
    """
    return float(
        theory.learning_times(problem).max()
        / ((1 + lam) * theory.mimo_learning_times(problem, lam).max())
    )


def settling_times(values: FloatArray, times: FloatArray, level: float) -> FloatArray:
    """First time after which each row of `values` stays at or below `level`.

    Parameters
    ----------
    values : array (N, T)
        Positive curves, one a row.
    times : array (N, T)
        The times at which they were recorded. Between two records a curve is log-linear.
    level : float
        > 0.

    Returns
    -------
    array (N,)
        ``inf`` for a row that ends above `level`, NaN for a row that is not finite.
    """
    above, rows = values > level, np.arange(len(values))
    last = values.shape[1] - 1 - above[:, ::-1].argmax(1)  # the last record above the level
    after = np.minimum(last + 1, values.shape[1] - 1)
    logs = np.log(np.maximum(values, np.finfo(float).tiny))
    drop = np.maximum(logs[rows, last] - logs[rows, after], np.finfo(float).tiny)
    part = np.clip((logs[rows, last] - math.log(level)) / drop, 0.0, 1.0)
    crossing = times[rows, last] + part * (times[rows, after] - times[rows, last])
    broken, never, always = ~np.isfinite(values).all(1), above[:, -1], ~above.any(1)
    return np.asarray(
        np.select([broken, never, always], [np.nan, np.inf, times[:, 0]], default=crossing)
    )


def gains(runs: xr.Dataset) -> xr.Dataset:
    r"""Matched gains of MIMO over joint training; above 1 where MIMO wins.

    Parameters
    ----------
    runs : xarray.Dataset
        What :func:`compute` returned.

    Returns
    -------
    xarray.Dataset
        ``half_time_ratio`` (solver) is the later half-time over the earlier one. ``balance_gain``
        is joint training's ratio over MIMO's.

        ``learning_gain`` compares the later half-times, ``loss_gain`` (level) the times until f_mm
        has settled. Both are joint training's time over MIMO's matched time: 0 where only MIMO did
        not finish, NaN where joint training did not.
    """
    half = runs.half_time
    latest = half.max("modality", skipna=False)
    settled = runs.settling_time
    ratio = latest / half.min("modality", skipna=False)

    def of(values: xr.DataArray, solver: str) -> xr.DataArray:
        return values.sel(solver=solver, drop=True)

    weight = 1 + runs.penalty
    return xr.Dataset(
        {
            "half_time_ratio": ratio,
            "balance_gain": of(ratio, "vanilla") / of(ratio, "mimo"),
            "learning_gain": of(latest, "vanilla") / (weight * of(latest, "mimo")),
            "loss_gain": of(settled, "vanilla").where(np.isfinite) / (weight * of(settled, "mimo")),
        }
    )


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
    r"""Race joint training against MIMO on each problem.

    Joint training carries uni-modal heads that follow their own losses and leave the encoders
    alone (``Vanilla(heads="plain")``). So its gaps show how well each of its encoders can predict
    alone.

    A race ends at `stretch` times the time that joint training is predicted to need, or at the
    budget below if that is later. Its number of steps is the smallest power of two with which the
    step size is at most the default one of both methods
    (:func:`mimo_sim.theory.default_step_size`).

    Parameters
    ----------
    problems : sequence of LateFusionProblem
        Of two modalities and one output.
    methods : MIMO, or one per problem
    init_scale : float
        :math:`u_0` in (0, 1).
    seed : int
        Seed of all initial weights.
    stretch : float
        > 1.
    max_steps : int
        A problem that would need more steps is not run and stays NaN.
    on_run : callable
        Called after each run, twice per problem.

    Returns
    -------
    xarray.Dataset
        Dimensions solver ("vanilla", "mimo"), problem, modality, level, comparison.

        ``half_time`` is in flow time, NaN when never reached. ``settling_time`` is the flow time at
        which the excess of f_mm has settled at each of LEVELS, ``inf`` when not within the run.

        ``worst_gap`` is the part of the initial worst gap that is left after a budget of BUDGET
        times :math:`\ln(1/u_0) / \max_k |C_k|`, joint training's first learning time. In the
        comparison "matched" MIMO has only that budget over 1 + lam.

        Per problem: ``step_size``, ``steps``, ``penalty`` (lam), and ``default_step_size`` of each
        method.

    Raises
    ------
    ValueError
        For other problems or methods than these, for `stretch` or `init_scale` out of range, and
        where every problem would need more than `max_steps`.

    Warns
    -----
    UnconvergedWarning
        If in no race both modalities were learned.
    """
    _check_problems(problems)
    check_within("init_scale", init_scale, 0, 1)
    mimos = _one_per_problem(methods, len(problems))
    if not 1 < stretch < math.inf:
        raise ValueError(f"`stretch` must be finite and > 1. Got stretch={stretch}.")
    pairs: list[tuple[Solver, Solver]] = [(Vanilla(heads="plain"), mimo) for mimo in mimos]
    reports = [theory.superficial_preference(problem) for problem in problems]
    largest = np.array([report.correlation.max() for report in reports])
    budget = BUDGET * math.log(1 / init_scale) / largest
    latest = []
    for problem in problems:
        times = theory.learning_times(problem, init_scale)
        latest.append(times[np.isfinite(times)].max())
    end = np.maximum(stretch * np.array(latest), budget)
    safe = np.array(
        [
            [theory.default_step_size(problem, solver) for solver in pair]
            for problem, pair in zip(problems, pairs, strict=True)
        ]
    )
    steps = 2 ** np.ceil(np.log2(np.maximum(end / safe.min(1), ROWS))).astype(int)

    if steps.min() > max_steps:
        raise ValueError(
            f"`max_steps` must be at least {steps.min():,} for any of these races to be run."
            f" Got max_steps={max_steps:,}. Raise it or `mu`, or lower `lam`."
        )
    half = np.full((len(problems), len(SOLVERS), 2), np.nan)
    settled = np.full((len(problems), len(SOLVERS), len(LEVELS)), np.nan)
    gap = np.full((len(problems), len(SOLVERS), len(COMPARISONS)), np.nan)
    for count in map(int, np.unique(steps[steps <= max_steps])):
        members = np.flatnonzero(steps == count)
        for chunk in np.split(members, range(CHUNK, len(members), CHUNK)):
            half[chunk], settled[chunk], gap[chunk] = _race(
                [problems[i] for i in chunk],
                [pairs[i] for i in chunk],
                end[chunk] / count,
                budget[chunk],
                steps=count,
                init_scale=init_scale,
                seed=seed,
            )
            for _ in range(len(SOLVERS) * len(chunk)):
                on_run()
    if not np.isfinite(half).all((1, 2)).any():
        warnings.warn(
            f"In none of {len(problems)} races both modalities were learned: there are no gains in"
            " learning time. Lower `init_scale`, or change the problems.",
            UnconvergedWarning,
            stacklevel=2,
        )
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


def _check_problems(problems: Any) -> None:
    given = problems if isinstance(problems, Sequence) else ()
    if not given or any(each.num_modalities != 2 or each.output_dim != 1 for each in given):
        raise ValueError(
            "`problems` must be one or more problems of two modalities with scalar targets."
            f" Got {problems!r:.80}."
        )


def _one_per_problem(methods: Any, count: int) -> list[MIMO]:
    if isinstance(methods, MIMO):
        return [methods] * count
    mimos = list(methods) if isinstance(methods, Sequence) else []
    if len(mimos) != count or not all(isinstance(mimo, MIMO) for mimo in mimos):
        raise ValueError(
            f"`methods` must be one MIMO or one per problem ({count}). Got {methods!r:.80}."
        )
    return mimos


def _race(
    problems: Sequence[LateFusionProblem],
    pairs: Sequence[tuple[Solver, Solver]],
    step_sizes: FloatArray,
    budgets: FloatArray,
    **settings: Any,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Half-times, settling times and worst gaps of races that have the same number of steps.

    Each is an array (problem, solver, ...).
    """
    from mimo_sim.dynamics.ensemble.driver import simulate_ensemble

    solvers = [solver for pair in pairs for solver in pair]
    eta, budget = np.repeat(step_sizes, len(SOLVERS)), np.repeat(budgets, len(SOLVERS))
    runs = simulate_ensemble(
        [problem for problem in problems for _ in SOLVERS],
        solvers,
        step_size=eta,
        record_every=settings["steps"] // ROWS,
        **settings,
    )
    times = eta[:, None] * runs.step.values
    half = runs.half_time.transpose("run", "modality").values * eta[:, None]

    excess = runs.path_excess_mm.transpose("run", "step").values
    excess = excess / excess[:, :1]
    settled = np.stack([settling_times(excess, times, level) for level in LEVELS], -1)

    worst = runs.path_excess_uni.max("modality").transpose("run", "step").values
    worst = worst / worst[:, :1]
    matched = budget / [1 + solver.lam for solver in solvers]
    gap = np.array(
        [
            [np.interp(end, times[i], worst[i]) for end in (budget[i], matched[i])]
            for i in range(len(solvers))
        ]
    )
    shape = (len(problems), len(SOLVERS), -1)
    return half.reshape(shape), settled.reshape(shape), gap.reshape(shape)
