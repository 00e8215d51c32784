"""Assumptions 1 and 2 in the toy: losses are smooth and Lipschitz along runs, not everywhere."""

from __future__ import annotations

import numpy as np

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.curvature import curvature
from paper_checks.network import (
    Data,
    Network,
    Objective,
    descend,
    random_data,
    random_network,
    random_objective,
)

CLAIM = Claim(
    id="smooth-and-lipschitz-losses",
    topic="3 Smoothness",
    says="f_mm and f_k are L-smooth, and f_k is Lipschitz continuous, with constants that hold for "
    "all weights.",
    source="[MIMO] Sec. 3.3, Assumptions 1 and 2",
    assumptions="Two-layer linear toy.",
    how="exact",
    recorded=Verdict.CONDITIONAL,
)

STRETCHES = 10.0 ** np.arange(0, 5)
LOOKS = (0, 20, 100, 300, 600)  # steps


def stretched(factor: float) -> tuple[float, float, float]:
    """f_1, its curvature and its slope for y = x, u = factor / 2 and w = 1 / factor.

    The map, and so the loss, is the same for every factor.
    """
    part = np.ones((1, 1, 1, 1))
    data = Data(part, np.ones((1, 1, 1)))
    network = Network(factor / 2 * part, factor / 2 * part, part / factor)
    curves = curvature(data, network, Objective(np.ones(1), np.ones(1), np.zeros((1, 1))))
    run = ms.simulate(
        data.problem(0),
        ms.MIMO(lam=1.0, mu=1.0),
        step_size=1e-12,
        steps=1,
        initial=network.initial(0),
    )
    return float(run.loss_uni.values[0, 0]), float(curves.single[0, 0]), float(curves.slopes[0, 0])


def along_runs(count: int) -> float:
    """Largest curvature of f_mm or f_k along runs, over the larger one of start and end.

    Gradient descent from moderate weights. The largest value of `count` runs is returned.
    """
    rng = np.random.default_rng(11)
    data = random_data(rng, count)
    objective = random_objective(rng, data, (1, 10), (0.03, 1))
    start = random_network(rng, data, 2, 0.3)
    stated = curvature(data, start, objective).stated_for_runs(objective, count)
    run = descend(data, start, objective, 0.3 / stated, max(LOOKS), keep=LOOKS)
    index = np.repeat(np.arange(count), len(LOOKS))
    curves = curvature(data.take(index), run.kept, objective.take(index))
    largest = np.maximum(curves.joint, curves.single.max(axis=1)).reshape(count, len(LOOKS))
    return float((largest.max(axis=1) / np.maximum(largest[:, 0], largest[:, -1])).max())


def power(values: np.ndarray) -> float:
    """The power of the stretch with which these values grow."""
    return float(np.polyfit(np.log(STRETCHES[1:]), np.log(values[1:]), 1)[0])


def check(draws: int) -> Evidence:
    """Stretch the head and shrink the encoder at equal loss, and compare with what runs meet."""
    losses, curves, slopes = np.array([stretched(float(factor)) for factor in STRETCHES]).T
    curve_power, slope_power = power(curves), power(slopes)
    met = along_runs(max(draws // 8, 10))
    same = float(np.ptp(losses))
    unbounded = same < 1e-12 and curve_power > 1.9 and slope_power > 0.9
    if not unbounded:
        verdict = Verdict.HOLDS
    elif met < 5:
        verdict = Verdict.CONDITIONAL
    else:
        verdict = Verdict.REFUTED
    example = Counterexample.shown_by(
        "K = 1, y = x, U = V = a / 2, W = 1 / a: equal loss, |grad|^2 grows like a^2",
        "import mimo_sim as ms",
        "p = ms.LateFusionProblem([[1.0]], [1.0], 1.0)",
        "print([(float(r.loss_uni[0, 0]), float(r.grad_norm_sq[0])) "
        "for a in (1.0, 10.0, 100.0, 1000.0) for r in [ms.simulate(p, ms.MIMO(lam=1.0, mu=1.0), "
        "step_size=1e-12, steps=1, initial=[([[a / 2]], [[a / 2]], [[1 / a]])])]])",
    )
    return Evidence(
        verdict=verdict,
        words="No constant holds for all weights. Stretch the head by a and shrink the encoder by "
        f"1/a: the loss stays the same, but the slope grows like a^{slope_power:.2f} and the "
        f"curvature like a^{curve_power:.2f}. Along runs from moderate weights both stay bounded: "
        f"the largest curvature is at most {met:.2f} times that at the start or the end.",
        numbers={
            "power of the curvature": curve_power,
            "power of the slope": slope_power,
            "difference of the losses": same,
            "largest curvature along runs over that at their ends": met,
        },
        counterexample=None if verdict is Verdict.HOLDS else example,
    )
