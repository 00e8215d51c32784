"""Assumptions 1 and 2 (smooth and Lipschitz losses) in the toy: true along runs, false on the sub-level set."""

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
    says="f_mm and f_k are L-smooth and f_k is Lipschitz continuous, with constants for all weights.",
    source="[MIMO] Sec. 3.3, Assumptions 1 and 2",
    assumptions="Two-layer linear toy.",
    how="exact",
    recorded=Verdict.CONDITIONAL,
)

STRETCHES = 10.0 ** np.arange(0, 5)


def stretched(factor: float) -> tuple[float, float, float]:
    """f_1, its largest curvature and its slope where u = factor / 2 and w = 1 / factor, for y = x: the map, hence the loss, is the same for every factor."""
    part = np.ones((1, 1, 1, 1))
    data = Data(part, np.ones((1, 1, 1)))
    net = Network(factor / 2 * part, factor / 2 * part, part / factor)
    curves = curvature(data, net, Objective(np.ones(1), np.ones(1), np.zeros((1, 1))))
    run = ms.simulate(
        data.problem(0), ms.MIMO(lam=1.0, mu=1.0), step_size=1e-12, steps=1, initial=net.initial(0)
    )
    return float(run.loss_uni.values[0, 0]), float(curves.single[0, 0]), float(curves.slopes[0, 0])


def along_runs(count: int) -> float:
    """Largest curvature of f_mm or f_k along runs of gradient descent from moderate starts, over the largest one at the end or the start."""
    rng = np.random.default_rng(11)
    data = random_data(rng, count)
    objective = random_objective(rng, data, (1, 10), (0.03, 1))
    start = random_network(rng, data, 2, 0.3)
    local = curvature(data, start, objective).stated_for_runs(objective, count)
    run = descend(data, start, objective, 0.3 / local, 600, keep=(0, 20, 100, 300, 600))
    index = np.repeat(np.arange(count), 5)
    curves = curvature(data.take(index), run.kept, objective.take(index))
    largest = np.maximum(curves.joint, curves.single.max(axis=1)).reshape(count, 5)
    return float((largest.max(axis=1) / np.maximum(largest[:, 0], largest[:, -1])).max())


def check(draws: int) -> Evidence:
    """Stretch the head and shrink the encoder at equal loss; compare with what runs meet."""
    losses, curves, slopes = np.array([stretched(float(factor)) for factor in STRETCHES]).T
    curve_power, slope_power = (
        float(np.polyfit(np.log(STRETCHES[1:]), np.log(each[1:]), 1)[0])
        for each in (curves, slopes)
    )
    met = along_runs(max(draws // 8, 10))
    same = float(np.ptp(losses))
    unbounded = same < 1e-12 and curve_power > 1.9 and slope_power > 0.9
    verdict = (Verdict.CONDITIONAL if met < 5 else Verdict.REFUTED) if unbounded else Verdict.HOLDS
    command = (
        'python -c "import mimo_sim as ms; p = ms.LateFusionProblem([[1.0]], [1.0], 1.0); '
        "print([(float(r.loss_uni[0, 0]), float(r.grad_norm_sq[0])) for a in (1.0, 10.0, 100.0, 1000.0) for r in "
        '[ms.simulate(p, ms.MIMO(lam=1.0, mu=1.0), step_size=1e-12, steps=1, initial=[([[a / 2]], [[a / 2]], [[1 / a]])])]])"'
    )
    return Evidence(
        verdict=verdict,
        words=f"Not for all weights: at one and the same loss, stretching the head by a and shrinking the encoder by 1/a makes the slope grow like "
        f"a^{slope_power:.2f} and the "
        f"curvature like a^{curve_power:.2f}, so no constant serves a sub-level set. Along runs from moderate starts both stay bounded: the largest "
        f"curvature is at most "
        f"{met:.2f} times that at the start or the end.",
        numbers={
            "power of the curvature": curve_power,
            "power of the slope": slope_power,
            "difference of the losses": same,
            "largest curvature along runs over that at their ends": met,
        },
        counterexample=None
        if verdict == Verdict.HOLDS
        else Counterexample(
            "K = 1, y = x, U = V = a / 2, W = 1 / a: equal loss, |grad|^2 grows like a^2", command
        ),
    )
