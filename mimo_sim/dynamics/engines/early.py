r"""Early fusion in the exact engine: one encoder over the joined input.

The network is yhat = V W [x_1; ...; x_K] with one encoder W = [W_1 ... W_K] (h, D). A uni-modal
loss needs a prediction from one modality alone. But all modalities share this encoder. So set every
input but x_k to zero: the encoder then answers W_k x_k. A head U_k for this modality reads the
answer:

.. math:: \hat y_k = U_k W_k x_k, \qquad f_k = \tfrac12 E|y - \hat y_k|^2

As functions of (U_k, W_k) these f_k are those of late fusion, with the same optima f_k*. So
:class:`mimo_sim.MIMO` applies unchanged.

Two other choices do not work. Heads with encoders of their own would not train the network at all.
And the joint head V in place of U_k would be one map for K different regressions. V W_k would have
to be the joint and the uni-modal optimum at once, so the gaps could not close together.

Let Z = [V; U_1; ...; U_K; W^T]. One step of gradient descent is Z <- (I + eta A) Z, where A depends
on Z Z^T alone. So a square factor of that matrix stands for Z, whatever the width h. The part of
modality k, Z_k = [V; U_k; W_k^T], moves as in late fusion (:mod:`.gram`), with one exception: there
is only one V. It follows the sum of the K directions that late fusion has for the V_k. So this
engine takes its directions from the engine of late fusion.

Near the origin A is constant, and Z grows along the singular directions of
:func:`mimo_sim.theory.growth_matrix`. Joint training is the special case of one modality, learned
along C = [C_1 ... C_K]; it has no uni-modal phase [ZLS].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from mimo_sim import theory
from mimo_sim._checks import FloatArray, check_step_size, check_width, finite_array
from mimo_sim._progress import progress_bar
from mimo_sim.dynamics._compile import jit
from mimo_sim.dynamics.driver import checked_settings, finished
from mimo_sim.dynamics.engines.gram import (
    FASTMATH,
    FROZEN,
    Packed,
    evaluate,
    flip_memory,
    move,
    note_flips,
    observe,
    size,
)
from mimo_sim.dynamics.records import Options, Records, limit, recorded_steps
from mimo_sim.dynamics.start import compact
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import Solver

if TYPE_CHECKING:
    import xarray as xr

# V (m, h), the U_k (m, h) and W (h, D).
EarlyWeights: TypeAlias = tuple[FloatArray, list[FloatArray], FloatArray]


def joined(problem: LateFusionProblem) -> LateFusionProblem:
    """The same problem with all inputs as one modality.

    Joint training of it is joint training of early fusion.
    """
    return LateFusionProblem(
        [[problem.input_moment]], [problem.cross_moment], problem.y_second_moment
    )


def default_step_size(
    problem: LateFusionProblem, method: Solver, *, init_norm_squared: float = 0.0
) -> float:
    r"""Half of 1/L. L is a sum of two bounds: late fusion of the joined problem, and of `problem`.

    The bounds are those of :func:`mimo_sim.theory.smoothness`. At the end |W|_F^2 is the nuclear
    norm of [M; diag(N_k)]. It is at most the nuclear norm of M plus those of the N_k. The two
    bounds cover these.
    """
    bound = 0.0
    for one in (joined(problem), problem):
        bound += theory.smoothness(one, method, init_norm_squared=init_norm_squared)
    return 0.5 / max(bound, np.finfo(float).tiny)


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
    """Gradient descent from step `start` up to `stop`, as in :mod:`.gram` but with one V.

    Returns the step of divergence, or -1.
    """
    K, m, r = size(sizes[0]), size(sizes[1]), size(sizes[3])
    keep = 1.0 - eta * decay
    keep_head = 1.0 if heads == FROZEN else keep
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
        move(Z, dZ, sizes, eta, keep, keep_head)
    return -1


def _random(problem: LateFusionProblem, width: int, init_scale: float, seed: int) -> EarlyWeights:
    """Gaussian weights of variance ``init_scale**2 / width``."""
    rng, std, m = np.random.default_rng(seed), init_scale / math.sqrt(width), problem.output_dim
    heads = std * rng.standard_normal((1 + problem.num_modalities, m, width))
    return heads[0], list(heads[1:]), std * rng.standard_normal((width, sum(problem.dims)))


def _checked(problem: LateFusionProblem, initial: Sequence[object]) -> EarlyWeights:
    """`initial` as float64 arrays, with every shape checked."""
    is_triple = isinstance(initial, Sequence) and len(initial) == 3
    if not is_triple or not isinstance(initial[1], Sequence | np.ndarray):
        raise TypeError("`initial` must be (V, [U_1, ..., U_K], W).")
    v, w = finite_array("initial[0]", initial[0]), finite_array("initial[2]", initial[2])
    heads = [finite_array(f"initial[1][{k}]", u) for k, u in enumerate(initial[1])]
    width = v.shape[-1] if v.ndim == 2 else 0
    head = (problem.output_dim, width)
    expected = [head] * (1 + problem.num_modalities) + [(width, sum(problem.dims))]
    shapes = [a.shape for a in (v, *heads, w)]
    if width < 1 or shapes != expected:
        raise ValueError(
            "`initial` must be (V, [U_1, ..., U_K], W) of shapes (m, h), K times (m, h), (h, D) = "
            f"{expected}. Got {shapes}."
        )
    return v, heads, w


def _factors(
    problem: LateFusionProblem, weights: EarlyWeights | None, init_scale: float
) -> list[FloatArray]:
    """For each modality the rows [V; U_k; W_k^T] of one factor of Z Z^T.

    The factor has at most m + K m + D columns. Without weights: the limit of infinite width.
    """
    K, m = problem.num_modalities, problem.output_dim
    heads = m * (1 + K)
    if weights is None:
        Z = init_scale * np.eye(heads + sum(problem.dims))
    else:
        Z = compact(np.vstack([weights[0], *weights[1], weights[2].T]))
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
    r"""Train the two-layer early-fusion network by gradient descent.

    The engine is exact, and its cost depends on neither width nor sample size.

    Parameters
    ----------
    problem, method, steps, width, init_scale, seed, record_every, weight_decay, progress
        As in :func:`mimo_sim.simulate`. ``width=inf`` is the limit :math:`Z Z^T` =
        ``init_scale**2`` I.
    step_size : float, optional
        eta > 0; by default :func:`default_step_size`.
    initial : (V (m, h), [U_1, ..., U_K] each (m, h), W (h, D)), optional
        Initial weights; sets the width, and `init_scale` and `seed` are ignored.

    Returns
    -------
    xarray.Dataset
        As that of :func:`mimo_sim.simulate`, with ``fusion`` = "early" in the attributes.
        ``encoder_norm`` is the norm of the columns W_k of the one encoder. ``head_norm`` is the
        norm of the one joint head, the same for every modality.

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
    elif not math.isinf(check_width("width", width)):
        weights = _random(problem, int(width), init_scale, seed)
    packed = Packed(problem, method, _factors(problem, weights, init_scale))
    if step_size is None:
        largest = float(np.linalg.norm(packed.Z.reshape(-1, packed.Z.shape[2]), 2))
        step_size = default_step_size(problem, method, init_norm_squared=largest**2)
    check_step_size("step_size", step_size)

    options = Options(
        step_size=float(step_size),
        weight_decay=float(weight_decay),
        steps=recorded_steps(steps, record_every),
        record_maps=False,
        progress=progress,
    )
    settings: dict[str, Any] = {
        "step_size": float(step_size),
        "steps": steps,
        "width": float(width),
        "init_scale": float(init_scale),
        "seed": seed,
        "record_every": record_every,
        "weight_decay": float(weight_decay),
        "fusion": "early",
    }
    records = _run(problem, packed, options)
    return finished(problem, method, settings, options, records, default_step_size)


