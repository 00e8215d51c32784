"""Confidence intervals. They are the same every time, because their random numbers are."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

# For two-sided 95% intervals. A decision that looks at one end is wrong in at most 2.5% of cases.
Z95 = 1.959964
RESAMPLES = 2000


def wilson(successes: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval for a proportion (E. B. Wilson, JASA 1927)."""
    if n == 0:
        return 0.0, 1.0
    p, scale = successes / n, 1 + z**2 / n
    middle, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return max((middle - half) / scale, 0.0), min((middle + half) / scale, 1.0)


def median_interval(values: npt.ArrayLike, seed: int = 0) -> tuple[float, float, float]:
    """Median and its 95% interval, by the percentile bootstrap.

    Infinite values are allowed. Without any value, all three numbers are NaN.
    """
    array = np.asarray(values, dtype=float)
    if array.size == 0:
        return math.nan, math.nan, math.nan
    rows = np.random.default_rng(seed).integers(len(array), size=(RESAMPLES, len(array)))
    medians = np.quantile(array[rows], 0.5, axis=1, method="lower")
    low, high = np.quantile(medians, (0.025, 0.975), method="nearest")
    return float(np.quantile(array, 0.5, method="lower")), float(low), float(high)


def quantile_ratio(
    top: npt.ArrayLike, bottom: npt.ArrayLike, quantile: float = 0.25, seed: int = 0
) -> tuple[float, float, float]:
    """Ratio of the same quantile of two paired samples of times, and its 95% bootstrap interval.

    The quantile is low, since a disturbance can only make a time longer: on a busy machine a low
    quantile is steadier than the median. The bootstrap draws pairs.
    """
    pair = np.asarray([top, bottom], dtype=float)
    rows = np.random.default_rng(seed).integers(pair.shape[1], size=(RESAMPLES, pair.shape[1]))
    above, below = np.quantile(pair[:, rows], quantile, axis=2)
    whole = np.quantile(pair, quantile, axis=1)
    low, high = np.quantile(above / below, (0.025, 0.975))
    return float(whole[0] / whole[1]), float(low), float(high)
