"""A run's column of the tables as arrays, for the loops that advance one run after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from mimo_sim.dynamics._compile import jit
from mimo_sim.dynamics.engines.gram import move
from mimo_sim.dynamics.ensemble.step import FASTMATH

kernel: Any = jit(nogil=True, fastmath=FASTMATH)


@kernel
def copy(column, array):  # type: ignore[no-untyped-def]
    """Copy a vector into `array`. A slice assignment would take seconds more to compile."""
    for i in range(array.size):
        array[i] = column[i]


@kernel
def load(state, constants, own, fixed, run, Z, base, S, joint, uni):  # type: ignore[no-untyped-def]
    """Copy the column of one run into arrays; `own` and `fixed` are the rows of the tables."""
    copy(state[own.Z, run], Z.reshape(Z.size))
    copy(state[own.base, run], base)
    copy(constants[fixed.S, run], S.reshape(S.size))
    copy(constants[fixed.joint, run], joint.reshape(joint.size))
    copy(constants[fixed.uni, run], uni.reshape(uni.size))


@kernel
def encoder_squares(Z, sizes, peak):  # type: ignore[no-untyped-def]
    """Raise peak (K,) to the squared norms of the encoders."""
    K, m, d, r = sizes
    for k in range(K):
        squares = 0.0
        for i in range(2 * m, 2 * m + d):
            for j in range(r):
                squares += Z[k, i, j] ** 2
        peak[k] = max(peak[k], squares)


@kernel
def take_step(Z, dZ, velocity, sizes, eta, keep, keep_head, momentum):  # type: ignore[no-untyped-def]
    """:func:`move`, or a step with momentum; velocity, flat, is the last step of every entry."""
    if momentum == 0.0:
        move(Z, dZ, sizes, eta, keep, keep_head)
        return
    K, m, d, r = sizes
    at = 0
    for k in range(K):
        for i in range(2 * m + d):
            lost = 1.0 - (keep_head if m <= i < 2 * m else keep)
            for j in range(r):
                speed = momentum * velocity[at] + eta * dZ[k, i, j] - lost * Z[k, i, j]
                velocity[at] = speed
                Z[k, i, j] += speed
                at += 1


@kernel
def moments(sizes):  # type: ignore[no-untyped-def]
    """Room for Z, base, S, joint and uni."""
    K, m, d, r = sizes
    Z, S = np.empty((K, 2 * m + d, r)), np.empty((K * d, K * d))
    return Z, np.empty(K), S, np.empty((m, K * d)), np.empty((m, K * d))
