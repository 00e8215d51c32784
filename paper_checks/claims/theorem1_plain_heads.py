"""Theorem 1 does not carry over as it stands to heads that follow their own loss alone."""

from __future__ import annotations

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
from paper_checks.theorem1 import increases, infimum, rate_ratio, setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIM = Claim(
    id="theorem1-plain-heads",
    topic="4 Theorem 1",
    says="Theorem 1 also covers heads that are updated independently, each with the gradient of its own objective (no lam sigma_k).",
    source="[MIMO] Algorithm 1 as summarised (step 5), read with Theorem 1",
    assumptions="eta <= 1/L with the constants measured along the run. The step is then not along grad F, though F decreases along it for small enough eta.",
    how="property-based",
    recorded=Verdict.CONDITIONAL,
)

ROUND_OFF = 1e-13


def scalar_case(
    x: list[float], u: list[float], w: list[float], v: list[float], lam: float, mu: float
) -> tuple[Data, Network, Objective]:
    """One sample with target 1, inputs `x`, and a network of width 1; every f_k* is 0."""
    shape = (1, len(x), 1, 1)
    data = Data(np.reshape(x, shape).astype(float), np.ones((1, 1, 1)))
    net = Network(*(np.reshape(part, shape).astype(float) for part in (v, u, w)))
    return data, net, Objective(np.array([lam]), np.array([mu]), np.zeros((1, len(x))))


def excess_over_bound(lam: int) -> tuple[float, float]:
    """One modality, y = x, joint head and encoder solved, uni-modal head at zero: largest share of the bound within 4 lam steps, and L."""
    data, net, objective = scalar_case([1.0], [0.0], [1.0], [1.0], lam, 1000.0)
    case = setting(data, net, objective, 4 * lam, "plain", points=10)
    drop = case.run.objective[:, 0] - infimum(data, objective)
    return float(rate_ratio(case.run.grad_sq, drop, case.step_size)[0]), float(
        1 / case.step_size[0]
    )


def increase(case: tuple[int, int]) -> tuple[float, float]:
    """y = x_2 solved, x_1 = 2^a x_2 not yet, lam = 2^-b: increase of F in the first step at 1/L, and L."""
    a, b = case
    made = scalar_case([2.0**a, 1.0], [-1 / 128, 1.0], [1 / 1024, 1.0], [0.0, 1.0], 2.0**-b, 1.0)
    found = setting(*made, 1, "plain", points=3)
    return float(increases(found.run.objective, np.ones(1))[0]), float(1 / found.step_size[0])


def check(draws: int) -> Evidence:
    """Random runs at 1/L as in theorem1-rate, then a search for the smallest lam that breaks the bound and the tamest data that break monotony."""
    count = max(draws // 4, 10)
    rng = np.random.default_rng(9)
    data = random_data(rng, count)
    start = random_network(rng, data, 2, 1.0)
    case = setting(data, start, random_objective(rng, data, (1, 100), (0.003, 1)), 300, "plain")
    worst_agreement = 0.0
    for b in range(min(count, 10)):
        method = ms.MIMO(
            lam=float(case.objective.lam[b]), mu=float(case.objective.mu[b]), heads="plain"
        )
        run = ms.simulate(
            data.problem(b),
            method,
            step_size=float(case.step_size[b]),
            steps=300,
            initial=start.initial(b),
        )
        worst_agreement = max(
            worst_agreement,
            float(
                np.abs(run.objective.values - case.run.objective[b]).max()
                / abs(run.objective.values[0])
            ),
        )
    rising = increases(case.run.objective, np.abs(case.run.objective[:, 0]))[case.inside]
    drop = case.run.objective[:, 0] - infimum(data, case.objective)
    ratio = rate_ratio(case.run.grad_sq, drop, case.step_size)
    corrected = (ratio / np.maximum(case.objective.lam, 1))[case.inside]
    lam = counterexample(st.integers(1, 16), lambda n: excess_over_bound(n)[0] > 1 + 1e-9, 16)
    tame = counterexample(
        st.tuples(st.integers(0, 8), st.integers(0, 8)), lambda pair: increase(pair)[0] > 1e-9, 60
    )

    monotone = bool(rising.max() <= ROUND_OFF)
    survives = monotone and ratio[case.inside].max() <= 1 and lam is None and tame is None
    repaired = monotone and corrected.max() <= 1 and worst_agreement < 1e-8
    verdict = Verdict.HOLDS if survives else Verdict.CONDITIONAL if repaired else Verdict.REFUTED
    share, constant = excess_over_bound(lam) if lam else (float("nan"), float("nan"))
    up, steep = increase(tame) if tame else (float("nan"), float("nan"))
    stop = 4 * (lam or 1)
    command = (
        'python -c "import mimo_sim as ms, numpy as np; p = ms.LateFusionProblem([[1.0]], [1.0], 1.0); '
        f"r = ms.simulate(p, ms.MIMO(lam={lam}, mu=1000.0, heads='plain'), step_size={1 / constant:.6g}, steps={stop}, initial=[([[1.0]], [[0.0]], [[1.0]])]); "
        "n, g, F = r.step.values[1:], r.grad_norm_sq.values[:-1], r.objective.values; "
        "print(max(n * np.minimum.accumulate(g) * r.attrs['step_size'] / (2 * F[0])))\""
    )

    def plot(axes: Axes) -> None:
        values = [1, 2, 4, 8, 16, 32]
        axes.loglog(
            values,
            [excess_over_bound(n)[0] for n in values],
            "o-",
            color=ms.plots.MODALITY_COLORS[1],
            label="plain heads, y = x",
        )
        axes.axhline(1.0, color=ms.plots.JOINT_COLOR, label="Theorem 1's bound")
        axes.set_xlabel("lam")
        axes.set_ylabel("min |grad F|^2 over its bound")
        axes.legend()

    return Evidence(
        verdict=verdict,
        words=f"For lam >= 1 F still decreases in every step of {int(case.inside.sum())} random runs at 1/L, and min |grad F|^2 stays below "
        f"{corrected.max():.2f} of "
        f"lam times the bound, but not below the bound itself: already y = x with lam = {lam} exceeds it ({share:.2f} times), and by more the larger "
        f"lam is. For lam < 1 "
        f"even monotony fails: with x_1 = {2 ** (tame or (0, 0))[0]} x_2 and lam = 1/{2 ** (tame or (0, 0))[1]} F rises by {up:.1e} in the first step at 1/L.",
        numbers={
            "runs with lam in [1, 100]": int(case.inside.sum()),
            "largest relative increase of F, lam >= 1": float(rising.max()),
            "largest share of the bound": float(ratio[case.inside].max()),
            "largest share of the bound times max(1, lam)": float(corrected.max()),
            "smallest lam that breaks the bound at y = x": lam,
            "share of the bound there": share,
            "smallest input scale that breaks monotony": 2 ** (tame or (0, 0))[0],
            "at lam": 2.0 ** -(tame or (0, 0))[1],
            "increase of F there": up,
            "L there": steep,
            "package against network": worst_agreement,
        },
        counterexample=None
        if survives
        else Counterexample(
            f"y = x, V = W = 1, U = 0, lam = {lam}, eta = 1/L: the bound is exceeded {share:.2f} times",
            command,
        ),
        plot=plot,
    )
