"""Every claim of arXiv:2511.06686 about its toy and its algorithm, as a check with a verdict.

One file in `paper_checks/claims/` is one claim, and one row of the ledger. A new file is found by
itself. `mimo-sim check` runs the checks, and so do the tests in `tests/paper_checks/`.
"""

from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.runner import Row, discover, run_claims

__all__ = ["Claim", "Counterexample", "Evidence", "Row", "Verdict", "discover", "run_claims"]
