r"""The exact engine: gradient descent on second moments, at any hidden width and sample size.

Let Z_k = [V_k; U_k; W_k^T]. Every quantity of the toy is a block of the Gram matrix
G_k = Z_k Z_k^T, and one step of gradient descent is

.. math:: Z_k \leftarrow (I + \eta A_k) Z_k, \qquad
    A_k = \begin{pmatrix} 0 & 0 & R_k \\ 0 & 0 & \lambda\sigma_k Q_k \\
    R_k^T & \lambda\sigma_k Q_k^T & 0 \end{pmatrix}

where R_k and Q_k are the correlations of the inputs with the residuals of f_mm and f_k. A_k depends
on the Gram matrices alone. So any factor of G_k may stand for Z_k. This engine steps the square
factor of :func:`.start.compact_factors`, which has at most 2m + d_k columns instead of h. (It does
not step G itself: that would square the initial scale and drown it in round-off.)

Modalities are padded with zeros to one shape; the steps keep these zeros. For small problems with
one output the loop is compiled for its exact sizes. MIMO's arithmetic is written out here for
speed; a test compares it with :mod:`mimo_sim.objective`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types
from numba.extending import overload

from mimo_sim._checks import FloatArray
from mimo_sim._progress import progress_bar
from mimo_sim.dynamics._compile import inlined, jit
from mimo_sim.dynamics.records import FLIP_SIZE, Records, limit
from mimo_sim.dynamics.start import Weights, compact_factors
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import Solver, initial_f_star

if TYPE_CHECKING:
    from mimo_sim.dynamics.records import Options

FROZEN, GRADIENT, PLAIN = 0, 1, 2
HEADS = {"frozen": FROZEN, "gradient": GRADIENT, "plain": PLAIN}  # how uni-modal heads are updated
# The loop is compiled for its exact sizes while K * (2 + d) * r is at most this and m = 1. Then its
# inner loops unroll, which makes it 3 to 7 times faster.
STATIC_SIZE = 400
CHUNK = 20_000_000  # multiply-adds between two looks at the progress bar and the keyboard
# Sums may be reordered, so that they vectorise. Infinity and NaN keep their meaning: they show
# divergence.
FASTMATH = {"reassoc", "contract", "nsz", "arcp"}


def size(n: Any) -> int:
    """A size, given as a number or as the length of a tuple. The compiler knows the latter."""
    return len(n) if isinstance(n, tuple) else n


@overload(size, inline="always")
def _size_overload(n):  # type: ignore[no-untyped-def]
    if isinstance(n, types.BaseTuple):
        length = len(n)
        return lambda n: length
    return lambda n: n


@jit(fastmath=FASTMATH)
def evaluate(Z, sizes, S, joint, uni, lam, mu, heads, running, base, excess, sigma, work, dZ):  # type: ignore[no-untyped-def]
    """Losses, sigma and the descent direction at Z; returns (f_mm - min f_mm, largest gap).

    Read: Z (K, 2m + d, r), the factors; S (K d, K d), the moments of the inputs; joint and uni
    (m, K d), the optimal maps. `heads` is one of :data:`HEADS`.

    Filled: excess (K,), f_k - f_k*; sigma (K,); dZ, the direction, shaped like Z. With `running`
    also base (K,), the estimate of f* minus f*.

    work (4, m, K d) is scratch. It is left with what the maps still miss of their optima (joint,
    uni) and the correlations of these residuals with the inputs (R, Q).
    """
    K, m, d, r = size(sizes[0]), size(sizes[1]), size(sizes[2]), size(sizes[3])
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
    excess_mm = 0.0
    top = -math.inf
    for k in range(K):
        own = 0.0
        for a in range(m):
            for i in range(d):
                x = 0.0
                for j in range(K * d):
                    x += S[k * d + i, j] * E[a, j]
                y = 0.0
                for j in range(d):
                    y += S[k * d + i, k * d + j] * D[a, k * d + j]
                R[a, k * d + i] = x
                Q[a, k * d + i] = y
                excess_mm += 0.5 * x * E[a, k * d + i]
                own += 0.5 * y * D[a, k * d + i]
        excess[k] = own
        if running:
            base[k] = min(base[k], own)
        top = max(top, own - base[k])
    total = 0.0
    for k in range(K):
        sigma[k] = math.exp((excess[k] - base[k] - top) / mu)
        total += sigma[k]
    for k in range(K):
        sigma[k] /= total
        own = lam * sigma[k]
        head = own if heads == GRADIENT else (1.0 if heads == PLAIN else 0.0)
        for a in range(2 * m):
            for j in range(r):
                dZ[k, a, j] = 0.0
        for i in range(d):
            for j in range(r):
                dZ[k, 2 * m + i, j] = 0.0
            for a in range(m):
                x = R[a, k * d + i]
                y = Q[a, k * d + i]
                for j in range(r):
                    w = Z[k, 2 * m + i, j]
                    dZ[k, a, j] += x * w
                    dZ[k, m + a, j] += head * y * w
                    dZ[k, 2 * m + i, j] += x * Z[k, a, j] + own * y * Z[k, m + a, j]
    return excess_mm, top


@jit(fastmath=FASTMATH)
def observe(Z, dZ, sizes, lam, heads, sigma, norms):  # type: ignore[no-untyped-def]
    """Fill norms (K, 3), those of V_k, U_k and W_k; returns |grad F|^2."""
    K, m, d, r = size(sizes[0]), size(sizes[1]), size(sizes[2]), size(sizes[3])
    total = 0.0
    for k in range(K):
        norms[k, :] = 0.0
        for i in range(2 * m + d):
            block = min(i // m, 2)
            z = 0.0
            g = 0.0
            for j in range(r):
                z += Z[k, i, j] ** 2
                g += dZ[k, i, j] ** 2
            norms[k, block] += z
            total += g * (lam * sigma[k]) ** 2 if heads == PLAIN and block == 1 else g
        for block in range(3):
            norms[k, block] = math.sqrt(norms[k, block])
    return total


@inlined
def count_flips(K, sigma, previous, change):  # type: ignore[no-untyped-def]
    """How many sigma_k flip: swing by more than FLIP_SIZE, and back again in the next step.

    previous and change (K,) are the memory: sigma of the step before and its last change. Both are
    updated.
    """
    flips = 0
    for k in range(K):
        new = sigma[k] - previous[k]
        if new * change[k] < 0.0 and min(abs(new), abs(change[k])) > FLIP_SIZE:
            flips += 1
        previous[k], change[k] = sigma[k], new
    return flips


@inlined
def note_flips(K, sigma, memory, counts, t):  # type: ignore[no-untyped-def]
    """Add the flips of step t to counts, [flips, step of the first].

    memory (2, K) holds sigma of the step before and its last change.
    """
    flips = count_flips(K, sigma, memory[0], memory[1])
    if flips > 0 and counts[0] == 0:
        counts[1] = t
    counts[0] += flips


@inlined
def move(Z, dZ, sizes, eta, keep, keep_head):  # type: ignore[no-untyped-def]
    """Z <- keep * Z + eta * dZ, with `keep_head` instead of `keep` for the uni-modal heads."""
    K, m, d, r = size(sizes[0]), size(sizes[1]), size(sizes[2]), size(sizes[3])
    for k in range(K):
        for i in range(2 * m + d):
            kept = keep_head if m <= i < 2 * m else keep
            for j in range(r):
                Z[k, i, j] = kept * Z[k, i, j] + eta * dZ[k, i, j]


@inlined
def push(Z, dZ, velocity, sizes, eta, decay, frozen, momentum):  # type: ignore[no-untyped-def]
    """One step of torch's SGD: the velocity is `momentum` times itself, plus dZ - decay * Z.

    Frozen heads stay where they are.
    """
    K, m, d, r = size(sizes[0]), size(sizes[1]), size(sizes[2]), size(sizes[3])
    for k in range(K):
        for i in range(2 * m + d):
            lost = 0.0 if frozen and m <= i < 2 * m else decay
            for j in range(r):
                velocity[k, i, j] = momentum * velocity[k, i, j] + dZ[k, i, j] - lost * Z[k, i, j]
                Z[k, i, j] += eta * velocity[k, i, j]


@jit(fastmath=FASTMATH)
def _descend(  # type: ignore[no-untyped-def]
    Z,
    sizes,
    S,
    joint,
    uni,
    lam,
    mu,
    heads,
    running,
    base,
    eta,
    decay,
    momentum,
    velocity,
    start,
    stop,
    every,
    last,
    ceiling,
    memory,
    counts,
    out,
    maps,
):
    """Gradient descent from step `start` up to `stop`; returns the step of divergence, or -1.

    Step t is recorded in row t / every of `out` and `maps`, and step `last` in the last row. For
    memory and counts see :func:`note_flips`.
    """
    K, m, d, r = size(sizes[0]), size(sizes[1]), size(sizes[2]), size(sizes[3])
    excess_mm_out, excess_out, base_out, sigma_out, norms_out, grad_out = out
    excess = np.empty(K)
    sigma = np.empty(K)
    work = np.empty((4, m, K * d))
    dZ = np.empty((K, 2 * m + d, r))
    keep = 1.0 - eta * decay
    keep_head = 1.0 if heads == FROZEN else keep
    for t in range(start, stop):
        excess_mm, top = evaluate(
            Z, sizes, S, joint, uni, lam, mu, heads, running, base, excess, sigma, work, dZ
        )
        if not (excess_mm < ceiling and top < ceiling):
            return t
        if t % every == 0 or t == last:
            row = (t + every - 1) // every
            excess_mm_out[row] = excess_mm
            for k in range(K):
                excess_out[row, k] = excess[k]
                base_out[row, k] = base[k]
                sigma_out[row, k] = sigma[k]
            grad_out[row] = observe(Z, dZ, sizes, lam, heads, sigma, norms_out[row])
            if maps.shape[1] > 0:
                for a in range(m):
                    for i in range(K * d):
                        maps[0, row, a, i] = joint[a, i] - work[0, a, i]
                        maps[1, row, a, i] = uni[a, i] - work[1, a, i]
        note_flips(K, sigma, memory, counts, t)
        if momentum > 0.0:
            push(Z, dZ, velocity, sizes, eta, decay, heads == FROZEN, momentum)
        else:
            move(Z, dZ, sizes, eta, keep, keep_head)
    return -1


class Packed:
    """A problem, a method and a starting point as the padded arrays of :func:`evaluate`."""

    def __init__(
        self, problem: LateFusionProblem, method: Solver, factors: list[FloatArray]
    ) -> None:
        K, m, d = problem.num_modalities, problem.output_dim, max(problem.dims)
        r = max(z.shape[1] for z in factors)
        # Where the features of the problem stand among the K d padded ones.
        self.features = np.concatenate([k * d + np.arange(n) for k, n in enumerate(problem.dims)])
        self.S = np.zeros((K * d, K * d))
        self.S[np.ix_(self.features, self.features)] = problem.input_moment
        self.joint, self.uni = np.zeros((m, K * d)), np.zeros((m, K * d))
        self.joint[:, self.features] = problem.joint_map
        self.uni[:, self.features] = np.hstack(problem.unimodal_maps)
        self.Z = np.zeros((K, 2 * m + d, r))
        for k, z in enumerate(factors):
            self.Z[k, : z.shape[0], : z.shape[1]] = z
        self.lam, self.mu, self.heads = float(method.lam), float(method.mu), HEADS[method.heads]
        self.running = method.f_star == "running_minimum"
        self.base = initial_f_star(method, problem.unimodal_optima) - problem.unimodal_optima
        self.flops = self.Z.size * (4 * m + 2) + m * (K * d) ** 2
        self.sizes: Any = (K, m, d, r)
        if m == 1 and K * (2 + d) * r <= STATIC_SIZE:
            self.sizes = tuple((0,) * n for n in self.sizes)

    @property
    def model(self) -> tuple[Any, ...]:
        """The arguments of :func:`evaluate` between Z and the arrays it fills."""
        moments = (self.S, self.joint, self.uni)
        return (self.sizes, *moments, self.lam, self.mu, self.heads, self.running, self.base)

    def scratch(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Room for the last arguments of :func:`evaluate`: excess, sigma, work and dZ."""
        K, (m, D) = len(self.base), self.joint.shape
        return np.empty(K), np.empty(K), np.empty((4, m, D)), np.empty_like(self.Z)


