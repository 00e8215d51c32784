"""Linear scalarization keeps the order; whether it shortens the wait depends on the problem."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim.studies.race import ratio_pair
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.runs import quietly
from paper_checks.search import counterexample

CLAIM = Claim(
    id="scalarization-shortens-the-wait",
    topic="14 Rules of the field",
    says="Adding the uni-modal losses to the joint loss keeps the order in which modalities are "
    "learned, and shortens the wait t_B / t_A.",
    source="the field's baseline (Wei and Hu, ICML 2024; Huang et al., CVPR 2025), in the toy",
    assumptions="Two modalities, weight 1, tiny initialisation. The law: t_B / t_A = 1 + (|C_A| - "
    "|C_B|) sqrt(1 + w^2) / |[D; w C_B]| with D = C_B - C_A S_AA^-1 S_AB. It is shorter than joint "
    "training's exactly when |D| < |C_B|, for scalar inputs.",
    how="property-based",
    recorded=Verdict.CONDITIONAL,
)

INIT_SCALE = 1e-12
# Times of emergence (a tenth of the final norm) at this scale, against the limit. Their error
# falls like 1 / log(1 / u0); the constant is about one.
ALLOWED = 2 / math.log(1 / INIT_SCALE)
CASES: st.SearchStrategy[tuple[float, float, float]] = st.tuples(
    st.integers(12, 32).map(lambda n: n / 8),  # |C_A| / |C_B|
    st.integers(8, 24).map(lambda n: n / 8),  # explained by B over A
    st.integers(-4, 4).map(lambda n: n / 8),  # correlation of the inputs
)


def wait(problem: ms.LateFusionProblem, solver: ms.solvers.AnySolver) -> float:
    """B's time of emergence over A's; that of a run to the end."""
    eta = ms.theory.default_step_size(problem, ms.LinearScalarization())
    end = 1.5 * ms.theory.learning_times(problem, INIT_SCALE).max()
    run = quietly(problem, solver, step_size=eta, steps=int(end / eta), init_scale=INIT_SCALE)
    parts = run.encoder_norm.values / run.encoder_norm.values[-1]
    first = (parts >= 0.1).argmax(axis=0)
    return float(first[1] / first[0])


def check(draws: int) -> Evidence:
    """Simulated waits of both against the law, on which side of joint training they should be."""
    errors: list[float] = []
    shorter = longer = same = 0

    def differs(case: tuple[float, float, float]) -> bool:
        nonlocal shorter, longer, same
        problem = ratio_pair(*case)
        joint, summed = wait(problem, ms.Vanilla()), wait(problem, ms.LinearScalarization())
        law = ms.theory.scalarization_time_ratio(problem)
        errors.append(abs(summed / law - 1))
        limit = ms.theory.time_ratio(problem)
        if case[2] == 0:
            same += 1
            right = abs(summed / joint - 1) < ALLOWED / 2
        elif law < limit:
            shorter += 1
            right = summed < joint
        else:
            longer += 1
            right = summed > joint
        return not (right and summed > 1 and errors[-1] <= ALLOWED)

    found = counterexample(CASES, differs, draws)
    seen = shorter and longer and same
    conditional = found is None and bool(seen)
    orthogonal = [
        wait(ratio_pair(2.25, 16 / 9, 0.0), solver)
        for solver in (ms.Vanilla(), ms.LinearScalarization())
    ]
    example = Counterexample.shown_by(
        "uncorrelated inputs: the wait of the Figure 1 problem is the same; for rho = -0.5 it is "
        "longer"
        if conditional
        else f"the law fails at {found!r}",
        "import mimo_sim as ms",
        "from mimo_sim.studies.race import ratio_pair",
        "print([[round(f(ratio_pair(2.25, 16 / 9, rho)), 3) for f in (ms.theory.time_ratio, "
        "ms.theory.scalarization_time_ratio)] for rho in (-0.5, 0.0, 0.5)])",
    )
    return Evidence(
        verdict=Verdict.CONDITIONAL if conditional else Verdict.REFUTED,
        words=f"A was first in all {len(errors)} problems. The wait was shorter than joint "
        f"training's in all {shorter} where |D| < |C_B|, longer in all {longer} where |D| > |C_B|, "
        f"and the same in all {same} with uncorrelated inputs (Figure 1: {orthogonal[0]:.3f} and "
        f"{orthogonal[1]:.3f}). The law's error was at most {max(errors):.1%} at u0 = "
        f"{INIT_SCALE:g}."
        if conditional
        else f"The law fails at {found!r}.",
        numbers={
            "problems": len(errors),
            "shorter, longer, same": [shorter, longer, same],
            "largest relative error of the law": float(np.max(errors)),
            "Figure 1: joint training and linear scalarization": orthogonal,
        },
        counterexample=example,
    )
