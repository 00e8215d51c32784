"""Growth rates of encoders under rules, measured far from the start and before anything is learned.

What the checks of several claims about rules share.
"""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

import mimo_sim as ms
from paper_checks.runs import quietly

SCALE, GROWTH = 1e-40, 1e36  # initial weights, and by how much the slowest mode grows
STEP = 0.01  # of the fastest rate
LARGEST_RATIO = 8.0  # of correlations; slower modalities would need long runs
# Relative error of a rate. Other parts of the start have fallen below 1e-15 of |W| at half of the
# growth, where the measurement begins, and |W| = 1e-4 moves the residuals by 1e-8.
ALLOWED = 1e-5

SCALARS: st.SearchStrategy[ms.LateFusionProblem] = ms.testing.problems(
    dims=1, output_dim=1, num_modalities=st.integers(2, 3)
)


def measurable(problem: ms.LateFusionProblem) -> bool:
    """Whether all modalities correlate with the target, none by far the least."""
    sizes = ms.theory.correlations(problem)
    return bool(sizes.min() * LARGEST_RATIO > sizes.max())


def measured_rates(problem: ms.LateFusionProblem, rule: ms.rules.Rule) -> np.ndarray:
    """(K,) growth rates of log |W_k| per unit of flow time, of the discrete steps."""
    predicted = ms.theory.rule_growth_rates(problem, rule)
    fastest = max(predicted.max(), ms.theory.correlations(problem).max())
    eta = STEP / float(fastest)
    steps = int(math.log(GROWTH) / float(np.log1p(eta * predicted.max())))
    run = quietly(
        problem,
        rule,
        step_size=eta,
        steps=steps,
        init_scale=SCALE,
        record_every=max(steps // 2, 1),
    )
    norms, taken = run.encoder_norm.values, run.step.values
    logs = np.log(norms[2] / norms[1]) / (taken[2] - taken[1])
    return np.asarray(np.expm1(logs) / eta)
