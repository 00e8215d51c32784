"""Statistics of many runs, some of which may not have finished.

Rank statistics say how well a score tells apart the problems where MIMO helps. Their arrays are
(..., n): n problems along the last axis, any number of resamples before it.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from scipy.stats import rankdata

from mimo_sim._checks import FloatArray
from mimo_sim.errors import UnconvergedWarning

COARSE = 20  # a half-time below so many steps is known to no more than a twentieth
Bools = np.ndarray[Any, np.dtype[np.bool_]]


def area_under_curve(scored: FloatArray, helps: Bools) -> FloatArray:
    """Probability that a problem where MIMO helps has a higher score than one where it does not.

    Ties count half. The result (...) is NaN where all problems are of one kind.
    """
    positive = helps.sum(-1)
    pairs = positive * (helps.shape[-1] - positive)
    above = np.sum(rankdata(scored, axis=-1) * helps, axis=-1) - positive * (positive + 1) / 2
    return np.asarray(np.where(pairs > 0, above / np.maximum(pairs, 1), np.nan))


def balanced_accuracy(said: Bools, helps: Bools) -> FloatArray:
    """Mean of two hit rates (...): where MIMO helps, and where it does not."""
    positive = helps.sum(-1)
    negative = helps.shape[-1] - positive
    with np.errstate(invalid="ignore"):
        found, spared = (said & helps).sum(-1) / positive, (~said & ~helps).sum(-1) / negative
        return np.asarray((found + spared) / 2)


def best_threshold(scored: FloatArray, helps: Bools) -> float:
    """The threshold with the best :func:`balanced_accuracy` of "a higher score means it helps".

    Midpoints between neighbouring scores (n,) are tried; of equally good ones the lowest is taken.
    Without scores there is none, and the result is NaN.
    """
    if len(scored) == 0:
        return math.nan
    values = np.unique(scored)
    midpoints = (values[1:] + values[:-1]) / 2 if len(values) > 1 else values
    said = scored > midpoints[:, None]
    accuracy = balanced_accuracy(said, np.broadcast_to(helps, said.shape))
    return float(midpoints[np.argmax(accuracy)])


def rank_correlation(first: FloatArray, second: FloatArray) -> FloatArray:
    """Spearman's coefficient (...); NaN where one side is constant or nothing is there."""
    if first.shape[-1] == 0:
        return np.full(first.shape[:-1], np.nan)
    ranks = [rankdata(values, axis=-1) for values in (first, second)]
    a, b = (rank - rank.mean(-1, keepdims=True) for rank in ranks)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sum(a * b, -1) / np.sqrt(np.sum(a * a, -1) * np.sum(b * b, -1)))


def mean(values: np.ndarray) -> float:
    """The mean of all values; NaN of none."""
    return float(np.mean(values)) if values.size else math.nan


def median(values: np.ndarray) -> float:
    """The median of all values; NaN of none."""
    return float(np.median(values)) if values.size else math.nan


def correlation(first: FloatArray, second: FloatArray) -> float:
    """Pearson's coefficient; NaN where one side is constant or there are fewer than two values."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(np.corrcoef(first, second)[0, 1])


def interval(values: FloatArray) -> list[float]:
    """Between which two of the resampled values 95 % of the finite ones lie; NaN of none."""
    finite = values[np.isfinite(values)]
    return np.quantile(finite, (0.025, 0.975)).tolist() if len(finite) else [math.nan, math.nan]


def check_finished(half_times: FloatArray, steps: int) -> None:
    """Warn where half-times (N, K) in steps are missing or coarse; raise where all are missing."""
    missing = int((~np.isfinite(half_times)).any(1).sum())
    words = f"of {len(half_times)} runs learned both modalities in {steps} steps. Raise `steps`"
    if missing == len(half_times):
        raise ValueError(f"None {words}, or lower `init_scale`.")
    if missing:
        words = f"Only {len(half_times) - missing} {words}, or lower `init_scale`."
    elif half_times.min() < COARSE:
        words = f"The earliest half-time is step {half_times.min():g}, too few for ratios of times."
        words += " Raise `steps`."
    else:
        return
    warnings.warn(words, UnconvergedWarning, stacklevel=3)