def _run(problem: LateFusionProblem, packed: Packed, options: Options) -> Records:
    """Train; a recorded step is evaluated here, those between in the compiled loop."""
    Z, m = packed.Z, problem.output_dim
    records = Records.empty(problem, options)
    excess, sigma, work, dZ = packed.scratch()
    memory, counts = flip_memory(problem.num_modalities)
    following = np.append(options.steps[1:], options.steps[-1])
    ceiling = limit(problem)
    with progress_bar(int(options.steps[-1]), options.progress) as advance:
        for row, (now, then) in enumerate(zip(options.steps, following, strict=True)):
            records.excess_mm[row], top = evaluate(Z, *packed.model, excess, sigma, work, dZ)
            if not (records.excess_mm[row] < ceiling and top < ceiling):
                records.diverged_at = int(now)
                break
            records.excess_uni[row] = excess
            records.f_star_excess[row] = packed.base
            records.sigma[row] = sigma
            separate = float(np.sum(dZ[:, :m] ** 2))
            records.grad_norm_sq[row] = observe(
                Z, dZ, packed.sizes, packed.lam, packed.heads, sigma, records.norms[row]
            )
            # There is one V, not K of them.
            records.grad_norm_sq[row] += float(np.sum(dZ[:, :m].sum(0) ** 2)) - separate
            settings = (options.step_size, options.weight_decay, now, then, ceiling, memory, counts)
            diverged = _advance(Z, *packed.model, *settings, excess, sigma, work, dZ)
            if diverged >= 0:
                records.diverged_at = int(diverged)
                break
            advance(int(then - now))
    records.flips, records.first_flip = int(counts[0]), int(counts[1])
    return records
