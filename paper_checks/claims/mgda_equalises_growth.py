"""MGDA over the whole network grows all encoders at one rate."""

from __future__ import annotations

import math

import numpy as np

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.rule_growth import ALLOWED, SCALARS, measurable, measured_rates
from paper_checks.search import counterexample

CLAIM = Claim(
    id="mgda-equalises-growth",
    topic="14 Rules of the field",
    says="From small weights, MGDA over all parameters grows every encoder at the same rate r, "
    "however much each modality correlates with the target. With p the weight of f_mm, r/p solves "
    "sum_k ((r/p)^2 / |C_k|^2 - 1)^(-1/2) = 1.",
    source="this project's theory of MGDA (Desideri 2012; Sener and Koltun, NeurIPS 2018) in the "
    "toy",
    assumptions="K + 1 objectives: f_mm and all f_k, heads trained. Every modality correlates with "
    "the target. Initial weights of one size.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

FIGURE_1 = ms.generators.superficial_preference()


def check(draws: int) -> Evidence:
    """Search problems of two or three scalar inputs for a rate that differs from r."""
    seen: list[float] = []

    def differs(problem: ms.LateFusionProblem) -> bool:
        if not measurable(problem):
            return False
        law = ms.theory.rule_growth_rates(problem, ms.MGDA())
        error = float(np.abs(measured_rates(problem, ms.MGDA()) / law - 1).max())
        seen.append(error)
        return not error <= ALLOWED

    found = counterexample(SCALARS, differs, draws)
    figure1 = measured_rates(FIGURE_1, ms.MGDA())
    sizes = ms.theory.correlations(FIGURE_1)
    enough = len(seen) >= draws // 4
    example = Counterexample.shown_by(
        "too few problems were measurable" if found is None else f"{found!r}",
        "import numpy as np, mimo_sim as ms",
        "p = ms.generators.superficial_preference()",
        "run = ms.simulate(p, ms.MGDA(), init_scale=1e-12, step_size=5e-3, steps=6000, "
        "record_every=3000)",
        "print(np.diff(np.log(run.encoder_norm.values), axis=0) / 15, "
        "ms.theory.rule_growth_rates(p, ms.MGDA()))",
    )
    holds = found is None and enough
    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"On {len(seen)} random problems the measured rates differ from r by at most "
        f"{max(seen, default=math.nan):.1e}, relatively. On the Figure 1 problem |C| is "
        f"{sizes[0]:.2f} : {sizes[1]:.2f} and the rates are {figure1[0]:.4f} : {figure1[1]:.4f}.",
        numbers={
            "problems measured": len(seen),
            "largest relative difference": max(seen, default=math.nan),
            "rates on the Figure 1 problem": figure1.tolist(),
        },
        counterexample=None if holds else example,
    )
