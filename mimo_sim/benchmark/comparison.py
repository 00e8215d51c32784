"""Finished runs compared: mean and 95 % interval over seeds, and paired differences to a baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mimo_sim.benchmark.records import Finished

LEVEL = 0.95


@dataclass(frozen=True)
class Row:
    """One figure of one method on one data set: mean over n seeds and half-width of its interval; the same of the differences to the baseline, seed by seed.

    Half-widths are nan for a single seed, differences where no seed is shared.
    """

    dataset: str
    split: str
    method: str
    figure: str
    n: int
    mean: float
    half_width: float
    pairs: int
    difference: float
    difference_half_width: float


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of the 95 % interval by Student's t; nan for the half-width of one value.

    Examples
    --------
    >>> mean, half = interval([1.0, 2.0, 3.0])
    >>> mean, round(half, 3)  # 4.303 / sqrt(3)
    (2.0, 2.484)
    """
    from scipy.stats import t

    n = len(values)
    if not n:
        return math.nan, math.nan
    mean = float(np.mean(values))
    return mean, float(
        t.ppf((1 + LEVEL) / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n)
    ) if n > 1 else math.nan


def summary(runs: Sequence[Finished], baseline: str = "vanilla", split: str = "test") -> list[Row]:
    """Rows for every data set, method and figure of one of the splits "validation", to choose by, and "test", to report.

    Raises
    ------
    ValueError
        For another split, or if no run is of the baseline, unless that is the default.
    """
    names = {run.method for run in runs}
    if baseline not in {"vanilla", *names}:
        raise ValueError(f"`baseline` must be one of {tuple(sorted(names))}. Got {baseline!r}.")
    values: dict[tuple[str, str, str], dict[int, float]] = {}
    for run in runs:
        for figure, value in run.figures(split).items():
            values.setdefault((run.dataset, run.method, figure), {})[run.seed] = value
    rows = []
    for (dataset, method, figure), by_seed in values.items():
        reference = values.get((dataset, baseline, figure), {}) if method != baseline else {}
        paired = [value - reference[seed] for seed, value in by_seed.items() if seed in reference]
        rows.append(
            Row(
                dataset,
                split,
                method,
                figure,
                len(by_seed),
                *interval(list(by_seed.values())),
                len(paired),
                *interval(paired),
            )
        )
    return rows


def unlike(runs: Sequence[Finished]) -> list[str]:
    """Data and training settings in which methods of one data set differ, one line each: differences between such methods are due to these too."""
    lines = []
    for dataset in dict.fromkeys(run.dataset for run in runs):
        by_value: dict[str, dict[str, list[str]]] = {}
        for run in {run.method: run for run in runs if run.dataset == dataset}.values():
            for part in ("data", "settings"):
                for key, value in run.shared[part].items():
                    by_value.setdefault(key, {}).setdefault(str(value), []).append(run.method)
        for key, values in by_value.items():
            if len(values) > 1:
                lines.append(
                    f"{dataset}: not trained alike, {key} is "
                    + "; ".join(
                        f"{value} for {', '.join(names)}" for value, names in values.items()
                    )
                )
    return lines
