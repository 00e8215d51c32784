r"""Studies over many runs of the toy, as labelled datasets: when one modality waits for another, and when MIMO helps, is neutral, or costs.

Every comparison of joint training with MIMO is a *race*: the same problem, the same initial weights, one step size, recorded in flow time (step size
times step). MIMO minimises :math:`f_{mm} + \lambda g_\mu`, whose weights add up to :math:`1 + \lambda`, so at one step size it also takes larger steps.
Gains here are therefore stated for the *matched* objective :math:`F / (1 + \lambda)`, a weighted mean of losses like joint training's own: MIMO's flow
times count :math:`1 + \lambda` fold. Multiply a gain by :math:`1 + \lambda` to compare at equal step size.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from mimo_sim import theory
from mimo_sim._checks import check_count, check_positive
from mimo_sim.generators import random_problem, scalar_pair, superficial_preference
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, Solver, Vanilla

if TYPE_CHECKING:
    from mimo_sim._checks import FloatArray

    Bools = np.ndarray[Any, np.dtype[np.bool_]]

CHUNK = 256  # races whose trajectories are in memory at once
ROWS = 1024  # recorded per trajectory
MARGIN = 1.1  # a gain within this factor of one is neutral
BUDGET = 3.0  # equal budget of flow time for the gap that is left, in units of joint training's first learning time
LEVELS = (
    0.1,
    0.01,
)  # f_mm counts as learned when its excess stays below this part of the initial one
LOUDER = tuple(np.geomspace(1, 5, 25).tolist())  # ratios of correlations in the maps
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


# ------------------------------------------------------------------------------------------ races


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


def race(
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


# ------------------------------------------------------------------------------------------ reproductions of [ZLS]


def zls(
    sigma_ratios: Sequence[float] = (1.0, 1.5, 2.0, 3.0),
    rhos: Sequence[float] = (-0.9, -0.675, -0.45, -0.225, 0.0, 0.225, 0.45, 0.675, 0.9),
    *,
    seeds: int = 5,
    init_scale: float = 1e-9,
    steps: int = 40_000,
    on_run: Callable[[], None] = lambda: None,
) -> xr.Dataset:
    r"""Time ratio and mis-attribution of joint training on the scalar pair, against theory, over correlation.

    `sigma_ratios` are ratios of *standard deviations* (:math:`\sigma_A / \sigma_B`; variances are in the ratio of their squares), as in the figure of [ZLS].

    Parameters
    ----------
    sigma_ratios : sequence of float
        >= 1.
    rhos : sequence of float
        In (-1, 1).
    seeds : int
        Initialisations 0 ... seeds - 1, >= 1.
    init_scale : float
        :math:`u_0` in (0, 1).
    steps : int
        Of each run; step sizes follow so that each run ends when all is learned.

    Returns
    -------
    xarray.Dataset
        Dims sigma_ratio, rho, seed: ``time_ratio`` (half-time of B over A's), ``misattribution`` (A's weight midway between the half-times minus the optimal
        one; NaN for equal standard deviations, which have no uni-modal phase). Predictions ``predicted_time_ratio`` (limit of tiny u0; on a fine grid of rho
        ``theory_curve``), ``predicted_time_ratio_u0`` and ``predicted_misattribution`` (sigma_ratio, rho); ``hidden`` (:func:`plateau_hidden`).
    """
    from mimo_sim.dynamics.ensemble.driver import simulate_ensemble

    check_count("seeds", seeds, 1)
    check_count("steps", steps, 1)
    if len(sigma_ratios) == 0 or not min(sigma_ratios) >= 1 or len(rhos) == 0:
        raise ValueError(
            f"`sigma_ratios` must be >= 1, so that A is learned first, and there must be `rhos`. Got {list(sigma_ratios)} and {list(rhos)}."
        )
    grid = list(itertools.product(map(float, sigma_ratios), map(float, rhos)))
    problems = [scalar_pair(*point) for point in grid]
    shape = (len(sigma_ratios), len(rhos))
    settle = [
        3 / np.linalg.eigvalsh(problem.input_moment)[0] for problem in problems
    ]  # of the slowest direction once all have emerged
    end = (
        np.array([1.3 * theory.learning_times(problem, init_scale).max() for problem in problems])
        + settle
    )
    runs = simulate_ensemble(
        [problem for problem in problems for _ in range(seeds)],
        Vanilla(),
        step_size=np.repeat(end / steps, seeds),
        steps=steps,
        init_scale=init_scale,
        seed=list(range(seeds)) * len(problems),
    )
    half = runs.half_time.transpose("run", "modality").values
    final = np.array([problem.joint_map[0, 0] for problem in problems])
    weight = runs.plateau_map.isel(output=0, modality=0, component=0).values
    found = {
        "time_ratio": half[:, 1] / half[:, 0],
        "misattribution": weight - np.repeat(final, seeds),
    }
    found = {name: values.reshape(*shape, seeds) for name, values in found.items()}
    for _ in range(runs.sizes["run"]):
        on_run()
    apart = (np.asarray(sigma_ratios) > 1)[:, None, None]
    fine = np.linspace(-0.95, 0.95, 191)
    over, point = ("sigma_ratio", "rho", "seed"), ("sigma_ratio", "rho")
    data = {
        "time_ratio": (over, found["time_ratio"]),
        "misattribution": (over, np.where(apart, found["misattribution"], np.nan)),
        "theory_curve": (
            ("sigma_ratio", "rho_theory"),
            np.array(
                [[theory.time_ratio(scalar_pair(r, rho)) for rho in fine] for r in sigma_ratios]
            ),
        ),
        "predicted_time_ratio": (
            point,
            np.reshape([theory.time_ratio(problem) for problem in problems], shape),
        ),
        "predicted_time_ratio_u0": (
            point,
            np.reshape([theory.time_ratio(problem, init_scale) for problem in problems], shape),
        ),
        "predicted_misattribution": (
            point,
            np.where(
                apart[..., 0],
                np.reshape([theory.misattribution(p).item() for p in problems], shape),
                np.nan,
            ),
        ),
        "hidden": (
            point,
            np.reshape(
                [r > 1 and plateau_hidden(p) for (r, _), p in zip(grid, problems, strict=True)],
                shape,
            ),
        ),
    }
    coords = {
        "sigma_ratio": list(map(float, sigma_ratios)),
        "rho": np.asarray(rhos, dtype=float),
        "seed": np.arange(seeds),
        "rho_theory": fine,
    }
    return xr.Dataset(data, coords, {"init_scale": init_scale, "steps": steps, "width": 100})


def zls_summary(data: xr.Dataset) -> dict[str, Any]:
    """Deviations of :func:`zls` from its predictions, largest over the grid: medians over seeds, relative for times, absolute for mis-attribution."""
    shown = ~data.hidden
    ratio = data.time_ratio.median("seed")
    return {
        "runs": int(data.time_ratio.size),
        "steps": int(data.attrs["steps"]),
        "init_scale": float(data.attrs["init_scale"]),
        "points_with_hidden_plateau": int(data.hidden.sum()),
        "largest_error_limit": float(abs(ratio / data.predicted_time_ratio - 1).where(shown).max()),
        "largest_error_finite_u0": float(
            abs(ratio / data.predicted_time_ratio_u0 - 1).where(shown).max()
        ),
        "largest_error_misattribution": float(
            abs(data.misattribution.median("seed") - data.predicted_misattribution)
            .where(shown)
            .max()
        ),
        "time_ratio": {
            f"{r:g}": [round(float(x), 4) for x in ratio.sel(sigma_ratio=r)]
            for r in data.sigma_ratio.values
        },
    }


def scatter(
    problems: int = 150,
    dims: tuple[int, int] = (5, 5),
    *,
    init_scale: float = 1e-9,
    steps: int = 40_000,
    on_run: Callable[[], None] = lambda: None,
) -> xr.Dataset:
    """Predicted against simulated time ratio of joint training on random problems that meet the two conditions of superficial preference.

    Returns
    -------
    xarray.Dataset
        Dim problem (the seed of :func:`mimo_sim.generators.random_problem`): ``time_ratio`` (half-times), ``predicted`` (limit of tiny u0), ``predicted_u0``.
    """
    from mimo_sim.dynamics.ensemble.driver import simulate_ensemble

    check_count("problems", problems, 3)
    check_count("steps", steps, 1)
    drawn = [random_problem(dims, seed, "superficial") for seed in range(problems)]
    end = np.array([1.6 * theory.learning_times(problem, init_scale).max() for problem in drawn])
    runs = simulate_ensemble(
        drawn, Vanilla(), step_size=end / steps, steps=steps, init_scale=init_scale
    )
    half = runs.half_time.transpose("run", "modality").values
    for _ in drawn:
        on_run()
    data = {
        "time_ratio": half.max(1) / half.min(1),
        "predicted": np.array([theory.time_ratio(problem) for problem in drawn]),
        "predicted_u0": np.array([theory.time_ratio(problem, init_scale) for problem in drawn]),
    }
    attrs = {"init_scale": init_scale, "steps": steps, "dims": list(dims)}
    return xr.Dataset(
        {name: ("problem", values) for name, values in data.items()},
        {"problem": np.arange(problems)},
        attrs,
    )


def scatter_summary(data: xr.Dataset) -> dict[str, Any]:
    """Correlations and median relative errors of :func:`scatter`, for both predictions."""
    found = data.time_ratio.values

    def against(name: str) -> dict[str, float]:
        predicted = data[name].values
        return {
            "correlation": float(np.corrcoef(predicted, found)[0, 1]),
            "correlation_of_logarithms": float(np.corrcoef(np.log(predicted), np.log(found))[0, 1]),
            "median_relative_error": float(np.median(abs(predicted / found - 1))),
            "largest_relative_error": float(np.max(abs(predicted / found - 1))),
        }

    return {
        "problems": int(data.sizes["problem"]),
        "limit": against("predicted"),
        "finite_u0": against("predicted_u0"),
    }


# ------------------------------------------------------------------------------------------ phase diagrams

Design = Callable[..., tuple[LateFusionProblem, MIMO]]


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
    runs = race(problems, methods, init_scale=init_scale, on_run=on_run)
    predicted = [
        predicted_gain(p, method.lam) if method.heads == "gradient" else np.nan
        for p, method in zip(problems, methods, strict=True)
    ]
    data = runs.merge(gains(runs)).assign(
        predicted_gain=("problem", np.array(predicted)),
        predicted_time_ratio=(
            "problem",
            np.array([theory.time_ratio(problem, init_scale) for problem in problems]),
        ),
        hidden=("problem", np.array([plateau_hidden(problem) for problem in problems])),
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


def ratio_map(
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
        As in :func:`ratio_pair`. The preference is superficial where both exceed 1; ratios of correlations below 1 are the same problems with A and B
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
        Dims explained_ratio, correlation_ratio and those of :func:`race`, with its variables, those of :func:`gains`, ``predicted_gain``
        (:func:`predicted_gain`), ``predicted_time_ratio`` (joint training, this u0) and ``hidden`` (:func:`plateau_hidden`).
    """
    axes = {"explained_ratio": explained_ratios, "correlation_ratio": correlation_ratios}
    data = _map(
        axes,
        lambda explained_ratio, correlation_ratio: (
            ratio_pair(correlation_ratio, explained_ratio, rho),
            MIMO(lam, mu),
        ),
        init_scale,
        on_run,
    )
    return data.assign_attrs(rho=rho, lam=lam, mu=mu)


