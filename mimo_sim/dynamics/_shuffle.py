"""The order of samples in a pass, compiled: apart, as Numba takes half a second to import."""

from __future__ import annotations

import numpy as np

from mimo_sim.dynamics._compile import jit


@jit()
def shuffled(uniform):  # type: ignore[no-untyped-def]
    """(p, n) random orders of 0 ... n - 1 from numbers (p, n) that are uniform in [0, 1).

    The shuffle of Fisher and Yates; three times as fast as NumPy's, whose generator gives the
    numbers.
    """
    passes, n = uniform.shape
    order = np.empty((passes, n), dtype=np.int64)
    for p in range(passes):
        for i in range(n):
            order[p, i] = i
        for i in range(n - 1, 0, -1):
            j = int(uniform[p, i] * (i + 1))
            order[p, i], order[p, j] = order[p, j], order[p, i]
    return order
