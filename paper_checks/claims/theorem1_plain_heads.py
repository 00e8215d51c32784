"""Theorem 1 does not carry over as it stands to heads that follow their own loss alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.network import (
    Data,
    Network,
    Objective,
    random_data,
    random_network,
    random_objective,
)
from paper_checks.search import counterexample
from paper_checks.theorem1 import Setting, increases, infimum, rate_ratio, setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIM = Claim(
    id="theorem1-plain-heads",
    topic="4 Theorem 1",
    says="Theorem 1 also covers plain heads: each is updated with the gradient of its own loss, "
    "without the factor lam sigma_k.",
    source="[MIMO] Algorithm 1 as summarised (step 5), read with Theorem 1",
    assumptions="eta <= 1/L with the constants measured along the run. The step is then not along "
    "grad F, though for a small enough eta it decreases F.",
    how="property-based",
    recorded=Verdict.CONDITIONAL,
)

ROUND_OFF = 1e-13
STEPS = 300
Case = tuple[Data, Network, Objective]


def scalar_case(
    x: list[float], u: list[float], w: list[float], v: list[float], lam: float, mu: float
) -> Case:
    """One sample with target 1 and inputs `x`, and a network of width 1. Every f_k* is 0."""
    shape = (1, len(x), 1, 1)
    data = Data(np.reshape(x, shape).astype(float), np.ones((1, 1, 1)))
    network = Network(*(np.reshape(part, shape).astype(float) for part in (v, u, w)))
    return data, network, Objective(np.array([lam]), np.array([mu]), np.zeros((1, len(x))))


def excess_over_bound(lam: int) -> tuple[float, float]:
    """y = x with one modality: the largest share of the bound within 4 lam steps, and L.

    At the start the joint head and the encoder are solved, and the uni-modal head is zero.
    """
    data, network, objective = scalar_case([1.0], [0.0], [1.0], [1.0], lam, 1000.0)
    case = setting(data, network, objective, 4 * lam, "plain", points=10)
    return float(bound_share(case)[0]), float(1 / case.step_size[0])


def increase(case: tuple[int, int]) -> tuple[float, float]:
    """Increase of F in the first step at 1/L, and L, for x_1 = 2^a x_2 and lam = 2^-b.

    y = x_2 is solved at the start, modality 1 is not.
    """
    a, b = case
    made = scalar_case([2.0**a, 1.0], [-1 / 128, 1.0], [1 / 1024, 1.0], [0.0, 1.0], 2.0**-b, 1.0)
    found = setting(*made, 1, "plain", points=3)
    return float(increases(found.run.objective, np.ones(1))[0]), float(1 / found.step_size[0])


def bound_share(case: Setting) -> np.ndarray:
    """How much of Theorem 1's bound each run (B,) uses."""
    drop = case.run.objective[:, 0] - infimum(case.data, case.objective)
    return rate_ratio(case.run.grad_sq, drop, case.step_size)


def package_error(case: Setting, b: int) -> float:
    """Largest difference of F between run b and the same run of the package, relative."""
    method = ms.MIMO(
        lam=float(case.objective.lam[b]), mu=float(case.objective.mu[b]), heads="plain"
    )
    run = ms.simulate(
        case.data.problem(b),
        method,
        step_size=float(case.step_size[b]),
        steps=STEPS,
        initial=case.start.initial(b),
    )
    values = run.objective.values
    return float(np.abs(values - case.run.objective[b]).max() / abs(values[0]))


