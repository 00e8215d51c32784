"""How well a number tells apart two kinds of cases: rank statistics over the last axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from mimo_sim._checks import FloatArray

Bools = np.ndarray[Any, np.dtype[np.bool_]]


def area_under_curve(scored: FloatArray, helps: Bools) -> FloatArray:
    """(...,) probability that a problem where MIMO helps outscores one where it does not, ties counting half; over the last axis, NaN if a kind is missing."""
    from scipy.stats import rankdata

    positive = helps.sum(-1)
    pairs = positive * (helps.shape[-1] - positive)
    above = np.sum(rankdata(scored, axis=-1) * helps, axis=-1) - positive * (positive + 1) / 2
    return np.asarray(np.where(pairs > 0, above / np.maximum(pairs, 1), np.nan))


def balanced_accuracy(said: Bools, helps: Bools) -> FloatArray:
    """(...,) mean of the hit rates on the problems where MIMO helps and on the others, over the last axis."""
    positive = helps.sum(-1)
    with np.errstate(invalid="ignore"):
        return np.asarray(
            (
                (said & helps).sum(-1) / positive
                + (~said & ~helps).sum(-1) / (helps.shape[-1] - positive)
            )
            / 2
        )


def best_threshold(scored: FloatArray, helps: Bools) -> float:
    """The midpoint between neighbouring scores with the highest :func:`balanced_accuracy` of "above means helps"; the lowest of equals."""
    values = np.unique(scored)
    midpoints = (values[1:] + values[:-1]) / 2 if len(values) > 1 else values
    return float(
        midpoints[
            np.argmax(
                balanced_accuracy(
                    scored > midpoints[:, None],
                    np.broadcast_to(helps, (len(midpoints), len(helps))),
                )
            )
        ]
    )


def rank_correlation(first: FloatArray, second: FloatArray) -> FloatArray:
    """(...,) Spearman's coefficient over the last axis; NaN where one side is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(values, axis=-1) for values in (first, second)]
    a, b = (rank - rank.mean(-1, keepdims=True) for rank in ranks)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sum(a * b, -1) / np.sqrt(np.sum(a * a, -1) * np.sum(b * b, -1)))
