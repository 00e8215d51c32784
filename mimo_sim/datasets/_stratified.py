"""Random splits that keep the shares of the classes, draw by draw those of scikit-learn.

``sklearn.model_selection.train_test_split`` gives the same rows. But it takes nearly three seconds
to import, and a new version of it could draw other rows under the same seed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.intp]


def split_rows(labels: npt.NDArray[Any], share: float, seed: int) -> tuple[Rows, Rows]:
    """The rows of both parts of a stratified split, each in random order.

    Parameters
    ----------
    labels : array (n,)
        The class of every row.
    share : float
        Size of the second part as a share of n, rounded up to whole rows.
    seed : int
        Of NumPy's Mersenne twister, the generator that scikit-learn uses.
    """
    _, members = np.unique(labels, return_inverse=True)
    counts = np.bincount(members)
    rows_by_class = np.split(np.argsort(members, kind="stable"), np.cumsum(counts)[:-1])
    size = math.ceil(share * len(labels))
    rng = np.random.RandomState(seed)
    first_counts = _shared_out(counts, len(labels) - size, rng)
    second_counts = _shared_out(counts - first_counts, size, rng)
    first: list[Rows] = []
    second: list[Rows] = []
    for rows, one, other in zip(rows_by_class, first_counts, second_counts, strict=True):
        shuffled = rows[rng.permutation(len(rows))]
        first.append(shuffled[:one])
        second.append(shuffled[one : one + other])
    return rng.permutation(np.concatenate(first)), rng.permutation(np.concatenate(second))


def _shared_out(
    counts: npt.NDArray[np.intp], draws: int, rng: np.random.RandomState
) -> npt.NDArray[np.intp]:
    """How many of `draws` fall to each class: in proportion to `counts`, ties at random."""
    exact = counts / counts.sum() * draws
    shares = np.floor(exact)
    missing = int(draws - shares.sum())
    remainders = exact - shares
    for remainder in np.unique(remainders)[::-1]:  # the largest remainders are rounded up
        if missing == 0:
            break
        (tied,) = np.nonzero(remainders == remainder)
        chosen = rng.choice(tied, size=min(len(tied), missing), replace=False)
        shares[chosen] += 1
        missing -= len(chosen)
    whole: Rows = shares.astype(np.intp)
    return whole
