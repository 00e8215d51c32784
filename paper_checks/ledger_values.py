"""What all forms of the ledger show: counts of verdicts, noticed faults, numbers for a reader."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from paper_checks.claim import Verdict
from paper_checks.faults import FAULTS
from paper_checks.runner import Row

PAPER = "arXiv:2511.06686"
SYMBOLS = {
    "f_mm": "the multi-modal loss, that of the joint prediction",
    "f_k, f_k*": "the uni-modal loss of modality k, and the best that any regression on x_k alone "
    "can do",
    "gap_k": "f_k - f_k*, or with an estimate in the place of f_k*",
    "g_mu": "the smoothed maximum of the gaps, mu log sum_k exp(gap_k / mu)",
    "sigma_k": "MIMO's weights of the modalities, the softmax of gap / mu",
    "F": "MIMO's objective f_mm + lam g_mu, with the penalty lam and the smoothing mu",
    "W_k, V_k, U_k": "encoder of modality k, its block of the joint head, its uni-modal head",
    "S_kl, C_k": "the moments E[x_k x_l^T] and E[y x_k^T]",
    "M_k, N_k": "modality k's part of the best joint map, and its best map alone",
    "A, B": "the modality with the larger |C_k|, which joint training learns first, and the other",
    "superficial preference": "|C_A| > |C_B|, but B explains more of y alone",
    "lam*": "the penalty above which MIMO learns the most explaining modality first",
    "K, m, d, h": "number of modalities, outputs, inputs of a modality, and hidden units",
    "u0, eta": "size of the initial weights, and step size; flow time is eta times steps",
    "t_A, t_B": "half-times: when |W_k|^2 passes half of its final value",
    "L, L_mm, L_k, l_k": "bounds on the curvature of F, f_mm and f_k, and on the slope of f_k",
}


def notices(name: str) -> list[str]:
    """The planted faults that the claim called `name` is known to notice.

    `tests/paper_checks/test_faults.py` makes sure that it does.
    """
    return [fault.what for fault in FAULTS if name in fault.caught_by]


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """Verdict -> number of rows, for the verdicts that occur."""
    found = {}
    for verdict in Verdict:
        number = sum(row.evidence.verdict == verdict for row in rows)
        if number:
            found[str(verdict)] = number
    return found


def storable(value: Any) -> Any:
    """A value of the evidence as JSON can store it: NaN as null, infinity as a word."""
    if isinstance(value, dict):
        return {name: storable(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [storable(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def number(value: Any) -> str:
    """A value of the evidence for a reader: four digits, and lists and dicts as one line."""
    if isinstance(value, dict):
        return "; ".join(f"{name}: {number(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(number(part) for part in value)
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
