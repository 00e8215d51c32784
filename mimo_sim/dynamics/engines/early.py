r"""Early fusion in the exact engine: one encoder over the joined input, discrete gradient descent on second moments.

The network is yhat = V W [x_1; ...; x_K] with one encoder W = [W_1 ... W_K] (h, D). A uni-modal objective needs a prediction that depends on one
modality alone, and the shared encoder has no part that only x_k passes through. What it does have is its response to x_k with every other input set
to zero, which is W_k x_k; a head of its own reads that:

.. math:: \hat y_k = U_k W_k x_k, \qquad f_k = \tfrac12 E|y - \hat y_k|^2

These f_k are those of late fusion as functions of (U_k, W_k), with the same optima f_k*, and :class:`mimo_sim.MIMO` applies unchanged. Heads with
their own encoders would be trained beside the network and leave it alone; the joint head V in place of U_k would ask one map to solve K different
regressions (V W_k to be both the joint and the uni-modal optimum), so that the gaps could not close together.

With Z = [V; U_1; ...; U_K; W^T] one step of gradient descent is Z <- (I + eta A) Z, where A depends on Z Z^T alone, so a square factor of that matrix
stands for Z whatever the width h. Written per modality, Z_k = [V; U_k; W_k^T] moves as in late fusion (:mod:`.gram`) except that the K copies of V are one
matrix, which follows the sum of their directions. So this engine calls the late-fusion one for the direction.

Near the origin A is constant and Z grows along the singular directions of :func:`mimo_sim.theory.growth_matrix`. [ZLS]: joint training is the special case of one
modality, learned along C = [C_1 ... C_K], and has no uni-modal phase.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from mimo_sim import theory
from mimo_sim._checks import FloatArray, check_count, check_positive, finite_array
from mimo_sim._progress import progress_bar
from mimo_sim.dynamics._compile import jit
from mimo_sim.dynamics.driver import checked_settings, finished
from mimo_sim.dynamics.engines.gram import (
    FASTMATH,
    FROZEN,
    Packed,
    evaluate,
    move,
    note_flips,
    observe,
    size,
)
from mimo_sim.dynamics.records import Options, Records, limit
from mimo_sim.dynamics.start import compact
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import Solver

if TYPE_CHECKING:
    import xarray as xr

EarlyWeights: TypeAlias = tuple[
    FloatArray, list[FloatArray], FloatArray
]  # V (m, h), U_k (m, h) each, W (h, D)


def joined(problem: LateFusionProblem) -> LateFusionProblem:
    """The same problem with all inputs as one modality: its joint training is that of early fusion."""
    return LateFusionProblem(
        [[problem.input_moment]], [problem.cross_moment], problem.y_second_moment
    )


def default_step_size(
    problem: LateFusionProblem, method: Solver, *, init_norm_squared: float = 0.0
) -> float:
    r"""Half of 1/L, where L adds the late-fusion bounds (:func:`mimo_sim.theory.smoothness`) of the joined problem and of the problem itself.

    The encoder ends at the nuclear norm of [M; diag(N_k)], at most that of M and of the N_k together, which the two bounds cover.
    """
    each = (
        theory.smoothness(one, method, init_norm_squared=init_norm_squared)
        for one in (joined(problem), problem)
    )
    return 0.5 / max(sum(each), np.finfo(float).tiny)


@jit(fastmath=FASTMATH)
def _advance(  # type: ignore[no-untyped-def]
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
    start,
    stop,
    ceiling,
    memory,
    counts,
    excess,
    sigma,
    work,
    dZ,
):
    """Gradient descent from step `start` to `stop`, as `gram._descend` with one V; returns the step at which it diverged, or -1."""
    K, m, r = size(sizes[0]), size(sizes[1]), size(sizes[3])
    for t in range(start, stop):
        excess_mm, top = evaluate(
            Z, sizes, S, joint, uni, lam, mu, heads, running, base, excess, sigma, work, dZ
        )
        if not (excess_mm < ceiling and top < ceiling):
            return t
        note_flips(K, sigma, memory, counts, t)
        for a in range(m):
            for j in range(r):
                shared = 0.0
                for k in range(K):
                    shared += dZ[k, a, j]
                for k in range(K):
                    dZ[k, a, j] = shared
        move(Z, dZ, sizes, eta, 1.0 - eta * decay, 1.0 if heads == FROZEN else 1.0 - eta * decay)
    return -1


def _random(problem: LateFusionProblem, width: int, init_scale: float, seed: int) -> EarlyWeights:
    """Gaussian weights of variance ``init_scale**2 / width``."""
    rng, std, m = np.random.default_rng(seed), init_scale / math.sqrt(width), problem.output_dim
    heads = std * rng.standard_normal((1 + problem.num_modalities, m, width))
    return heads[0], list(heads[1:]), std * rng.standard_normal((width, sum(problem.dims)))


def _checked(problem: LateFusionProblem, initial: Sequence[object]) -> EarlyWeights:
    if (
        not isinstance(initial, Sequence)
        or len(initial) != 3
        or not isinstance(initial[1], Sequence | np.ndarray)
    ):
        raise TypeError("`initial` must be (V, [U_1, ..., U_K], W).")
    v, w = finite_array("initial[0]", initial[0]), finite_array("initial[2]", initial[2])
    heads = [finite_array(f"initial[1][{k}]", u) for k, u in enumerate(initial[1])]
    width = v.shape[-1] if v.ndim == 2 else 0
    expected = [(problem.output_dim, width)] * (1 + problem.num_modalities) + [
        (width, sum(problem.dims))
    ]
    shapes = [a.shape for a in (v, *heads, w)]
    if width < 1 or shapes != expected:
        raise ValueError(
            f"`initial` must be (V, [U_1, ..., U_K], W) of shapes (m, h), K times (m, h), (h, D) = {expected}. Got {shapes}."
        )
    return v, heads, w


def _factors(
    problem: LateFusionProblem, weights: EarlyWeights | None, init_scale: float
) -> list[FloatArray]:
    """For each modality the rows [V; U_k; W_k^T] of one factor of Z Z^T with at most m + K m + D columns."""
    K, m = problem.num_modalities, problem.output_dim
    heads = m * (1 + K)
    Z = (
        init_scale * np.eye(heads + sum(problem.dims))
        if weights is None
        else compact(np.vstack([weights[0], *weights[1], weights[2].T]))
    )
    return [
        np.vstack([Z[:m], Z[m * (1 + k) : m * (2 + k)], Z[heads:][problem.features(k)]])
        for k in range(K)
    ]


def simulate_early(
    problem: LateFusionProblem,
    method: Solver,
    *,
    step_size: float | None = None,
    steps: int = 2000,
    width: float = 100,
    init_scale: float = 1e-3,
    seed: int = 0,
    record_every: int = 1,
    initial: Sequence[object] | None = None,
    weight_decay: float = 0.0,
    progress: bool = False,
) -> xr.Dataset:
    r"""Train the two-layer early-fusion network by gradient descent, exactly, at a cost free of width and sample size.

    Parameters
    ----------
    problem, method, steps, width, init_scale, seed, record_every, weight_decay, progress
        As in :func:`mimo_sim.simulate`; ``width=inf`` is the limit :math:`Z Z^T` = ``init_scale**2`` I.
    step_size : float, optional
        eta > 0; by default :func:`default_step_size`.
    initial : (V (m, h), [U_1, ..., U_K] each (m, h), W (h, D)), optional
        Initial weights; sets the width, and `init_scale` and `seed` are ignored.

    Returns
    -------
    xarray.Dataset
        As :func:`mimo_sim.simulate`'s, with ``encoder_norm`` that of the columns W_k of the one encoder, ``head_norm`` that of the one joint head, for every
        modality, and ``fusion`` = "early" in the attributes.

    Raises
    ------
    ValueError, TypeError
        For input outside the ranges above.
    DivergenceError
        If the losses blow up; the trajectory so far is on the exception.

    Warns
    -----
    ChatteringWarning
        If sigma flips from step to step, so that results are sensitive to round-off.
    """
    steps, record_every, seed = checked_settings(
        problem, method, steps, record_every, seed, init_scale, weight_decay
    )
    weights = None
    if initial is not None:
        weights = _checked(problem, initial)
        width = weights[0].shape[1]
    elif not (isinstance(width, float) and math.isinf(width) and width > 0):
        weights = _random(problem, width := check_count("width", width, 1), init_scale, seed)
    packed = Packed(problem, method, _factors(problem, weights, init_scale))
    if step_size is None:
        step_size = default_step_size(
            problem,
            method,
            init_norm_squared=float(np.linalg.norm(packed.Z.reshape(-1, packed.Z.shape[2]), 2))
            ** 2,
        )
    check_positive("step_size", step_size)

    options = Options(
        float(step_size),
        float(weight_decay),
        np.append(np.arange(0, steps, record_every), steps),
        False,
        progress,
    )
    records = _run(problem, packed, options)
    settings: dict[str, Any] = {
        "step_size": float(step_size),
        "steps": steps,
        "width": float(width),
        "init_scale": float(init_scale),
        "seed": seed,
    }
    settings |= {
        "record_every": record_every,
        "weight_decay": float(weight_decay),
        "fusion": "early",
    }
    return finished(problem, method, settings, options, records, default_step_size)


def _run(problem: LateFusionProblem, packed: Packed, options: Options) -> Records:
    Z, K, m = packed.Z, problem.num_modalities, problem.output_dim
    records = Records.empty(problem, options)
    excess, sigma, work, dZ = (
        np.empty(K),
        np.empty(K),
        np.empty((4, m, packed.S.shape[0])),
        np.empty_like(Z),
    )
    memory, counts = (
        np.full((2, K), np.nan),
        np.zeros(2, dtype=np.int64),
    )  # NaN: the first step has no change before it
    following = np.append(options.steps[1:], options.steps[-1])
    ceiling = limit(problem)
    with progress_bar(int(options.steps[-1]), options.progress) as advance:
        for row, (now, then) in enumerate(zip(options.steps, following, strict=True)):
            records.excess_mm[row], top = evaluate(Z, *packed.model, excess, sigma, work, dZ)
            if not (records.excess_mm[row] < ceiling and top < ceiling):
                records.diverged_at = int(now)
                break
            records.excess_uni[row], records.f_star_excess[row], records.sigma[row] = (
                excess,
                packed.base,
                sigma,
            )
            separate = float(np.sum(dZ[:, :m] ** 2))
            records.grad_norm_sq[row] = observe(
                Z, dZ, packed.sizes, packed.lam, packed.heads, sigma, records.norms[row]
            )
            records.grad_norm_sq[row] += (
                float(np.sum(dZ[:, :m].sum(0) ** 2)) - separate
            )  # one V, not K
            settings = (options.step_size, options.weight_decay, now, then, ceiling, memory, counts)
            diverged = _advance(Z, *packed.model, *settings, excess, sigma, work, dZ)
            if diverged >= 0:
                records.diverged_at = int(diverged)
                break
            advance(int(then - now))
    records.flips, records.first_flip = int(counts[0]), int(counts[1])
    return records
