"""With the hard maximum only the worst modality gets weight: where gaps differ, not where they tie.

Training leads to ties.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.network import Array, softmax
from paper_checks.runs import quietly

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIM = Claim(
    id="worst-modality-takes-all",
    topic="2 Smoothed maximum",
    says="When modality 1 is learned faster its gap is the smaller one, so lambda_1 = 0 and "
    "lambda_2 = lam: the whole gradient of the penalty goes to the slower modality.",
    source="[MIMO] Sec. 3.1, after Eq. 10",
    assumptions="Hard maximum (mu -> 0). Runs: mu = 0.001, lam = 2, scalar modalities with "
    "superficial preference, start at 0.01.",
    how="property-based",
    recorded=Verdict.CONDITIONAL,
)

LAM, MU = 2.0, 0.001
PURE = 0.01  # the smaller weight counts as zero below this

Weights = tuple[Array, Array, Array]


def weights_along(problem: ms.LateFusionProblem) -> Weights:
    """Flow time, smaller sigma and both gaps, until both gaps are below 1% of their start."""
    run = quietly(
        problem,
        ms.MIMO(lam=LAM, mu=MU),
        steps=200_000,
        width=2,
        init_scale=0.01,
        record_every=100,
    )
    gaps = run.excess_uni.values
    busy = gaps.max(axis=1) > 0.01 * gaps[0].max()
    return run.time.values[busy], run.sigma.values[busy].min(axis=1), gaps[busy]


def check(draws: int) -> Evidence:
    """sigma where gaps differ, and how much of a run has two positive weights."""
    rng = np.random.default_rng(17)
    gaps = rng.uniform(0, 1, (draws, 2))
    apart = gaps[np.abs(gaps[:, 0] - gaps[:, 1]) > 0.02]
    sigma = ms.objective.sigma_weights(apart, MU)
    indicator = (apart == apart.max(axis=1, keepdims=True)).astype(float)
    limit = float(np.abs(sigma - indicator).max())
    independent = float(np.abs(sigma - softmax(apart, np.full(len(apart), MU))).max())
    random = [
        ms.generators.random_problem((1, 1), seed, "superficial")
        for seed in range(max(draws // 20, 6))
    ]
    figure1 = ms.generators.superficial_preference()
    runs = [weights_along(problem) for problem in [figure1, *random]]
    shared = np.array([float((small > PURE).mean()) for _, small, _ in runs])
    pure = limit < 1e-6 and independent < 1e-12
    if not pure:
        verdict = Verdict.REFUTED
    elif np.median(shared) > 0.1:
        verdict = Verdict.CONDITIONAL
    else:
        verdict = Verdict.HOLDS
    wide = ms.objective.sigma_weights(np.array([0.36, 0.64]), 1.0)
    example = Counterexample.shown_by(
        "Figure 1's problem, lam = 2, mu = 0.001, step 4,000 of the default size: gaps tied at "
        "0.135, both weights positive",
        "import mimo_sim as ms",
        "r = ms.simulate(ms.generators.superficial_preference(), ms.MIMO(lam=2.0, mu=0.001), "
        "steps=4000, width=2, init_scale=0.01, record_every=4000)",
        "print(r.sigma.values, r.gap.values)",
    )
    return Evidence(
        verdict=verdict,
        words="Where gaps differ by more than 20 mu, sigma is 1 for the worst modality and 0 for "
        f"the other, to {limit:.0e}. But a run lowers the largest gap until it ties with the other "
        "one, and then slides along the tie with both weights positive: for "
        f"{shared[0]:.0%} of the learning time in Figure 1's problem, for {np.median(shared):.0%} "
        f"in the median of {len(runs)} problems. At mu = 1 the weights at the origin of Figure 1's "
        f"problem are {wide[0]:.2f} and {wide[1]:.2f}.",
        numbers={
            "distance of sigma from the indicator, gaps apart": limit,
            "share of learning time with both weights above 1%, Figure 1": float(shared[0]),
            "the same, median": float(np.median(shared)),
            "the same, least and largest": [float(shared.min()), float(shared.max())],
            "problems": len(runs),
            "weights at the origin of Figure 1's problem, mu = 1": [float(each) for each in wide],
        },
        counterexample=None if verdict is Verdict.HOLDS else example,
        plot=functools.partial(_draw, runs[0]),
    )


def _draw(weights: Weights, axes: Axes) -> None:
    time, small, gap = weights
    first, second = ms.plots.MODALITY_COLORS[:2]
    axes.plot(time, gap[:, 0], color=first, label="gap of modality 1")
    axes.plot(time, gap[:, 1], "--", color=second, label="gap of modality 2")
    axes.plot(time, small, color=ms.plots.JOINT_COLOR, linewidth=0.8, label="smaller sigma")
    axes.set_xlabel("flow time")
    axes.set_ylabel("gap, sigma")
    axes.legend()
