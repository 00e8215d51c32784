"""MGDA stops where one objective is optimal, although all could be."""

from __future__ import annotations

import numpy as np

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.runs import quietly

CLAIM = Claim(
    id="mgda-reaches-compatible-optima",
    topic="14 Rules of the field",
    says="Where all objectives can be optimal at once, MGDA makes all of them optimal.",
    source="the toy's landscape (every local minimum of F is global), asked of MGDA (Desideri "
    "2012; Sener and Koltun, NeurIPS 2018), which promises a Pareto-stationary point only",
    assumptions="K + 1 objectives over all parameters, heads trained, default step size.",
    how="exact",
    recorded=Verdict.REFUTED,
)

STEPS = 40_000
LEFT = 0.01  # a part of the initial excess above this counts as not learned


def left(problem: ms.LateFusionProblem, steps: int) -> tuple[float, np.ndarray, float]:
    """What is left of the excesses of f_mm and of the f_k, and of the direction's squared norm."""
    run = quietly(problem, ms.MGDA(), steps=steps, init_scale=0.01, record_every=steps)
    mm, uni = run.excess_mm.values, run.excess_uni.values
    return (
        float(mm[-1] / mm[0]),
        uni[-1] / uni[0],
        float(run.grad_norm_sq.values[-1] / problem.y_second_moment),
    )


def check(draws: int) -> Evidence:
    """The end of training on the Figure 1 problem, and on random problems."""
    figure1 = ms.generators.superficial_preference()
    joint, uni, slope = left(figure1, STEPS)
    later, _, _ = left(figure1, 2 * STEPS)
    count = max(draws // 10, 10)
    stalled = []
    for seed in range(count):
        problem = ms.generators.random_problem((1, 1), seed=seed, require="superficial")
        rest, alone, _ = left(problem, STEPS)
        stalled.append(rest > LEFT and alone.min() < 1e-6)
    refuted = joint > LEFT and uni.min() < 1e-6 and abs(later / joint - 1) < 1e-6
    example = Counterexample.shown_by(
        "the problem of Figure 1",
        "import mimo_sim as ms",
        "run = ms.simulate(ms.generators.superficial_preference(), ms.MGDA(), steps=40_000, "
        "init_scale=0.01, record_every=10_000)",
        "print(run.loss_mm.values, run.excess_uni.values, run.weight_uni.values)",
    )
    return Evidence(
        verdict=Verdict.REFUTED if refuted else Verdict.HOLDS,
        words=f"On the Figure 1 problem {joint:.0%} of f_mm's excess is left for good, and "
        f"{uni.max():.0%} of the larger uni-modal one, while the other uni-modal loss is optimal "
        f"(a part of {uni.min():.0e} is left). Its gradient has vanished, so it gets all the "
        f"weight: the squared direction is {slope:.0e}. The same happens on {sum(stalled)} of "
        f"{count} random problems with a superficial preference.",
        numbers={
            "Figure 1: part of f_mm's excess left": joint,
            "parts of the uni-modal excesses left": uni.tolist(),
            "squared norm of the direction": slope,
            "random problems, and where it stops": [count, int(sum(stalled))],
        },
        counterexample=example if refuted else None,
    )