def correlation_map(
    correlation_ratios: Sequence[float] = LOUDER,
    rhos: Sequence[float] = tuple(np.linspace(-0.7, 0.7, 25).tolist()),
    *,
    explained_ratio: float = 16 / 9,
    lam: float = 10.0,
    mu: float = 0.03,
    init_scale: float = 1e-6,
    on_run: Callable[[], None] = lambda: None,
) -> xr.Dataset:
    """The phase diagram over who is louder and how much the inputs correlate; the rest as in :func:`ratio_map`, dims correlation_ratio, rho."""
    axes = {"correlation_ratio": correlation_ratios, "rho": rhos}
    data = _map(
        axes,
        lambda correlation_ratio, rho: (
            ratio_pair(correlation_ratio, explained_ratio, rho),
            MIMO(lam, mu),
        ),
        init_scale,
        on_run,
    )
    return data.assign_attrs(explained_ratio=explained_ratio, lam=lam, mu=mu)


def penalty_map(
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
        As :func:`ratio_map`, with dims heads ("gradient", "plain"), mu, lam; ``order_threshold`` (heads, mu) is the predicted lam*.
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


def _shares(gain: FloatArray) -> dict[str, float]:
    """Parts of the finished races that MIMO wins clearly, that are neutral, and that it loses clearly."""
    gain = gain[~np.isnan(gain)]
    helps, costs = float(np.mean(gain > MARGIN)), float(np.mean(gain < 1 / MARGIN))
    return {"helps": helps, "neutral": 1 - helps - costs, "costs": costs, "finished": len(gain)}


def map_summary(data: xr.Dataset) -> dict[str, Any]:
    """Where MIMO helps and costs on a map, by three ways to count time, and how well the closed form of the gain does.

    Time is flow time of the matched objective, flow time at equal step size, or the number of steps of each method's own default size.
    """
    gain, predicted = data.learning_gain.values, data.predicted_gain.values
    clear = np.isfinite(gain) & np.isfinite(predicted) & ((gain > MARGIN) | (gain < 1 / MARGIN))
    known = np.isfinite(gain) & np.isfinite(predicted)
    steps_for = data.default_step_size.sel(
        solver="vanilla", drop=True
    ) / data.default_step_size.sel(solver="mimo", drop=True)
    budgets = {
        "matched": 1.0,
        "equal step size": 1 + data.penalty,
        "steps of each method's default size": (1 + data.penalty) / steps_for,
    }
    loss = {f"f_mm settled at {level:.0%}": data.loss_gain.sel(level=level) for level in LEVELS}
    return {
        "points": int(gain.size),
        "steps": int(data.steps.sum()) * len(SOLVERS),
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


def penalty_summary(data: xr.Dataset) -> dict[str, Any]:
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


# ------------------------------------------------------------------------------------------ a score for imbalance

OUTCOMES = ("balance_gain", "learning_gain")


def scores(problem: LateFusionProblem, lam: float, init_scale: float) -> dict[str, float]:
    r"""What can be said of a problem before any training (K = 2, m = 1): predictions of theory first, naive scores last.

    Returns
    -------
    dict
        "time ratio": :func:`mimo_sim.theory.time_ratio` at this u0, how long joint training's second modality waits. "predicted gain": :func:`predicted_gain`.
        "predicted balance": joint training's over MIMO's ratio of predicted times. "order threshold": lam* of :func:`mimo_sim.theory.order_threshold` for
        mu -> 0, 0 without superficial preference. "correlation ratio": of the |C_k|, larger over smaller. "explained ratio": of what each explains alone,
        likewise. "loss ratio": of the uni-modal optima f_k*, likewise.
    """
    report = theory.superficial_preference(problem)
    times, balanced = theory.learning_times(problem), theory.mimo_learning_times(problem, lam)
    return {
        "time ratio": theory.time_ratio(problem, init_scale),
        "predicted gain": predicted_gain(problem, lam),
        "predicted balance": float(times.max() / times.min() * balanced.min() / balanced.max()),
        "order threshold": theory.order_threshold(problem),
        "correlation ratio": float(report.correlation.max() / report.correlation.min()),
        "explained ratio": float(report.explained.max() / report.explained.min()),
        "loss ratio": float(problem.unimodal_optima.max() / problem.unimodal_optima.min()),
    }


def score(
    problems: int = 600,
    *,
    lam: float = 10.0,
    relative_mu: float = 0.01,
    init_scale: float = 1e-6,
    seed: int = 0,
    on_run: Callable[[], None] = lambda: None,
) -> xr.Dataset:
    r"""Random problems with their scores before training and the gains of MIMO measured by a race.

    Two modalities of 1 to 3 dimensions each, Wishart covariances with 1.5 to 6 degrees of freedom per dimension, noise variance between 0 and 1.

    Parameters
    ----------
    problems : int
        >= 20. The first half is for choosing thresholds, the second for judging them.
    lam : float
        MIMO's penalty.
    relative_mu : float
        MIMO's smoothing over the initial loss of each problem.
    init_scale : float
        :math:`u_0` in (0, 1).
    seed : int
        Of the draw of problems.

    Returns
    -------
    xarray.Dataset
        Dims of :func:`race` and score: its variables, those of :func:`gains`, ``scores`` (problem, score), ``dims`` (problem, modality) and ``superficial``.
    """
    check_count("problems", problems, 20)
    rng = np.random.default_rng(seed)
    dims = rng.integers(1, 4, (problems, 2))
    freedom = np.ceil(dims.sum(1) * rng.uniform(1.5, 6, problems)).astype(int)
    noise, seeds = rng.uniform(0, 1, problems), rng.integers(2**31, size=problems)
    drawn = [
        random_problem(
            tuple(map(int, sizes)),
            int(each),
            degrees_of_freedom=int(free),
            noise_variance=float(variance),
        )
        for sizes, each, free, variance in zip(dims, seeds, freedom, noise, strict=True)
    ]
    methods = [MIMO(lam, relative_mu * problem.y_second_moment / 2) for problem in drawn]
    runs = race(drawn, methods, init_scale=init_scale, on_run=on_run)
    table = [scores(problem, lam, init_scale) for problem in drawn]
    data = runs.merge(gains(runs)).assign(
        scores=(("problem", "score"), np.array([list(row.values()) for row in table])),
        dims=(("problem", "modality"), dims),
        superficial=(
            "problem",
            np.array([theory.superficial_preference(problem).holds for problem in drawn]),
        ),
    )
    attrs = {"lam": lam, "relative_mu": relative_mu, "problem_seed": seed}
    return data.assign_coords(score=list(table[0]), problem=np.arange(problems)).assign_attrs(attrs)


def area_under_curve(scored: FloatArray, helps: Bools) -> FloatArray:
    """(...,) probability that a problem where MIMO helps outscores one where it does not, ties counting half; over the last axis, NaN if a kind is missing."""
    from scipy.stats import rankdata

    positive = helps.sum(-1)
    pairs = positive * (helps.shape[-1] - positive)
    above = np.sum(rankdata(scored, axis=-1) * helps, axis=-1) - positive * (positive + 1) / 2
    return np.asarray(np.where(pairs > 0, above / np.maximum(pairs, 1), np.nan))


def balanced_accuracy(said: Bools, helps: Bools) -> FloatArray:
    """(...,) mean of the hit rates on the problems where MIMO helps and on the others, over the last axis."""
    positive = helps.sum(-1)
    with np.errstate(invalid="ignore"):
        return np.asarray(
            (
                (said & helps).sum(-1) / positive
                + (~said & ~helps).sum(-1) / (helps.shape[-1] - positive)
            )
            / 2
        )


def best_threshold(scored: FloatArray, helps: Bools) -> float:
    """The midpoint between neighbouring scores with the highest :func:`balanced_accuracy` of "above means helps"; the lowest of equals."""
    values = np.unique(scored)
    midpoints = (values[1:] + values[:-1]) / 2 if len(values) > 1 else values
    return float(
        midpoints[
            np.argmax(
                balanced_accuracy(
                    scored > midpoints[:, None],
                    np.broadcast_to(helps, (len(midpoints), len(helps))),
                )
            )
        ]
    )


def rank_correlation(first: FloatArray, second: FloatArray) -> FloatArray:
    """(...,) Spearman's coefficient over the last axis; NaN where one side is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(values, axis=-1) for values in (first, second)]
    a, b = (rank - rank.mean(-1, keepdims=True) for rank in ranks)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sum(a * b, -1) / np.sqrt(np.sum(a * a, -1) * np.sum(b * b, -1)))


def score_summary(data: xr.Dataset, *, resamples: int = 1000) -> dict[str, Any]:
    """How well each score predicts the gain: direction and threshold from the first half of the problems, everything else from the second.

    A score with "direction" -1 says "helps" when it lies *below* its threshold. Areas, accuracies and rank correlations are of the directed score.
    Intervals are 95% percentile bootstrap over the problems of the second half, with direction and threshold held fixed.
    """
    rng = np.random.default_rng(0)
    summary: dict[str, Any] = {
        "problems": int(data.sizes["problem"]),
        **{name: data.attrs[name] for name in ("lam", "relative_mu", "init_scale")},
    }
    for outcome in OUTCOMES:
        gain = data[outcome].values
        usable = np.isfinite(gain) & np.isfinite(
            data.scores.transpose("problem", "score").values
        ).all(1)
        early = np.arange(len(gain)) < len(gain) // 2
        chosen, judged = np.flatnonzero(usable & early), np.flatnonzero(usable & ~early)
        draws = np.vstack([judged, rng.choice(judged, (resamples, len(judged)))])
        helps = gain > MARGIN
        rows = {}
        for name in map(str, data.score.values):
            raw = data.scores.sel(score=name).values
            direction = -1 if area_under_curve(raw[chosen], helps[chosen]) < 0.5 else 1
            scored = direction * raw
            threshold = best_threshold(scored[chosen], helps[chosen])
            found = {
                "auc": area_under_curve(scored[draws], helps[draws]),
                "balanced_accuracy": balanced_accuracy(scored[draws] > threshold, helps[draws]),
                "rank_correlation": rank_correlation(scored[draws], gain[draws]),
            }
            rows[name] = {"direction": direction, "threshold": direction * threshold} | {
                measure: {
                    "value": float(values[0]),
                    "interval": np.nanquantile(values[1:], (0.025, 0.975)).tolist(),
                }
                for measure, values in found.items()
            }
        summary[outcome] = {
            "helps": float(helps[judged].mean()),
            "costs": float((gain[judged] < 1 / MARGIN).mean()),
            "median": float(np.median(gain[judged])),
            "chosen_on": len(chosen),
            "judged_on": len(judged),
            "scores": rows,
        }
    return summary