def check(draws: int) -> Evidence:
    """Random runs at 1/L as in theorem1-rate, and two searches.

    One is for the smallest lam that breaks the bound, one for the tamest data that break monotony.
    """
    count = max(draws // 4, 10)
    rng = np.random.default_rng(9)
    data = random_data(rng, count)
    start = random_network(rng, data, 2, 1.0)
    objective = random_objective(rng, data, (1, 100), (0.003, 1))
    case = setting(data, start, objective, STEPS, "plain")
    agreement = max(package_error(case, b) for b in range(min(count, 10)))
    rising = increases(case.run.objective, np.abs(case.run.objective[:, 0]))[case.inside]
    share = bound_share(case)[case.inside]
    corrected = share / np.maximum(objective.lam, 1)[case.inside]
    lam = counterexample(st.integers(1, 16), lambda n: excess_over_bound(n)[0] > 1 + 1e-9, 16)
    tame = counterexample(
        st.tuples(st.integers(0, 8), st.integers(0, 8)), lambda pair: increase(pair)[0] > 1e-9, 60
    )

    monotone = rising.max() <= ROUND_OFF
    survives = bool(monotone and share.max() <= 1 and lam is None and tame is None)
    repaired = monotone and corrected.max() <= 1 and agreement < 1e-8
    if survives:
        verdict = Verdict.HOLDS
    elif repaired:
        verdict = Verdict.CONDITIONAL
    else:
        verdict = Verdict.REFUTED
    beyond, constant = excess_over_bound(lam) if lam else (math.nan, math.nan)
    up, steep = increase(tame) if tame else (math.nan, math.nan)
    scale, inverse_lam = 2 ** (tame or (0, 0))[0], 2 ** (tame or (0, 0))[1]
    runs = int(case.inside.sum())
    example = Counterexample.shown_by(
        f"y = x, V = W = 1, U = 0, lam = {lam}, eta = 1/L: the bound is exceeded {beyond:.2f} "
        "times",
        "import mimo_sim as ms, numpy as np",
        "p = ms.LateFusionProblem([[1.0]], [1.0], 1.0)",
        f"r = ms.simulate(p, ms.MIMO(lam={lam}, mu=1000.0, heads='plain'), "
        f"step_size={1 / constant:.6g}, steps={4 * (lam or 1)}, "
        "initial=[([[1.0]], [[0.0]], [[1.0]])])",
        "n, g, F = r.step.values[1:], r.grad_norm_sq.values[:-1], r.objective.values",
        "print(max(n * np.minimum.accumulate(g) * r.attrs['step_size'] / (2 * F[0])))",
    )
    return Evidence(
        verdict=verdict,
        words=f"For lam >= 1, F still decreases in every step of {runs} random runs at 1/L. "
        f"min |grad F|^2 stays below {corrected.max():.2f} of lam times the bound, but not below "
        f"the bound itself: already y = x with lam = {lam} exceeds it ({beyond:.2f} times), and a "
        "larger lam exceeds it more. For lam < 1 even monotony fails: with "
        f"x_1 = {scale} x_2 and lam = 1/{inverse_lam}, F rises by {up:.1e} in the first step at "
        "1/L.",
        numbers={
            "runs with lam in [1, 100]": runs,
            "largest relative increase of F, lam >= 1": float(rising.max()),
            "largest share of the bound": float(share.max()),
            "largest share of the bound times max(1, lam)": float(corrected.max()),
            "smallest lam that breaks the bound at y = x": lam,
            "share of the bound there": beyond,
            "smallest input scale that breaks monotony": scale,
            "at lam": 1 / inverse_lam,
            "increase of F there": up,
            "L there": steep,
            "package against network": agreement,
        },
        counterexample=None if survives else example,
        plot=_draw,
    )


def _draw(axes: Axes) -> None:
    values = [1, 2, 4, 8, 16, 32]
    shares = [excess_over_bound(lam)[0] for lam in values]
    color = ms.plots.MODALITY_COLORS[1]
    axes.loglog(values, shares, "o-", color=color, label="plain heads, y = x")
    axes.axhline(1.0, color=ms.plots.JOINT_COLOR, label="Theorem 1's bound")
    axes.set_xlabel("lam")
    axes.set_ylabel("min |grad F|^2 over its bound")
    axes.legend()
