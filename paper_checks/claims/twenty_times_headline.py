"""The headline of a 20-fold speed-up, against the published times."""

from __future__ import annotations

from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.claims.subroutine_time import PUBLISHED

CLAIM = Claim(
    id="twenty-times-headline",
    topic="12 Timing",
    says="MIMO's sub-routine is about 20 times faster than MMPareto's on CREMA-D.",
    source="[MIMO] Sec. 4, Table 1 as summarised (0.037 s against 0.309 s); abstract: up to 20 "
    "times",
    assumptions="The published times, rounded to a millisecond. 'Up to 20 times' over other "
    "baselines or data sets is not contradicted: those times are not known here.",
    how="arithmetic",
    recorded=Verdict.REFUTED,
)

HEADLINE = 20.0
ROUNDING = 0.0005  # seconds


def check(draws: int) -> Evidence:
    """The published ratio, and the largest one that rounding allows. Nothing is drawn."""
    slow, fast = PUBLISHED["MMPareto"], PUBLISHED["MIMO"]
    ratio, most = slow / fast, (slow + ROUNDING) / (fast - ROUNDING)
    supported = most >= HEADLINE
    needed = HEADLINE * fast
    example = Counterexample.shown_by("The published times themselves", f"print({slow} / {fast})")
    return Evidence(
        verdict=Verdict.HOLDS if supported else Verdict.REFUTED,
        words=f"{slow} s over {fast} s is {ratio:.1f}, with rounding at most {most:.1f}. So the "
        f"published times on CREMA-D support {ratio:.1f} times, not {HEADLINE:g} times. For that "
        f"the baseline would have to take {needed:.2f} s for a batch.",
        numbers={
            "published ratio": ratio,
            "largest ratio within rounding": most,
            "headline": HEADLINE,
            "seconds a baseline needs for the headline": needed,
        },
        counterexample=None if supported else example,
    )
