"""Claims that only training on the paper's data sets can decide: what is there, and what would decide them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from paper_checks.claim import Evidence, Verdict

VARIABLE = "MIMO_SIM_DATA"  # folder with one sub-folder per data set
BENCHMARKS = ("CREMA-D", "UR-Funny", "Kinetics-Sounds", "VGGSound", "AV-MNIST", "CMU-MOSEI", "AVE")


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def present(names: Sequence[str]) -> list[str]:
    """Those of `names` with a non-empty folder of that name (case and punctuation aside) under the folder that VARIABLE names."""
    root = os.environ.get(VARIABLE)
    folders = (
        [path for path in Path(root).iterdir() if path.is_dir()]
        if root and Path(root).is_dir()
        else []
    )
    filled = {_plain(path.name) for path in folders if any(path.iterdir())}
    return [name for name in names if _plain(name) in filled]


def look(names: Sequence[str], decides: str) -> Evidence:
    """Needs data while any of `names` is missing; open when all are there and nobody has trained on them."""
    there = present(names)
    missing = [name for name in names if name not in there]
    found = (
        f"{len(there)} of {len(names)} data sets found under ${VARIABLE}"
        if os.environ.get(VARIABLE)
        else f"${VARIABLE} is not set"
    )
    return Evidence(
        Verdict.NEEDS_DATA if missing else Verdict.OPEN,
        f"{found[0].upper()}{found[1:]}. It would be decided by {decides}.",
        {"present": there, "missing": missing},
    )
