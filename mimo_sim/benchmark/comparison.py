"""Finished runs compared: mean and 95 % interval over seeds, and differences to a baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mimo_sim.benchmark.provenance import (
    doubt,
    doubtful_searches,
    origins_of_rows,
    told_origins,
)
from mimo_sim.benchmark.records import FinishedRun
from mimo_sim.benchmark.wording import OF_TRAINING, TUNED, default_name

LEVEL = 0.95
ROUND_OFF = 1e-12  # values that differ by less than this share of their size are equal


@dataclass(frozen=True)
class Row:
    """One metric of one method on one data set.

    Attributes
    ----------
    dataset, split, method, metric : str
    n : int
        Number of seeds.
    mean, half_width : float
        Mean over seeds, and half the width of its 95 % interval; nan as in :func:`interval`.
    pairs : int
        Number of seeds that the method shares with the baseline; 0 for the baseline itself.
    difference, difference_half_width : float
        The same of the differences to the baseline, taken seed by seed; nan without pairs.
    origin : str
        The revisions of the code that made the runs, joined by a plus sign.
    mixed : bool
        Whether that is not one committed code.
    """

    dataset: str
    split: str
    method: str
    metric: str
    n: int
    mean: float
    half_width: float
    pairs: int
    difference: float
    difference_half_width: float
    origin: str
    mixed: bool


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval by Student's t.

    The half-width is nan for one value, and for values that are all equal: neither shows how much
    they scatter. By the formula an interval over two equal values has no width. But two shares of
    a few hundred samples are often equal by chance, so such an interval would claim a certainty
    that is not there. Without values the mean is nan too.

    Examples
    --------
    >>> mean, half = interval([1.0, 2.0, 3.0])
    >>> mean, round(half, 3)  # 4.303 / sqrt(3)
    (2.0, 2.484)
    """
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    n = len(values)
    if n == 0:
        return math.nan, math.nan
    mean = float(np.mean(values))
    if np.ptp(values) <= ROUND_OFF * np.max(np.abs(values)):  # one value, or equal ones
        return mean, math.nan
    quantile = stdtrit(n - 1, (1 + LEVEL) / 2)
    return mean, float(quantile * np.std(values, ddof=1) / math.sqrt(n))


def summary(
    runs: Sequence[FinishedRun], baseline: str = "vanilla", split: str = "test"
) -> list[Row]:
    """One row for every metric of every method on every data set.

    Parameters
    ----------
    runs : sequence of FinishedRun
    baseline : str
        Method that the differences are taken to.
    split : {"test", "validation"}
        Choose by the validation split; report the test split.

    Raises
    ------
    ValueError
        For another split, or if no run is of the baseline. ``"vanilla"`` may be missing.
    """
    methods = {run.method for run in runs}
    if baseline not in methods and baseline != "vanilla":
        raise ValueError(f"`baseline` must be one of {tuple(sorted(methods))}. Got {baseline!r}.")
    values: dict[tuple[str, str, str], dict[int, float]] = {}
    for run in runs:
        for metric, value in run.metrics(split).items():
            values.setdefault((run.dataset, run.method, metric), {})[run.seed] = value
    made_by = origins_of_rows(runs)
    rows = []
    for (dataset, method, metric), by_seed in values.items():
        reference: dict[int, float] = {}
        if method != baseline:
            reference = values.get((dataset, baseline, metric), {})
        differences = [
            value - reference[seed] for seed, value in by_seed.items() if seed in reference
        ]
        mean, half_width = interval(list(by_seed.values()))
        difference, difference_half_width = interval(differences)
        rows.append(
            Row(
                dataset=dataset,
                split=split,
                method=method,
                metric=metric,
                n=len(by_seed),
                mean=mean,
                half_width=half_width,
                pairs=len(differences),
                difference=difference,
                difference_half_width=difference_half_width,
                origin=" + ".join(map(str, made_by[dataset, method])),
                mixed=bool(doubt(made_by[dataset, method])),
            )
        )
    return rows


@dataclass(frozen=True)
class TunedRow:
    """A tuned method beside its defaults, over the seeds that both were trained on.

    Attributes
    ----------
    dataset, method : str
        The method as its defaults are called; ``f_star=searched`` says what was searched on demand.
    pairs : int
        Number of seeds.
    default, tuned : (float, float)
        Mean and half-width of the accuracy (regression: the mean squared error).
    gain, lead : (float, float)
        The same of tuned minus default, and of tuned minus the tuned baseline, seed by seed.
    tuning : dict
        Budget, chosen values and their validation score, from the records.
    """

    dataset: str
    method: str
    pairs: int
    default: tuple[float, float]
    tuned: tuple[float, float]
    gain: tuple[float, float]
    lead: tuple[float, float]
    tuning: dict[str, Any]


