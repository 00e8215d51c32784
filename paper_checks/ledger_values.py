"""What all forms of the ledger show: counts of verdicts, noticed faults, numbers for a reader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paper_checks.claim import Verdict
from paper_checks.faults import FAULTS
from paper_checks.runner import Row

PAPER = "arXiv:2511.06686"


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
