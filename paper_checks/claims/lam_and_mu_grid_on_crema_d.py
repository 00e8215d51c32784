"""The ablation of lam and mu on CREMA-D."""

from __future__ import annotations

from paper_checks.claim import Claim, Evidence, Verdict
from paper_checks.datasets import look

CLAIM = Claim(
    id="lam-and-mu-grid-on-crema-d",
    topic="13 Other sentences",
    says="On CREMA-D's validation set, lam >= 10 and mu <= 0.1 give the best trade-off between "
    "joint accuracy and the difference of the uni-modal accuracies.",
    source="[MIMO] ablation (summary: third experiment)",
    assumptions="The toy's counterpart of this claim is larger-lam-balances-more.",
    how="not checkable here",
    recorded=Verdict.NEEDS_DATA,
)

DECIDES = (
    "the 3 x 4 grid of lam and mu, trained with at least 3 seeds each, and whether the points that "
    "no other point beats in both accuracy and difference lie in that corner"
)


def check(draws: int) -> Evidence:
    """Whether the data are here. Nothing is drawn."""
    return look(("CREMA-D",), DECIDES)
