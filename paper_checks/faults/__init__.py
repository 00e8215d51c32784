"""Do the checks notice errors? Faults are planted in the package, one at a time, to find out.

A claim notices a fault when its verdict is no longer the recorded one, or when its runs diverge.
`python -m paper_checks.faults` plants every fault and prints who noticed it.
"""

from __future__ import annotations

import numpy as np

import mimo_sim as ms
from paper_checks.caches import clear_caches
from paper_checks.faults._engine import ENGINE
from paper_checks.faults._fault import Fault
from paper_checks.faults._objective import OBJECTIVE
from paper_checks.faults._theory import THEORY
from paper_checks.runner import discover, run_claim

FAULTS = [*OBJECTIVE, *ENGINE, *THEORY]

__all__ = ["FAULTS", "Fault", "noticed"]


def noticed(fault: Fault, claims: tuple[str, ...], draws: int) -> list[str]:
    """The claims, among these ids, that notice the fault when they are checked with `draws` cases.

    Any error other than divergence is raised: it is a defect of the fault or of the check.
    """
    modules = discover()
    found = []
    for name in claims:
        clear_caches()
        try:
            with fault.plant(), np.errstate(all="ignore"):
                as_recorded = run_claim(modules[name], draws).as_recorded
        except ms.DivergenceError:
            as_recorded = False
        finally:
            clear_caches()
        if not as_recorded:
            found.append(name)
    return found
