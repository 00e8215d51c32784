"""How far beyond 1/L gradient descent on F stays monotone."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.curvature import curvature
from paper_checks.network import (
    Network,
    descend,
    random_data,
    random_network,
    random_objective,
)
from paper_checks.runs import without_advice
from paper_checks.theorem1 import Setting, increases, setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIM = Claim(
    id="theorem1-first-failing-step",
    topic="4 Theorem 1",
    says="1/L is a safe step, and not a sharp bound: the first step size at which F rises is above "
    "1/L, usually far above, because L is larger than the curvature that the run really meets.",
    source="[MIMO] Sec. 3.3, Theorem 1; constants of the toy: mimo_sim.theory.smoothness",
    assumptions="As in theorem1-rate. A step size fails when F rises in one of the first 300 "
    "steps.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

STEPS = 300
ROUND_OFF = 1e-12
SEGMENT = 17  # points on the failing step at which the curvature is measured
MULTIPLES = 2.0 ** np.arange(0, 11, 0.5)  # of 1/L: the step sizes tried


def first_failures(case: Setting) -> np.ndarray:
    """Index in MULTIPLES of the first step size that fails, for each run (B,).

    It is len(MULTIPLES) if none does.
    """
    runs, tried = len(case.step_size), len(MULTIPLES)
    index = np.repeat(np.arange(runs), tried)
    eta = (case.step_size[:, None] * MULTIPLES).ravel()
    data, start, objective = (
        case.data.take(index),
        case.start.take(index),
        case.objective.take(index),
    )
    values = descend(data, start, objective, eta, STEPS).objective
    failed = (increases(values, np.abs(values[:, 0])) > ROUND_OFF).reshape(runs, tried)
    return np.where(failed.any(axis=1), failed.argmax(axis=1), tried)


def curvature_of_failure(case: Setting, step_size: np.ndarray) -> np.ndarray:
    """Step size times the largest curvature of F on the first step that rises (B,).

    Every run must have such a step. The curvature is measured at points between its ends.
    """
    runs = len(step_size)
    keep = range(STEPS + 1)
    found = descend(case.data, case.start, case.objective, step_size, STEPS, keep=keep)
    with np.errstate(invalid="ignore"):
        rising = ~(np.diff(found.objective, axis=1) <= ROUND_OFF * np.abs(found.objective[:, :1]))
    before = np.arange(runs) * (STEPS + 1) + rising.argmax(axis=1)
    one, two = found.kept.take(before), found.kept.take(before + 1)
    share = np.linspace(0, 1, SEGMENT)[None, :, None, None, None]

    def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        points = a[:, None] + share * (b - a)[:, None]
        return np.asarray(points.reshape(-1, *a.shape[1:]))

    network = Network(between(one.v, two.v), between(one.u, two.u), between(one.w, two.w))
    index = np.repeat(np.arange(runs), SEGMENT)
    curves = curvature(case.data.take(index), network, case.objective.take(index))
    return np.asarray(step_size * curves.objective.reshape(runs, -1).max(axis=1))


def rises(case: Setting, b: int, multiple: float) -> bool:
    """Whether the package's run b rises or diverges at this multiple of 1/L."""
    method = ms.MIMO(lam=float(case.objective.lam[b]), mu=float(case.objective.mu[b]))
    try:
        with without_advice():
            run = ms.simulate(
                case.data.problem(b),
                method,
                step_size=float(multiple * case.step_size[b]),
                steps=STEPS,
                initial=case.start.initial(b),
            )
    except ms.DivergenceError:
        return True
    values = run.objective.values
    return bool(increases(values[None], np.abs(values[:1]))[0] > ROUND_OFF)


def agrees(case: Setting, b: int, first: int) -> bool:
    """Whether the package's run b fails at the same step size, and not at the one before."""
    if first > 0 and rises(case, b, float(MULTIPLES[first - 1])):
        return False
    return first == len(MULTIPLES) or rises(case, b, float(MULTIPLES[first]))


def check(draws: int) -> Evidence:
    """Random problems, and step sizes on a grid of half-octaves from 1/L up.

    The package must fail and succeed at the same step sizes as the network.
    """
    count = max(draws // 5, 10)
    rng = np.random.default_rng(10)
    data = random_data(rng, count)
    start = random_network(rng, data, 2, 1.0)
    objective = random_objective(rng, data, (0.03, 30), (0.003, 1))
    case = setting(data, start, objective, STEPS)
    first = first_failures(case)
    fails = np.append(MULTIPLES, np.inf)[first]
    fits = fails[case.inside]
    compared = min(count, 12)
    agree = sum(agrees(case, b, first[b]) for b in range(compared))

    failing = np.flatnonzero(case.inside & np.isfinite(fails))
    over_run = (fails * case.step_size * case.sharpest)[failing]
    part = replace(
        case,
        data=data.take(failing),
        start=case.start.take(failing),
        objective=case.objective.take(failing),
    )
    over_step = curvature_of_failure(part, (fails * case.step_size)[failing])
    low, median, high = np.quantile(fits, [0.1, 0.5, 0.9])
    safe = fits.min() > 1
    holds = bool(safe and agree >= compared - 1 and median > 2 and over_step.min() > 1.99)
    worst = int(np.argmin(fails))
    example = Counterexample.shown_by(
        f"random problem {worst}: first failure at {fails[worst]:.3g} / L",
        "import mimo_sim as ms",
        "p = ms.generators.superficial_preference()",
        "print(ms.theory.default_step_size(p, ms.MIMO()))",
    )
    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"Over {len(fits)} random problems the first failing step is {fits.min():.3g} / L at "
        f"the least and {median:.3g} / L in the median (10% to 90%: {low:.3g} to {high:.3g}). "
        "The product of that step and the curvature on it is at least "
        f"{over_step.min():.2f}; the descent lemma demands 2. With the curvature along the run at "
        f"1/L the product is {over_run.min():.2f} at the least and {np.median(over_run):.2f} in "
        "the median, because larger steps reach other places. The package fails at the same step "
        f"in {agree} of {compared} runs.",
        numbers={
            "problems": len(fits),
            "least multiple of 1/L": float(fits.min()),
            "quantiles 10, 50, 90%": [float(low), float(median), float(high)],
            "never failed": int(np.isinf(fits).sum()),
            "in units of 1 / largest curvature of the run at 1/L, least and median": [
                float(over_run.min()),
                float(np.median(over_run)),
            ],
            "in units of 1 / largest curvature on the failing step, least": float(over_step.min()),
            "grid": "half-octaves",
            "package agrees": f"{agree} of {compared}",
        },
        counterexample=None if holds else example,
        plot=functools.partial(_draw, fits),
    )


def _draw(fits: np.ndarray, axes: Axes) -> None:
    shown = np.sort(fits[np.isfinite(fits)])
    share = np.arange(1, len(shown) + 1) / len(fits)
    axes.step(shown, share, where="post", color=ms.plots.MODALITY_COLORS[0])
    axes.set_xscale("log", base=2)
    axes.set_xlabel("first failing step in units of 1/L")
    axes.set_ylabel("share of problems")
