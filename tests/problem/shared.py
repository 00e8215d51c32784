"""Data sets that the tests of problems share."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

import mimo_sim as ms

FIGURE_1 = ms.generators.superficial_preference()
SEEDS = st.integers(0, 10_000)
SIZES = st.lists(st.integers(1, 3), min_size=1, max_size=4)


def data_set(seed: int, dims: list[int], m: int, n: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Correlated inputs with a mean, and targets that they explain in part."""
    rng = np.random.default_rng(seed)
    stacked = (
        rng.standard_normal((n, sum(dims))) @ rng.standard_normal((sum(dims), sum(dims))) + 0.3
    )
    y = stacked @ rng.standard_normal((sum(dims), m)) + rng.standard_normal((n, m))
    return np.split(stacked, np.cumsum(dims)[:-1], axis=1), y


def least_squares(x: np.ndarray, y: np.ndarray) -> float:
    return 0.5 * float(np.mean(np.sum((y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) ** 2, axis=1)))
