"""How well a score tells apart the problems where MIMO helps: rank statistics.

Arrays are (..., n): n problems along the last axis, any number of resamples before it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata

from mimo_sim._checks import FloatArray

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
    """
    values = np.unique(scored)
    midpoints = (values[1:] + values[:-1]) / 2 if len(values) > 1 else values
    said = scored > midpoints[:, None]
    accuracy = balanced_accuracy(said, np.broadcast_to(helps, said.shape))
    return float(midpoints[np.argmax(accuracy)])


def rank_correlation(first: FloatArray, second: FloatArray) -> FloatArray:
    """Spearman's coefficient (...); NaN where one side is constant."""
    ranks = [rankdata(values, axis=-1) for values in (first, second)]
    a, b = (rank - rank.mean(-1, keepdims=True) for rank in ranks)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sum(a * b, -1) / np.sqrt(np.sum(a * a, -1) * np.sum(b * b, -1)))
