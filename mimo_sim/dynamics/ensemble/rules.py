"""Rules in ensembles: the loop for sizes whose step is not written out, and what a state says.

The rule reaches these loops as a pointer (:mod:`mimo_sim.dynamics.engines.rules`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mimo_sim._checks import FloatArray
from mimo_sim.dynamics.engines.rules import (
    FIRST,
    W_JOINT,
    W_UNI,
    block_norms,
    compiled,
    direct,
    measure,
)
from mimo_sim.dynamics.ensemble._columns import (
    copy,
    encoder_squares,
    kernel,
    load,
    moments,
    take_step,
)
from mimo_sim.dynamics.ensemble.step import Advance, Shape
from mimo_sim.rules._base import PER_MODALITY


def advance(shape: Shape) -> Advance:
    """As :func:`.cpu.advance`, one run after the other."""
    sizes = (shape.K, shape.m, shape.d, shape.r)
    weigh = compiled(shape.rule, shape.K) if shape.rule else None

    def one_by_one(state: FloatArray, constants: FloatArray, steps: int) -> None:
        _advance(weigh, state, constants, shape.state, shape.constants, sizes, steps)

    return one_by_one


def view(
    shape: Shape, state: FloatArray, constants: FloatArray, rows: Any, out: FloatArray
) -> None:
    """Fill the columns of `out` as :func:`.cpu.view` does."""
    sizes = (shape.K, shape.m, shape.d, shape.r)
    weigh = compiled(shape.rule, shape.K) if shape.rule else None
    _view(weigh, state, constants, shape.state, shape.constants, sizes, rows, out)


@kernel
def _arrays(sizes):  # type: ignore[no-untyped-def]
    """Room for a step: seen, weights, work, parts, dZ."""
    K, m, d, r = sizes
    seen = np.zeros(FIRST + len(PER_MODALITY) * K)
    parts, dZ = np.empty((K, 2 * m + 2 * d, r)), np.empty((K, 2 * m + d, r))
    return seen, np.empty(3 * K + 1), np.empty((4, m, K * d)), parts, dZ


@kernel
def _see_constants(constants, fixed, run, K, seen):  # type: ignore[no-untyped-def]
    """Fill the entries of `seen` that no step changes; returns the parameters of the rule."""
    column = constants[fixed.rule, run].copy()
    seen[1], seen[2] = column[0], column[1]
    for k in range(K):
        seen[FIRST + K + k] = column[2 + k]
    return column[2 + K :].copy()


@kernel
def _advance(weigh, state, constants, own, fixed, sizes, steps):  # type: ignore[no-untyped-def]
    K = sizes[0]
    Z, base, S, joint, uni = moments(sizes)
    seen, weights, work, parts, dZ = _arrays(sizes)
    for run in range(state.shape[1]):
        load(state, constants, own, fixed, run, Z, base, S, joint, uni)
        parameters = _see_constants(constants, fixed, run, K, seen)
        keep, eta = constants[fixed.keep, run], constants[fixed.eta, run]
        momentum, velocity = constants[fixed.momentum, run], state[own.velocity, run]
        peak = state[own.peak, run]
        for _ in range(steps):
            top = measure(Z, sizes, S, joint, uni, seen, work, parts)
            if not (
                seen[0] < constants[fixed.ceiling, run] and top < constants[fixed.ceiling, run]
            ):
                state[own.bad, run] = 1.0
            weigh(seen, parameters, weights)
            direct(sizes, weights, parts, dZ)
            encoder_squares(Z, sizes, peak)
            take_step(Z, dZ, velocity, sizes, eta, keep, keep, momentum)
        copy(Z.reshape(Z.size), state[own.Z, run])


@kernel
def _view(weigh, state, constants, own, fixed, sizes, rows, out):  # type: ignore[no-untyped-def]
    K, m, d, _ = sizes
    Z, base, S, joint, uni = moments(sizes)
    seen, weights, work, parts, _ = _arrays(sizes)
    norms = np.empty((K, 3))
    for run in range(state.shape[1]):
        load(state, constants, own, fixed, run, Z, base, S, joint, uni)
        parameters = _see_constants(constants, fixed, run, K, seen)
        measure(Z, sizes, S, joint, uni, seen, work, parts)
        weigh(seen, parameters, weights)
        block_norms(Z, sizes, norms)
        joint_map, speed = out[rows.joint_map, run], 0.0
        for k in range(K):
            rate = 0.0
            for a in range(m):
                for i in range(k * d, k * d + d):
                    rate += work[2, a, i] ** 2 + work[3, a, i] ** 2
                    joint_map[a * K * d + i] = joint[a, i] - work[0, a, i]
            speed = max(speed, rate)
            out[rows.excess.start + k, run] = seen[FIRST + k]
            out[rows.gap.start + k, run] = seen[FIRST + k]
            out[rows.weight.start + k, run] = np.nan
            out[rows.weight_mm.start + k, run] = weights[W_JOINT * K + k]
            out[rows.weight_uni.start + k, run] = weights[W_UNI * K + k]
        copy(norms[:, 0], out[rows.head, run])
        copy(norms[:, 1], out[rows.uni_head, run])
        copy(norms[:, 2], out[rows.encoder, run])
        out[rows.excess_mm, run] = seen[0]
        out[rows.penalty, run] = np.nan
        out[rows.speed, run] = speed
