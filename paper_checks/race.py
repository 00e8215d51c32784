"""The race: methods tuned with equal budgets on real data, stored in `benchmarks/race`."""

from __future__ import annotations

import math
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / "benchmarks" / "race" / "race.csv.gz"
MIMO = "mimo-tuned"  # the published rule for f*
SEARCHED = "mimo-tuned-normalise=searched-f_star=searched"  # chosen on validation, as lam and mu
JOINT, PLAIN_SUM, OGM_GE = "vanilla-tuned", "linear_scalarization-tuned", "ogm_ge-tuned"

Lead = tuple[float, float, int]  # mean, half the width of its 95 % interval, seeds


def leads(method: str, over: str) -> dict[str, Lead]:
    """Test accuracy of one method minus another's in points, on every setting where both were run.

    Differences are taken seed by seed. The result is empty where the file is missing, as it is for
    an installed package.
    """
    if not FILE.is_file():
        return {}
    from mimo_sim import benchmark

    runs = benchmark.read(FILE)
    if over not in {run.method for run in runs}:
        return {}
    return {
        row.dataset.replace("-", " ", 1): (
            100 * row.difference,
            100 * row.difference_half_width,
            row.pairs,
        )
        for row in benchmark.summary(runs, over)
        if row.method == method and row.metric == "accuracy" and row.pairs > 1
    }


def above(lead: Lead) -> bool:
    """Whether the whole interval is above zero."""
    return lead[0] - lead[1] > 0


def told(found: dict[str, Lead]) -> str:
    """The leads in words: ``+3.5 ± 1.1 points on grid -10``."""
    return ", ".join(
        f"{mean:+.1f} ± {half:.1f} on {name}" for name, (mean, half, _) in found.items()
    )


def rounded(found: dict[str, Lead]) -> dict[str, list[float | int | None]]:
    """The leads as numbers for the ledger."""
    return {
        name: [round(mean, 2), None if math.isnan(half) else round(half, 2), seeds]
        for name, (mean, half, seeds) in found.items()
    }
