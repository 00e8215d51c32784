r"""The exact engine for rules: weighted gradients on small factors of the Gram matrices.

As in :mod:`.gram`, any factor of :math:`G_k = Z_k Z_k^T` with Z_k = [V_k; U_k; W_k^T] may stand for
Z_k, and a step is

.. math:: Z_k \leftarrow (I + \eta A_k) Z_k, \qquad
    A_k = \begin{pmatrix} 0 & 0 & p R_k \\ 0 & 0 & h_k Q_k \\
    a_k R_k^T & b_k Q_k^T & 0 \end{pmatrix}

with the weights p of f_mm in its head, h_k of f_k in its head, and a_k, b_k of both in encoder k. A
rule finds them from losses and inner products of gradients. With :math:`G^{VV}_k = V_k V_k^T` and
so on, the inner products are blocks of the Gram matrix too:

.. math:: |R_k W_k^T|^2 = \mathrm{tr}\, R_k G^{WW}_k R_k^T, \quad
    |V_k^T R_k|^2 = \mathrm{tr}\, R_k^T G^{VV}_k R_k, \quad
    \langle V_k^T R_k, U_k^T Q_k \rangle = \mathrm{tr}\, R_k^T G^{VU}_k Q_k

and likewise with Q_k and U_k. The rule itself is compiled from :func:`mimo_sim.rules._base.lines`.
It reaches the loop as a pointer, so the loop is compiled once for all rules.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numba import cfunc, types

from mimo_sim._checks import FloatArray
from mimo_sim._progress import progress_bar
from mimo_sim.dynamics._compile import jit
from mimo_sim.dynamics.engines.gram import CHUNK, FASTMATH, Packed, push, size
from mimo_sim.dynamics.records import Options, Records, limit
from mimo_sim.dynamics.start import Weights, compact_factors
from mimo_sim.problem import LateFusionProblem
from mimo_sim.rules._base import PER_MODALITY, SINGLE, Rule, Structure, lines
from mimo_sim.solvers import Vanilla

VECTOR = types.Array(types.float64, 1, "C")
# Where the entries of `seen` and of the weights stand: these numbers times K, plus k.
FIRST = len(SINGLE)
EXPLAINED, JOINT_HEAD, JOINT, CROSS, OWN, OWN_HEAD = 2, 3, 4, 5, 6, 7
W_JOINT, W_UNI, W_UNI_HEAD, W_JOINT_HEAD = 0, 1, 2, 3


@cache
def compiled(structure: Structure, K: int) -> Any:
    """A rule as a compiled function ``(seen, parameters, weights)``, which fills `weights`.

    seen (3 + 8 K,) holds the fields of :class:`mimo_sim.rules.Seen` one after the other, parameters
    those of :meth:`Rule.parameters`, and weights (3 K + 1,) the fields of
    :class:`mimo_sim.rules.Weights`.
    """
    program, reads = lines(structure, K)
    given = [f"seen_{name}" for name in SINGLE]
    given += [f"seen_{name}{k}" for name in PER_MODALITY for k in range(K)]
    made = [f"weight_{name}{k}" for name in ("joint", "uni", "uni_head") for k in range(K)]
    made.append("weight_joint_head")
    read = [f"{name} = seen[{i}]" for i, name in enumerate(given) if name in reads]
    read += [f"{name} = parameters[{name[9:]}]" for name in reads if name.startswith("parameter")]
    written = [f"weights[{i}] = {name}" for i, name in enumerate(made)]
    source = "\n    ".join(["def weigh(seen, parameters, weights):", *read, *program, *written])
    scope: dict[str, Any] = {"sqrt": math.sqrt, "exp": math.exp}
    exec(compile(source, __file__, "exec"), scope)
    return cfunc(types.void(VECTOR, VECTOR, VECTOR), error_model="numpy")(scope["weigh"])


@jit(nogil=True, fastmath=FASTMATH)
def products(Z, sizes, R, Q, seen, parts):  # type: ignore[no-untyped-def]
    """Fill `parts`, the descent directions, and their inner products in `seen`.

    Read: Z (K, 2m + d, r); R and Q (m, K d), the correlations of inputs and residuals.
    """
    K, m, d, r = size(sizes[0]), size(sizes[1]), size(sizes[2]), size(sizes[3])
    for k in range(K):
        joint_head = 0.0
        own_head = 0.0
        for a in range(m):
            for j in range(r):
                x = 0.0
                y = 0.0
                for i in range(d):
                    x += R[a, k * d + i] * Z[k, 2 * m + i, j]
                    y += Q[a, k * d + i] * Z[k, 2 * m + i, j]
                parts[k, a, j] = x
                parts[k, m + a, j] = y
                joint_head += x * x
                own_head += y * y
        in_encoder = 0.0
        cross = 0.0
        own = 0.0
        for i in range(d):
            for j in range(r):
                x = 0.0
                y = 0.0
                for a in range(m):
                    x += R[a, k * d + i] * Z[k, a, j]
                    y += Q[a, k * d + i] * Z[k, m + a, j]
                parts[k, 2 * m + i, j] = x
                parts[k, 2 * m + d + i, j] = y
                in_encoder += x * x
                cross += x * y
                own += y * y
        seen[FIRST + JOINT_HEAD * K + k] = joint_head
        seen[FIRST + JOINT * K + k] = in_encoder
        seen[FIRST + CROSS * K + k] = cross
        seen[FIRST + OWN * K + k] = own
        seen[FIRST + OWN_HEAD * K + k] = own_head


@jit(nogil=True, fastmath=FASTMATH)
def measure(Z, sizes, S, joint, uni, seen, work, parts):  # type: ignore[no-untyped-def]
    """Losses and inner products of gradients at Z; returns the largest f_k - f_k*.

    Read: Z (K, 2m + d, r), the factors; S (K d, K d), the moments of the inputs; joint and uni
    (m, K d), the optimal maps.

    Filled: seen, but for its constants; work (4, m, K d), as in :func:`.gram.evaluate`; and parts
    (K, 2m + 2d, r), the descent directions R W^T of V, Q W^T of U, and R^T V and Q^T U of W^T.
    """
    K, m, d, r = sizes
    E, D, R, Q = work[0], work[1], work[2], work[3]
    for k in range(K):
        for a in range(m):
            for i in range(d):
                p = 0.0
                q = 0.0
                for j in range(r):
                    w = Z[k, 2 * m + i, j]
                    p += Z[k, a, j] * w
                    q += Z[k, m + a, j] * w
                E[a, k * d + i] = joint[a, k * d + i] - p
                D[a, k * d + i] = uni[a, k * d + i] - q
    seen[0] = 0.0
    top = -math.inf
    for k in range(K):
        excess = 0.0
        explained = 0.0
        for a in range(m):
            for i in range(d):
                x = 0.0
                for j in range(K * d):
                    x += S[k * d + i, j] * E[a, j]
                y = 0.0
                c = 0.0
                for j in range(d):
                    y += S[k * d + i, k * d + j] * D[a, k * d + j]
                    c += S[k * d + i, k * d + j] * uni[a, k * d + j]
                R[a, k * d + i] = x
                Q[a, k * d + i] = y
                seen[0] += 0.5 * x * E[a, k * d + i]
                excess += 0.5 * y * D[a, k * d + i]
                # (C + Q) N / 2: no difference of large numbers, so tiny ones stay exact.
                n = 0.0
                for j in range(r):
                    n += Z[k, m + a, j] * Z[k, 2 * m + i, j]
                explained += 0.5 * (c + y) * n
        seen[FIRST + k] = excess
        seen[FIRST + EXPLAINED * K + k] = explained
        top = max(top, excess)
    products(Z, sizes, R, Q, seen, parts)
    return top


@jit(nogil=True, fastmath=FASTMATH)
def direct(sizes, weights, parts, dZ):  # type: ignore[no-untyped-def]
    """Fill dZ (K, 2m + d, r), the weighted direction; returns its squared norm."""
    K, m, d, r = size(sizes[0]), size(sizes[1]), size(sizes[2]), size(sizes[3])
    total = 0.0
    for k in range(K):
        for i in range(2 * m + d):
            for j in range(r):
                if i < m:
                    x = weights[W_JOINT_HEAD * K] * parts[k, i, j]
                elif i < 2 * m:
                    x = weights[W_UNI_HEAD * K + k] * parts[k, i, j]
                else:
                    x = (
                        weights[W_JOINT * K + k] * parts[k, i, j]
                        + weights[W_UNI * K + k] * parts[k, d + i, j]
                    )
                dZ[k, i, j] = x
                total += x * x
    return total


@jit(nogil=True, fastmath=FASTMATH)
def block_norms(Z, sizes, norms):  # type: ignore[no-untyped-def]
    """Fill norms (K, 3), the Frobenius norms of V_k, U_k and W_k."""
    K, m, d, r = size(sizes[0]), size(sizes[1]), size(sizes[2]), size(sizes[3])
    for k in range(K):
        norms[k, :] = 0.0
        for i in range(2 * m + d):
            for j in range(r):
                norms[k, min(i // m, 2)] += Z[k, i, j] ** 2
        for block in range(3):
            norms[k, block] = math.sqrt(norms[k, block])


@jit(fastmath=FASTMATH)
def _descend(  # type: ignore[no-untyped-def]
    weigh,
    parameters,
    Z,
    velocity,
    sizes,
    S,
    joint,
    uni,
    seen,
    eta,
    decay,
    momentum,
    start,
    stop,
    every,
    last,
    ceiling,
    out,
    maps,
):
    """Steps from `start` up to `stop`; returns the step of divergence, or -1.

    Step t is recorded in row t / every of `out` and `maps`, and step `last` in the last row.
    """
    K, m, d, r = sizes
    excess_mm_out, excess_out, weights_out, norms_out, grad_out = out
    weights = np.empty(3 * K + 1)
    work = np.empty((4, m, K * d))
    parts = np.empty((K, 2 * m + 2 * d, r))
    dZ = np.empty((K, 2 * m + d, r))
    for t in range(start, stop):
        top = measure(Z, sizes, S, joint, uni, seen, work, parts)
        if not (seen[0] < ceiling and top < ceiling):
            return t
        weigh(seen, parameters, weights)
        squared = direct(sizes, weights, parts, dZ)
        if t % every == 0 or t == last:
            row = (t + every - 1) // every
            excess_mm_out[row] = seen[0]
            for k in range(K):
                excess_out[row, k] = seen[FIRST + k]
                weights_out[row, 0, k] = weights[W_JOINT * K + k]
                weights_out[row, 1, k] = weights[W_UNI * K + k]
            block_norms(Z, sizes, norms_out[row])
            grad_out[row] = squared
            if maps.shape[1] > 0:
                for a in range(m):
                    for i in range(K * d):
                        maps[0, row, a, i] = joint[a, i] - work[0, a, i]
                        maps[1, row, a, i] = uni[a, i] - work[1, a, i]
        push(Z, dZ, velocity, sizes, eta, decay, False, momentum)
    return -1


def seen_constants(problem: LateFusionProblem) -> FloatArray:
    """(3 + 8 K,) what a rule sees, with the entries that no step changes; the others are zero."""
    K = problem.num_modalities
    seen = np.zeros(FIRST + len(PER_MODALITY) * K)
    seen[1], seen[2] = problem.joint_optimum, problem.y_second_moment / 2
    seen[FIRST + K : FIRST + 2 * K] = problem.unimodal_optima
    return seen


def run(
    problem: LateFusionProblem,
    method: Rule,
    weights: list[Weights] | None,
    init_scale: float,
    options: Options,
) -> Records:
    """Exact training by a rule; the cost of a step depends on neither width nor sample size."""
    packed = Packed(problem, Vanilla(), compact_factors(problem, weights, init_scale))
    K, m, d, r = packed.Z.shape[0], problem.output_dim, max(problem.dims), packed.Z.shape[2]
    records = Records.empty(problem, options)
    last = int(options.steps[-1])
    every = int(options.steps[1]) if len(options.steps) > 1 else 1
    kept = len(options.steps) if options.record_maps else 0
    maps = np.empty((2, kept, m, packed.S.shape[0]))
    out = (
        records.excess_mm,
        records.excess_uni,
        records.weights,
        records.norms,
        records.grad_norm_sq,
    )
    records.f_star_excess[:] = 0.0
    seen, velocity = seen_constants(problem), np.zeros_like(packed.Z)
    chunk = max(1, CHUNK // (2 * packed.flops))
    with progress_bar(last, options.progress) as advance:
        for start in range(0, last + 1, chunk):
            stop = min(start + chunk, last + 1)
            diverged = _descend(
                compiled(method.structure(), K),
                np.array(method.parameters()),
                packed.Z,
                velocity,
                (K, m, d, r),
                packed.S,
                packed.joint,
                packed.uni,
                seen,
                options.step_size,
                options.weight_decay,
                options.momentum,
                start,
                stop,
                every,
                last,
                limit(problem),
                out,
                maps,
            )
            if diverged >= 0:
                records.diverged_at = int(diverged)
                break
            advance(stop - start)
    if options.record_maps:
        records.joint_map, records.uni_map = maps[..., packed.features]
    return records
