"""How far beyond 1/L gradient descent on F stays monotone."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.curvature import curvature
from paper_checks.network import Network, descend, random_data, random_network, random_objective
from paper_checks.theorem1 import Setting, increases, setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIM = Claim(
    id="theorem1-first-failing-step",
    topic="4 Theorem 1",
    says="1/L is a safe step, and not a sharp one: monotone decrease fails first at a multiple of 1/L above one, usually far above. L over-states the "
    "curvature that the run really meets.",
    source="[MIMO] Sec. 3.3, Theorem 1; constants of the toy: mimo_sim.theory.smoothness",
    assumptions="As theorem1-rate; failure means that F rises in some step of the first 300.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

STEPS = 300
ROUND_OFF = 1e-12
SEGMENT = 17  # points at which the failing step is measured
MULTIPLES = 2.0 ** np.arange(0, 11, 0.5)  # of 1/L


def first_failures(case: Setting) -> np.ndarray:
    """Index in MULTIPLES of the first step size at which F rises, for each run (B,); len(MULTIPLES) if none does."""
    runs, tried = len(case.step_size), len(MULTIPLES)
    index = np.repeat(np.arange(runs), tried)
    eta = (case.step_size[:, None] * MULTIPLES).ravel()
    found = descend(
        case.data.take(index), case.start.take(index), case.objective.take(index), eta, STEPS
    ).objective
    failed = (increases(found, np.abs(found[:, 0])) > ROUND_OFF).reshape(runs, tried)
    return np.where(failed.any(axis=1), failed.argmax(axis=1), tried)


def curvature_of_failure(case: Setting, step_size: np.ndarray) -> np.ndarray:
    """Step size times the largest curvature of F on the segment of the first step that rises, for runs (B,) that have one."""
    runs = len(step_size)
    found = descend(case.data, case.start, case.objective, step_size, STEPS, keep=range(STEPS + 1))
    with np.errstate(invalid="ignore"):
        rising = ~(np.diff(found.objective, axis=1) <= ROUND_OFF * np.abs(found.objective[:, :1]))
    before = np.arange(runs) * (STEPS + 1) + rising.argmax(axis=1)
    one, two = found.kept.take(before), found.kept.take(before + 1)
    share = np.linspace(0, 1, SEGMENT)[None, :, None, None, None]
    parts = ((one.v, two.v), (one.u, two.u), (one.w, two.w))
    between = [(a[:, None] + share * (b - a)[:, None]).reshape(-1, *a.shape[1:]) for a, b in parts]
    index = np.repeat(np.arange(runs), SEGMENT)
    curves = curvature(case.data.take(index), Network(*between), case.objective.take(index))
    return np.asarray(step_size * curves.objective.reshape(runs, -1).max(axis=1))


def rises(case: Setting, b: int, multiple: float) -> bool:
    """Whether the package's run b rises or diverges at this multiple of 1/L."""
    method = ms.MIMO(lam=float(case.objective.lam[b]), mu=float(case.objective.mu[b]))
    try:
        run = ms.simulate(
            case.data.problem(b),
            method,
            step_size=float(multiple * case.step_size[b]),
            steps=STEPS,
            initial=case.start.initial(b),
        )
    except ms.DivergenceError:
        return True
    return bool(
        increases(run.objective.values[None], np.abs(run.objective.values[:1]))[0] > ROUND_OFF
    )


def check(draws: int) -> Evidence:
    """Random problems and starts; step sizes on a grid of half-octaves from 1/L up; the package must fail and succeed at the same ones."""
    count = max(draws // 5, 10)
    rng = np.random.default_rng(10)
    data = random_data(rng, count)
    case = setting(
        data,
        random_network(rng, data, 2, 1.0),
        random_objective(rng, data, (0.03, 30), (0.003, 1)),
        STEPS,
    )
    index = first_failures(case)
    fails = np.append(MULTIPLES, np.inf)[index]
    fits = fails[case.inside]
    agree = 0
    compared = min(count, 12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ms.ChatteringWarning)
        for b in range(compared):
            below = index[b] == 0 or not rises(case, b, float(MULTIPLES[index[b] - 1]))
            agree += below and (
                index[b] == len(MULTIPLES) or rises(case, b, float(MULTIPLES[index[b]]))
            )
    low, median, high = np.quantile(fits, [0.1, 0.5, 0.9])
    failing = np.flatnonzero(case.inside & np.isfinite(fails))
    real = (fails * case.step_size * case.sharpest)[failing]
    part = replace(
        case,
        data=data.take(failing),
        start=case.start.take(failing),
        objective=case.objective.take(failing),
    )
    own = curvature_of_failure(part, (fails * case.step_size)[failing])
    safe = bool(fits.min() > 1)
    holds = safe and agree >= compared - 1 and median > 2 and own.min() > 1.99
    bad = int(np.argmin(fails))

    def plot(axes: Axes) -> None:
        shown = np.sort(fits[np.isfinite(fits)])
        axes.step(
            shown,
            np.arange(1, len(shown) + 1) / len(fits),
            where="post",
            color=ms.plots.MODALITY_COLORS[0],
        )
        axes.set_xscale("log", base=2)
        axes.set_xlabel("first failing step in units of 1/L")
        axes.set_ylabel("share of problems")

    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"Over {len(fits)} random problems the first failing step is {fits.min():.3g} / L at the least and {median:.3g} / L in the median (10% "
        f"to 90%: {low:.3g} to "
        f"{high:.3g}). It is at least {own.min():.2f} over the curvature on the step that fails, as the descent lemma asks (2); against the curvature "
        f"of the run at 1/L it is "
        f"{real.min():.2f} at the least and {np.median(real):.2f} in the median, because larger steps reach other places. The package fails at the "
        f"same step in {agree} of "
        f"{compared} runs.",
        numbers={
            "problems": len(fits),
            "least multiple of 1/L": float(fits.min()),
            "quantiles 10, 50, 90%": [float(low), float(median), float(high)],
            "never failed": int(np.isinf(fits).sum()),
            "in units of 1 / largest curvature of the run at 1/L, least and median": [
                float(real.min()),
                float(np.median(real)),
            ],
            "in units of 1 / largest curvature on the failing step, least": float(own.min()),
            "grid": "half-octaves",
            "package agrees": f"{agree} of {compared}",
        },
        counterexample=None
        if holds
        else Counterexample(
            f"random problem {bad}: first failure at {fails[bad]:.3g} / L",
            'python -c "import mimo_sim as ms; p = ms.generators.superficial_preference(); print(ms.theory.default_step_size(p, ms.MIMO()))"',
        ),
        plot=plot,
    )
