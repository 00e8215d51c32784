"""Claims about the paper's data sets: are the data here, and what would decide the claim?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from paper_checks.claim import Evidence, Verdict

VARIABLE = "MIMO_SIM_DATA"  # names a folder with one sub-folder for each data set
BENCHMARKS = ("CREMA-D", "UR-Funny", "Kinetics-Sounds", "VGGSound", "AV-MNIST", "CMU-MOSEI", "AVE")


def _plain(name: str) -> str:
    """The letters and digits of a name, in lower case."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def present(names: Sequence[str]) -> list[str]:
    """The data sets that have a non-empty folder of their name where VARIABLE points.

    Upper and lower case, and punctuation, make no difference.
    """
    root = os.environ.get(VARIABLE)
    if not root or not Path(root).is_dir():
        return []
    folders = [path for path in Path(root).iterdir() if path.is_dir()]
    filled = {_plain(path.name) for path in folders if any(path.iterdir())}
    return [name for name in names if _plain(name) in filled]


def look(names: Sequence[str], decides: str) -> Evidence:
    """The verdict "needs data" while a data set is missing, else "open": nobody has trained yet."""
    there = present(names)
    missing = [name for name in names if name not in there]
    if os.environ.get(VARIABLE):
        found = f"{len(there)} of {len(names)} data sets found under ${VARIABLE}"
    else:
        found = f"${VARIABLE} is not set"
    return Evidence(
        verdict=Verdict.NEEDS_DATA if missing else Verdict.OPEN,
        words=f"{found[0].upper()}{found[1:]}. What would decide it: {decides}.",
        numbers={"present": there, "missing": missing},
    )
