"""The target on CREMA-D."""

from __future__ import annotations

from paper_checks.claim import Claim, Evidence, Verdict
from paper_checks.datasets import look

CLAIM = Claim(
    id="crema-d-target",
    topic="13 Other sentences",
    says="On CREMA-D MIMO reaches about 75% joint test accuracy with about 4 points between the uni-modal accuracies.",
    source="[MIMO] Sec. 4 (summary: second experiment)",
    assumptions="ResNet-18 audio and visual encoders from scratch; uni-modal accuracy is that of the trained uni-modal heads.",
    how="not checkable here",
    recorded=Verdict.NEEDS_DATA,
)

DECIDES = (
    "the mean over at least 5 seeds of joint accuracy and of |audio - visual accuracy| on the test split, with intervals that contain "
    "or exclude 75% and 4 points"
)


def check(draws: int) -> Evidence:
    """Whether the data are here; no draws."""
    return look(("CREMA-D",), DECIDES)
