"""The target on CREMA-D."""

from __future__ import annotations

from paper_checks.claim import Claim, Evidence, Verdict
from paper_checks.datasets import look

CLAIM = Claim(
    id="crema-d-target",
    topic="13 Other sentences",
    says="On CREMA-D, MIMO reaches about 75% joint test accuracy, with about 4 points between the "
    "two uni-modal accuracies.",
    source="[MIMO] Sec. 4 (summary: second experiment)",
    assumptions="ResNet-18 encoders for sound and video, trained from scratch. Uni-modal accuracy "
    "is that of the trained uni-modal heads.",
    how="not checkable here",
    recorded=Verdict.NEEDS_DATA,
)

DECIDES = (
    "joint accuracy and |audio - visual accuracy| on the test split, as means over at least 5 "
    "seeds, with intervals that contain or exclude 75% and 4 points"
)


def check(draws: int) -> Evidence:
    """Whether the data are here. Nothing is drawn."""
    return look(("CREMA-D",), DECIDES)
