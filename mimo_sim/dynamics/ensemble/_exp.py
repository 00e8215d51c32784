"""The exponential of the generated step, in operations that vectorise."""

from __future__ import annotations

import numpy as np

from mimo_sim.dynamics._compile import jit
from mimo_sim.dynamics.ensemble.step import FASTMATH


@jit(nogil=True, fastmath=FASTMATH)
def exp(x):  # type: ignore[no-untyped-def]
    """e**x for x <= 0 to within one unit in the last place, in operations that vectorise.

    0 where the result would be subnormal (x < -708.4), NaN for NaN.
    """
    # Adding 1.5 * 2**52 rounds x / log 2 to an integer n, which then stands in the low bits.
    shifted = x * 1.4426950408889634 + 6755399441055744.0
    n = shifted - 6755399441055744.0
    y = (x - n * 0.6931471803691238) - n * 1.9082149292705877e-10
    # (e**y - 1 - y) / y**2 as a polynomial through Chebyshev nodes, 2e-17 off. It is added up in
    # groups, so that few operations have to wait for others.
    y2 = y * y
    y4 = y2 * y2
    low = (0.5 + 0.16666666666666669 * y) + (0.04166666666662413 + 0.008333333333330062 * y) * y2
    middle = (0.0013888888917213717 + 0.00019841269863053618 * y) + (
        2.4801521295954376e-05 + 2.7557268459997064e-06 * y
    ) * y2
    high = 2.7620088445409746e-07 + 2.510038549551032e-08 * y
    q = low + y4 * (middle + y4 * high)
    power = np.int64((np.float64(shifted).view(np.int64) + 1023) << 52).view(np.float64)
    return 0.0 if x < -708.3964185322641 else (1.0 + (y + y2 * q)) * power
