"""The headline of a 20-fold speed-up against the published times."""

from __future__ import annotations

from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.claims.subroutine_time import PUBLISHED

CLAIM = Claim(
    id="twenty-times-headline",
    topic="12 Timing",
    says="MIMO's sub-routine is about 20 times faster than MMPareto's on CREMA-D.",
    source="[MIMO] Sec. 4, Table 1 as summarised (0.037 s against 0.309 s); abstract: up to 20 times",
    assumptions="The published times, rounded to a millisecond. 'Up to 20 times' over other baselines or data sets is not "
    "contradicted: those are not known here.",
    how="arithmetic",
    recorded=Verdict.REFUTED,
)

HEADLINE = 20.0
ROUNDING = 0.0005  # seconds


def check(draws: int) -> Evidence:
    """The published ratio and the largest one that rounding of both times allows; no draws."""
    slow, fast = PUBLISHED["MMPareto"], PUBLISHED["MIMO"]
    ratio, most = slow / fast, (slow + ROUNDING) / (fast - ROUNDING)
    supported = most >= HEADLINE
    return Evidence(
        Verdict.HOLDS if supported else Verdict.REFUTED,
        f"{slow} s over {fast} s is {ratio:.1f}, at most {most:.1f} with rounding: the published CREMA-D times support {ratio:.1f} times, not {HEADLINE:g}. "
        f"For {HEADLINE:g} times the baseline would have to take {HEADLINE * fast:.2f} s a batch.",
        {
            "published ratio": ratio,
            "largest ratio within rounding": most,
            "headline": HEADLINE,
            "seconds a baseline needs for the headline": HEADLINE * fast,
        },
        None
        if supported
        else Counterexample(
            "The published times themselves", f'python -c "print({slow} / {fast})"'
        ),
    )