def flip_memory(num_modalities: int) -> tuple[FloatArray, np.ndarray]:
    """The memory and counts of :func:`note_flips` at step 0, which has no change before it."""
    return np.full((2, num_modalities), np.nan), np.zeros(2, dtype=np.int64)


def run(
    problem: LateFusionProblem,
    method: Solver,
    weights: list[Weights] | None,
    init_scale: float,
    options: Options,
) -> Records:
    """Exact gradient descent; the cost of a step depends on neither width nor sample size."""
    packed = Packed(problem, method, compact_factors(problem, weights, init_scale))
    records = Records.empty(problem, options)
    last = int(options.steps[-1])
    every = int(options.steps[1]) if len(options.steps) > 1 else 1
    kept = len(options.steps) if options.record_maps else 0
    maps = np.empty((2, kept, problem.output_dim, packed.S.shape[0]))
    memory, counts = flip_memory(problem.num_modalities)
    velocity = np.zeros_like(packed.Z)
    out = (
        records.excess_mm,
        records.excess_uni,
        records.f_star_excess,
        records.sigma,
        records.norms,
        records.grad_norm_sq,
    )
    chunk = max(1, CHUNK // packed.flops)
    with progress_bar(last, options.progress) as advance:
        for start in range(0, last + 1, chunk):
            stop = min(start + chunk, last + 1)
            diverged = _descend(
                packed.Z,
                *packed.model,
                options.step_size,
                options.weight_decay,
                options.momentum,
                velocity,
                start,
                stop,
                every,
                last,
                limit(problem),
                memory,
                counts,
                out,
                maps,
            )
            if diverged >= 0:
                records.diverged_at = int(diverged)
                break
            advance(stop - start)
    records.flips, records.first_flip = int(counts[0]), int(counts[1])
    if options.record_maps:
        records.joint_map, records.uni_map = maps[..., packed.features]
    return records
