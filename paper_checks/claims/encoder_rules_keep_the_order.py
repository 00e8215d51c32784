"""Rules that weigh the two gradients of one encoder leave the order of growth as it is."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.rule_growth import ALLOWED, SCALARS, measurable, measured_rates
from paper_checks.search import counterexample

CLAIM = Claim(
    id="encoder-rules-keep-the-order",
    topic="14 Rules of the field",
    says="A rule that weighs the two gradients of an encoder by their lengths and angle alone "
    "(MGDA, PCGrad, CAGrad, MMPareto per encoder) multiplies the growth rates |C_k| of joint "
    "training by one factor for all modalities. So it cannot change which encoder grows fastest, "
    "nor the ratio of the rates.",
    source="this project's theory of these rules in the toy",
    assumptions="Every head follows its own loss. Small initial weights. Along the mode that grows "
    "the two gradients of an encoder become equal, so all that counts is the sum of the weights.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

RULES: tuple[ms.rules.Rule, ...] = (
    ms.MGDA(scope="encoder"),
    ms.PCGrad(scope="encoder"),
    ms.CAGrad(),
    ms.MMPareto(),
)
FIGURE_1 = ms.generators.superficial_preference()


def factor(problem: ms.LateFusionProblem, rule: ms.rules.Rule) -> np.ndarray:
    """(K,) measured rates over those of joint training."""
    return measured_rates(problem, rule) / ms.theory.correlations(problem)


def check(draws: int) -> Evidence:
    """Search problems for a rule with different factors, or another factor than the law's."""
    seen: list[float] = []

    def differs(case: tuple[ms.LateFusionProblem, ms.rules.Rule]) -> bool:
        problem, rule = case
        if not measurable(problem):
            return False
        law = ms.theory.rule_growth_rates(problem, rule) / ms.theory.correlations(problem)
        own = slowest_aligned(problem)
        error = float(np.abs(factor(problem, rule) / law - 1)[own].max())
        seen.append(error)
        return not error <= ALLOWED

    found = counterexample(st.tuples(SCALARS, st.sampled_from(RULES)), differs, draws)
    factors = {type(rule).__name__: factor(FIGURE_1, rule).tolist() for rule in RULES}
    holds = found is None and len(seen) >= draws // 4
    example = Counterexample.shown_by(
        "too few problems were measurable" if found is None else f"{found!r}",
        "import numpy as np, mimo_sim as ms",
        "p = ms.generators.superficial_preference()",
        "run = ms.simulate(p, ms.MMPareto(), init_scale=1e-12, step_size=1e-3, steps=4000, "
        "record_every=2000)",
        "print(np.diff(np.log(run.encoder_norm.values), axis=0) / 2, "
        "ms.theory.rule_growth_rates(p, ms.MMPareto()))",
    )
    told = ", ".join(
        f"{name} {values[0]:.4f} : {values[1]:.4f}" for name, values in factors.items()
    )
    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"In {len(seen)} random cases the measured factors differ from the law by at most "
        f"{max(seen, default=math.nan):.1e}, relatively. On the Figure 1 problem the factors of "
        f"the two encoders are: {told}.",
        numbers={
            "cases measured": len(seen),
            "largest relative difference": max(seen, default=math.nan),
            "factors on the Figure 1 problem": factors,
        },
        counterexample=None if holds else example,
    )


def slowest_aligned(problem: ms.LateFusionProblem) -> np.ndarray:
    """Which modalities have grown enough for their mode to be alone, by half of the run."""
    sizes = ms.theory.correlations(problem)
    return np.asarray(sizes > sizes.max() / 3)