def tuned_rows(
    runs: Sequence[FinishedRun], baseline: str = "vanilla", split: str = "test"
) -> list[TunedRow]:
    """Every tuned method beside its defaults, data set by data set, the best tuned one first.

    The baseline may be named as its defaults or as its tuned runs are: both mean the tuned ones.
    """
    baseline = baseline.replace(TUNED, "", 1)
    values: dict[tuple[str, str], dict[int, float]] = {}
    tuning: dict[tuple[str, str], dict[str, Any]] = {}
    for run in runs:
        metrics = run.metrics(split)
        score = metrics.get("accuracy", metrics.get("mse", math.nan))
        values.setdefault((run.dataset, run.method), {})[run.seed] = score
        if "tuning" in run.result["config"]:
            tuning[run.dataset, run.method] = run.result["config"]["tuning"]
    rows = []
    for (dataset, name), about in tuning.items():
        method = name.replace(TUNED, "", 1)
        tuned, default = values[dataset, name], values.get((dataset, default_name(name)), {})
        first = values.get((dataset, tuned_name(baseline)), {})
        shared = sorted(tuned.keys() & default.keys())
        led = sorted(tuned.keys() & first.keys()) if method != baseline else []
        rows.append(
            TunedRow(
                dataset,
                method,
                len(shared),
                interval([default[seed] for seed in shared]),
                interval([tuned[seed] for seed in shared or tuned]),
                interval([tuned[seed] - default[seed] for seed in shared]),
                interval([tuned[seed] - first[seed] for seed in led]),
                about,
            )
        )
    smaller_is_better = {run.dataset for run in runs if "accuracy" not in run.metrics(split)}
    sign = {row.dataset: 1 if row.dataset in smaller_is_better else -1 for row in rows}
    return sorted(rows, key=lambda row: (row.dataset, sign[row.dataset] * row.tuned[0]))


def tuned_name(method: str) -> str:
    """What a tuned run of a method is called: ``mimo-tuned-f_star=zero``."""
    base, hyphen, given = method.partition("-")
    return f"{base}{TUNED}{hyphen}{given}"


def unequal_budgets(runs: Sequence[FinishedRun]) -> list[str]:
    """One line for every data set whose tuned methods had different numbers of trials."""
    lines = []
    for dataset in dict.fromkeys(run.dataset for run in runs):
        spent: dict[str, dict[str, None]] = {}
        for run in runs:
            about = run.result["config"].get("tuning")
            if about and run.dataset == dataset:
                words = f"{about['trials']} trials of {len(about['trial_seeds'])} seeds"
                spent.setdefault(words, {})[run.method] = None
        if len(spent) > 1:
            said = "; ".join(f"{words} for {', '.join(names)}" for words, names in spent.items())
            lines.append(f"{dataset}: not tuned alike, {said}")
    return lines


def rows_by_name(rows: Sequence[Row]) -> dict[tuple[str, str], Row]:
    """(method, metric) -> row, for the rows of one data set."""
    return {(row.method, row.metric): row for row in rows}


def unequal_settings(runs: Sequence[FinishedRun]) -> list[str]:
    """One line for every data or training setting that differs between methods.

    What tuning chose is left out. A difference between methods that were not trained alike may
    come from the setting.
    """
    lines = []
    for dataset in dict.fromkeys(run.dataset for run in runs):
        last_run = {run.method: run for run in runs if run.dataset == dataset}
        methods_by_value: dict[str, dict[str, list[str]]] = {}
        for method, run in last_run.items():
            tuned = OF_TRAINING if "tuning" in run.result["config"] else ()
            for part in ("data", "settings"):
                for key, value in run.shared[part].items():
                    if key in tuned:
                        continue
                    by_value = methods_by_value.setdefault(key, {})
                    by_value.setdefault(str(value), []).append(method)
        for key, by_value in methods_by_value.items():
            if len(by_value) > 1:
                said = "; ".join(
                    f"{value} for {', '.join(methods)}" for value, methods in by_value.items()
                )
                lines.append(f"{dataset}: not trained alike, {key} is {said}")
    return lines


def caveats(runs: Sequence[FinishedRun]) -> list[str]:
    """What a reader of a comparison must know: unequal settings and budgets, and the code."""
    told = unequal_settings(runs) + unequal_budgets(runs)
    return told + doubtful_searches(runs) + told_origins(runs)


def split_suffix(rows: Sequence[Row]) -> str:
    """How names of files end that are made from these rows: nothing for the test split."""
    split = rows[0].split
    return "" if split == "test" else f"-{split}"
