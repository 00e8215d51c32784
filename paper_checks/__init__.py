"""Every claim of arXiv:2511.06686 about its toy and its algorithm as an executable check with a verdict.

One file in `paper_checks/claims/` is one claim is one row of the ledger; a new file is found by itself. Run them with `mimo-sim check` or
`pytest paper_checks`.
"""

from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.runner import Row, discover, run_claims

__all__ = ["Claim", "Counterexample", "Evidence", "Row", "Verdict", "discover", "run_claims"]
