"""Little to gain on UR-Funny."""

from __future__ import annotations

from paper_checks.claim import Claim, Evidence, Verdict
from paper_checks.datasets import look

CLAIM = Claim(
    id="modest-gain-on-ur-funny",
    topic="13 Other sentences",
    says="On UR-Funny joint training works reasonably well and MIMO gains little, because the "
    "conditions for imbalance do not hold there.",
    source="[MIMO] Sec. 4 (summary: open question 2)",
    assumptions="The conditions are those of superficial preference, on the features used.",
    how="not checkable here",
    recorded=Verdict.NEEDS_DATA,
)

DECIDES = (
    "what `mimo-sim diagnose` says of its features before training (|C_k|, what each modality "
    "explains, lam*), next to MIMO's test accuracy minus joint training's, over at least 5 seeds"
)


def check(draws: int) -> Evidence:
    """Whether the data are here. Nothing is drawn."""
    return look(("UR-Funny",), DECIDES)
