"""MIMO outperforms on the seven benchmarks."""

from __future__ import annotations

from paper_checks.claim import Claim, Evidence, Verdict
from paper_checks.datasets import BENCHMARKS, look

CLAIM = Claim(
    id="outperforms-on-seven-benchmarks",
    topic="13 Other sentences",
    says="MIMO's joint test accuracy is above that of vanilla training, OGM-GE and MGDA on all "
    "seven multi-modal benchmarks.",
    source="[MIMO] Sec. 4 (summary: key results)",
    assumptions="Same encoders, splits, optimiser and budget for every method.",
    how="not checkable here",
    recorded=Verdict.NEEDS_DATA,
)

DECIDES = (
    "MIMO, joint training, OGM-GE and MGDA trained on each data set with at least 5 seeds, "
    "hyper-parameters chosen on validation data, and paired differences of test accuracy with "
    "their intervals"
)


def check(draws: int) -> Evidence:
    """Whether the data are here. Nothing is drawn."""
    return look(BENCHMARKS, DECIDES)
