r"""The exact engine for mini-batches: stochastic gradient descent on finite data, at any width.

As in :mod:`.rules`, any factor of :math:`G_k = Z_k Z_k^T` with Z_k = [V_k; U_k; W_k^T] may stand
for Z_k. A step on the batch B is

.. math:: Z_k \leftarrow (I + \eta A_k) Z_k, \qquad
    A_k = \begin{pmatrix} 0 & 0 & p R_k \\ 0 & 0 & h_k Q_k \\
    a_k R_k^T & b_k Q_k^T & 0 \end{pmatrix}

where R_k and Q_k are averages over the batch of residuals times inputs, and the weights p, h_k,
a_k, b_k follow from losses and gradients on the batch. They depend on M_k = V_k W_k, N_k = U_k W_k
and the samples alone, so on G_k and the samples. No larger state is needed, in whatever order the
batches come.

R and Q come from the samples of the batch, in about 4 b m D operations. The moments of a new batch
would cost b D^2 / 2 before they could be used. All solvers share one loop: a rule, or
:func:`weigh_mimo`, reaches it as a pointer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import cfunc, types

from mimo_sim._checks import FloatArray
from mimo_sim._progress import progress_bar
from mimo_sim.dynamics._compile import jit
from mimo_sim.dynamics.batches import Batches
from mimo_sim.dynamics.engines.gram import FASTMATH, FROZEN, Packed, push, size
from mimo_sim.dynamics.engines.rules import (
    EXPLAINED,
    FIRST,
    VECTOR,
    W_JOINT,
    W_UNI,
    block_norms,
    compiled,
    direct,
    products,
    seen_constants,
)
from mimo_sim.dynamics.records import Options, Records, limit
from mimo_sim.dynamics.start import Weights, compact_factors
from mimo_sim.problem import LateFusionProblem
from mimo_sim.rules._base import Rule
from mimo_sim.solvers import AnySolver, Vanilla

CHUNK = 1 << 16  # samples that are drawn at a time
# The state of `weigh_mimo`: these numbers, then K estimates of f* minus f*, K averages of
# f_k - f_k*, and K weights sigma.
LAM, MU, HEAD, FOLLOW, DECAY, BEGUN, ESTIMATE = range(7)
Renew = Callable[[int, Records], "FloatArray | None"]


def weigh_mimo(seen, state, weights):  # type: ignore[no-untyped-def]
    """The weights of Vanilla and MIMO; renews averages and estimates of f* in `state`."""
    K = (len(weights) - 1) // 3
    base, smooth, sigma = ESTIMATE, ESTIMATE + K, ESTIMATE + 2 * K
    top = -math.inf
    for k in range(K):
        loss = seen[FIRST + k]
        if state[BEGUN] > 0.0:
            loss = state[DECAY] * state[smooth + k] + (1.0 - state[DECAY]) * loss
        state[smooth + k] = loss
        if state[FOLLOW] > 0.0:
            state[base + k] = min(state[base + k], loss)
        top = max(top, loss - state[base + k])
    state[BEGUN] = 1.0
    total = 0.0
    for k in range(K):
        state[sigma + k] = math.exp((state[smooth + k] - state[base + k] - top) / state[MU])
        total += state[sigma + k]
    for k in range(K):
        state[sigma + k] /= total
        own = state[LAM] * state[sigma + k]
        weights[k] = 1.0
        weights[K + k] = own
        weights[2 * K + k] = own
        if state[HEAD] != 1.0:
            weights[2 * K + k] = 1.0 if state[HEAD] > 1.0 else 0.0
    weights[3 * K] = 1.0


@cache
def _compiled_mimo() -> Any:
    return cfunc(types.void(VECTOR, VECTOR, VECTOR), error_model="numpy")(weigh_mimo)


def _solver(
    problem: LateFusionProblem, method: AnySolver, packed: Packed, decay: float
) -> tuple[Any, Any]:
    """The solver as a compiled function of what it sees and its state, and the state at step 0."""
    K = problem.num_modalities
    if isinstance(method, Rule):
        return compiled(method.structure(), K), np.array(method.parameters())
    state = np.zeros(ESTIMATE + 3 * K)
    state[LAM], state[MU], state[HEAD] = packed.lam, packed.mu, packed.heads
    state[FOLLOW], state[DECAY] = packed.running, decay
    state[ESTIMATE : ESTIMATE + K] = packed.base
    return _compiled_mimo(), state


@jit(nogil=True, fastmath=FASTMATH)
def find_maps(Z, sizes, maps):  # type: ignore[no-untyped-def]
    """Fill maps (2, m, K d): the V_k W_k side by side, and the U_k W_k."""
    K, m, d, r = size(sizes[0]), size(sizes[1]), size(sizes[2]), size(sizes[3])
    for k in range(K):
        for a in range(m):
            for i in range(d):
                p = 0.0
                q = 0.0
                for j in range(r):
                    w = Z[k, 2 * m + i, j]
                    p += Z[k, a, j] * w
                    q += Z[k, m + a, j] * w
                maps[0, a, k * d + i] = p
                maps[1, a, k * d + i] = q


@jit(nogil=True, fastmath=FASTMATH)
def on_batch(maps, sizes, data, rows, optima, seen, work, x, line):  # type: ignore[no-untyped-def]
    """Losses on a batch, and the correlations of its residuals with its inputs.

    Read: data, the samples (n, K d + m), inputs and target side by side; rows (b,); optima
    (1 + K,), f_mm* and f_k*. Filled: seen, losses minus optima, and what the heads explain; work
    (2, m, K d), which are R and Q. Scratch: x (K d + m, b), line (b,).
    """
    K, m, d, b = size(sizes[0]), size(sizes[1]), size(sizes[2]), len(rows)
    share = 1.0 / b
    for i in range(b):
        row = rows[i]
        for j in range(K * d + m):
            x[j, i] = data[row, j]
    joint = 0.0
    for k in range(K):
        seen[FIRST + k] = -optima[1 + k]
        seen[FIRST + EXPLAINED * K + k] = 0.0
    for a in range(m):
        y = x[K * d + a]
        for i in range(b):
            line[i] = y[i]
        for j in range(K * d):
            p = maps[0, a, j]
            for i in range(b):
                line[i] -= p * x[j, i]
        s = 0.0
        for i in range(b):
            s += line[i] * line[i]
        joint += s
        for j in range(K * d):
            s = 0.0
            for i in range(b):
                s += line[i] * x[j, i]
            work[0, a, j] = share * s
        for k in range(K):
            p = maps[1, a, k * d]
            for i in range(b):
                line[i] = p * x[k * d, i]
            for j in range(k * d + 1, k * d + d):
                p = maps[1, a, j]
                for i in range(b):
                    line[i] += p * x[j, i]
            own = 0.0
            explained = 0.0
            for i in range(b):
                p = line[i]
                q = y[i] - p
                own += q * q
                explained += p * (y[i] + q)
                line[i] = q
            seen[FIRST + k] += 0.5 * share * own
            seen[FIRST + EXPLAINED * K + k] += 0.5 * share * explained
            for j in range(k * d, k * d + d):
                s = 0.0
                for i in range(b):
                    s += line[i] * x[j, i]
                work[1, a, j] = share * s
    seen[0] = 0.5 * share * joint - optima[0]


@jit(nogil=True, fastmath=FASTMATH)
def on_all(maps, sizes, S, joint, uni, excess):  # type: ignore[no-untyped-def]
    """Fill excess (K,) with f_k - f_k* on all data; returns f_mm - f_mm*."""
    K, m, d = size(sizes[0]), size(sizes[1]), size(sizes[2])
    excess_mm = 0.0
    for k in range(K):
        excess[k] = 0.0
        for a in range(m):
            for i in range(k * d, k * d + d):
                x = 0.0
                for j in range(K * d):
                    x += S[i, j] * (joint[a, j] - maps[0, a, j])
                excess_mm += 0.5 * x * (joint[a, i] - maps[0, a, i])
                y = 0.0
                for j in range(k * d, k * d + d):
                    y += S[i, j] * (uni[a, j] - maps[1, a, j])
                excess[k] += 0.5 * y * (uni[a, i] - maps[1, a, i])
    return excess_mm


@jit(nogil=True, fastmath=FASTMATH)
def _descend(  # type: ignore[no-untyped-def]
    weigh,
    state,
    Z,
    velocity,
    sizes,
    data,
    batches,
    optima,
    whole,
    seen,
    rates,
    start,
    every,
    last,
    ceiling,
    out,
    kept_maps,
):
    """A step for each of the batches (count, b), from step `start` on.

    Returns the step of divergence, or -1. Step t is recorded in row t / every of `out` and
    `kept_maps`, and step `last` in the last row. whole: S, joint, uni. rates: step size, weight
    decay, momentum, and whether uni-modal heads are frozen.
    """
    K, m, d, r = size(sizes[0]), size(sizes[1]), size(sizes[2]), size(sizes[3])
    eta, decay, momentum, frozen = rates
    S, joint, uni = whole
    excess_mm_out, excess_out, batch_out, weights_out, state_out, norms_out, grad_out = out
    maps = np.empty((2, m, K * d))
    work = np.empty((2, m, K * d))
    parts = np.empty((K, 2 * m + 2 * d, r))
    dZ = np.empty((K, 2 * m + d, r))
    weights = np.empty(3 * K + 1)
    x = np.empty((K * d + m, batches.shape[1]))
    line = np.empty(batches.shape[1])
    for t in range(start, start + len(batches)):
        find_maps(Z, sizes, maps)
        on_batch(maps, sizes, data, batches[t - start], optima, seen, work, x, line)
        top = seen[0]
        for k in range(K):
            top = max(top, seen[FIRST + k])
        if not top < ceiling:
            return t
        products(Z, sizes, work[0], work[1], seen, parts)
        weigh(seen, state, weights)
        squared = direct(sizes, weights, parts, dZ)
        if t % every == 0 or t == last:
            row = (t + every - 1) // every
            excess_mm_out[row] = on_all(maps, sizes, S, joint, uni, excess_out[row])
            batch_out[row, 0] = seen[0]
            for k in range(K):
                batch_out[row, 1 + k] = seen[FIRST + k]
                weights_out[row, 0, k] = weights[W_JOINT * K + k]
                weights_out[row, 1, k] = weights[W_UNI * K + k]
            state_out[row, :] = state
            block_norms(Z, sizes, norms_out[row])
            grad_out[row] = squared
            if kept_maps.shape[1] > 0:
                kept_maps[0, row] = maps[0]
                kept_maps[1, row] = maps[1]
        push(Z, dZ, velocity, sizes, eta, decay, frozen, momentum)
    return -1


def padded_samples(batches: Batches, packed: Packed) -> FloatArray:
    """(n, K d + m) inputs, at their places among the padded features, and the target."""
    places = packed.S.shape[0]
    data = np.zeros((len(batches.target), places + batches.target.shape[1]))
    data[:, packed.features] = batches.inputs
    data[:, places:] = batches.target
    return data


def run(
    problem: LateFusionProblem,
    method: AnySolver,
    weights: list[Weights] | None,
    init_scale: float,
    options: Options,
) -> Records:
    """Exact stochastic gradient descent; the cost of a step does not depend on width."""
    return train(problem, method, weights, init_scale, options)


def train(
    problem: LateFusionProblem,
    method: AnySolver,
    weights: list[Weights] | None,
    init_scale: float,
    options: Options,
    renew: Renew | None = None,
) -> Records:
    """:func:`run`, for MIMO also with an estimate of f* that changes from pass to pass.

    renew(t, records) is called before the first step t of every pass but the first. It returns the
    new estimate of f* minus f* (K,), from then on in use, or None.
    """
    batches = options.batches
    assert batches is not None
    base = Vanilla() if isinstance(method, Rule) else method
    packed = Packed(problem, base, compact_factors(problem, weights, init_scale))
    K, m = problem.num_modalities, problem.output_dim
    solver, state = _solver(problem, method, packed, options.decay)
    records = Records.empty(problem, options)
    rows = len(options.steps)
    states, batch = np.empty((rows, len(state))), np.empty((rows, 1 + K))
    maps = np.empty((2, rows if options.record_maps else 0, m, packed.S.shape[0]))
    out = (
        records.excess_mm,
        records.excess_uni,
        batch,
        records.weights,
        states,
        records.norms,
        records.grad_norm_sq,
    )
    optima = np.array([problem.joint_optimum, *problem.unimodal_optima])
    frozen = packed.heads == FROZEN and not isinstance(method, Rule)
    rates = (options.step_size, options.weight_decay, options.momentum, frozen)
    data, seen, velocity = (
        padded_samples(batches, packed),
        seen_constants(problem),
        np.zeros_like(packed.Z),
    )
    last = int(options.steps[-1])
    every = int(options.steps[1]) if len(options.steps) > 1 else 1
    chunk = batches.per_pass if renew else max(1, CHUNK // batches.size)
    start = 0
    records.batch_excess = batch
    with progress_bar(last, options.progress) as advance:
        for drawn in batches.chunks(last + 1, chunk):
            if renew and start:
                found = renew(start, records)
                if found is not None:
                    state[ESTIMATE : ESTIMATE + K], state[FOLLOW] = found, 0.0
            diverged = _descend(
                solver,
                state,
                packed.Z,
                velocity,
                packed.sizes,
                data,
                drawn,
                optima,
                (packed.S, packed.joint, packed.uni),
                seen,
                rates,
                start,
                every,
                last,
                limit(problem),
                out,
                maps,
            )
            if diverged >= 0:
                records.diverged_at = int(diverged)
                break
            start += len(drawn)
            advance(len(drawn))
    records.gap, records.f_star_excess[:] = batch[:, 1:], 0.0
    if not isinstance(method, Rule):
        records.f_star_excess[:], smooth, records.sigma[:] = (
            states[:, first : first + K] for first in range(ESTIMATE, ESTIMATE + 3 * K, K)
        )
        records.gap = smooth - records.f_star_excess
    if options.record_maps:
        records.joint_map, records.uni_map = maps[..., packed.features]
    return records
