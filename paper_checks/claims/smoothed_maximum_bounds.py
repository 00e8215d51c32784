"""The smoothed maximum lies between the maximum and the maximum plus mu log K."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.search import counterexample

CLAIM = Claim(
    id="smoothed-maximum-bounds",
    topic="2 Smoothed maximum",
    says="max_k gap_k <= g_mu <= max_k gap_k + mu log K for every mu > 0.",
    source="[MIMO] Sec. 3.2, definition of g_mu",
    assumptions="Finite gaps; K >= 1.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

ROUND_OFF = 1e-12  # relative to the largest number involved

# Gaps and mu.
CASES = st.tuples(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6), st.floats(1e-3, 1e3))


def excess(case: tuple[list[float], float]) -> tuple[float, float]:
    """How far g_mu lies above the maximum, and the largest distance allowed."""
    gaps, mu = case
    above = float(ms.objective.smoothed_maximum(gaps, mu)) - max(gaps)
    return above, mu * float(np.log(len(gaps)))


def violates(case: tuple[list[float], float]) -> bool:
    """Whether either bound fails by more than round-off."""
    gaps, mu = case
    above, allowed = excess(case)
    slack = ROUND_OFF * (max(map(abs, gaps)) + mu * len(gaps))
    return not -slack <= above <= allowed + slack


def check(draws: int) -> Evidence:
    """Search gaps over twelve orders of magnitude for a case outside the bounds.

    Equal gaps must attain the upper bound.
    """
    found = counterexample(CASES, violates, draws)
    attained = [excess(([0.3] * K, 0.1)) for K in range(2, 7)]
    tight = max(abs(above - allowed) for above, allowed in attained)
    holds = found is None and tight < ROUND_OFF
    example = Counterexample.shown_by(
        f"gaps, mu = {found}",
        "import mimo_sim as ms",
        f"print(ms.objective.smoothed_maximum(*{found}))",
    )
    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"No case among {draws} leaves the bounds. With equal gaps the upper bound is "
        f"attained to {tight:.1e}.",
        numbers={"draws": draws, "largest distance from mu log K at equal gaps": tight},
        counterexample=None if holds else example,
    )
