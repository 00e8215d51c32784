"""Where a run of the two-layer network starts: its weights, and small factors of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mimo_sim._checks import FloatArray, finite_array
from mimo_sim.problem import LateFusionProblem

# V_k (m, h), U_k (m, h) and W_k (h, d_k) of one modality.
Weights: TypeAlias = tuple[FloatArray, FloatArray, FloatArray]


def random_weights(
    problem: LateFusionProblem, width: int, init_scale: float, seed: int
) -> list[Weights]:
    r"""Gaussian weights of variance ``init_scale**2 / width``.

    So :math:`Z_k Z_k^T \to` ``init_scale**2`` I as the width grows.
    """
    return random_blocks(problem.dims, problem.output_dim, width, init_scale, seed)


def random_blocks(
    dims: Sequence[int], m: int, width: int, init_scale: float, seed: int
) -> list[Weights]:
    """:func:`random_weights` for inputs of these `dims` and `m` outputs.

    The numbers of V_1, U_1, W_1, V_2, ... come row by row from one call of the generator, which is
    fast.
    """
    numbers = np.random.default_rng(seed).standard_normal(width * sum(2 * m + d for d in dims))
    drawn = init_scale / math.sqrt(width) * numbers
    weights, first = [], 0
    for d in dims:
        last = first + width * (2 * m + d)
        v, u, w = np.split(drawn[first:last], [m * width, 2 * m * width])
        weights.append((v.reshape(m, width), u.reshape(m, width), w.reshape(width, d)))
        first = last
    return weights


def norm_squared(weights: Sequence[Weights] | None, init_scale: float) -> float:
    """The largest over modalities of |V_k|^2 + |U_k|^2 + |W_k|^2, in spectral norms.

    Without weights: the limit of infinite width.
    """
    if weights is None:
        return 3 * init_scale**2
    return float(max(sum(np.linalg.norm(block, 2) ** 2 for block in triple) for triple in weights))


def checked_weights(
    problem: LateFusionProblem, initial: Sequence[Sequence[npt.ArrayLike]]
) -> list[Weights]:
    """`initial` as float64 copies, with every shape checked."""
    if not isinstance(initial, Sequence) or not all(
        isinstance(triple, Sequence) for triple in initial
    ):
        raise TypeError(
            f"`initial` must be a list over modalities of (V_k, U_k, W_k). Got {initial!r:.80}."
        )
    if len(initial) != problem.num_modalities or any(len(triple) != 3 for triple in initial):
        raise ValueError(
            "`initial` must hold one (V_k, U_k, W_k) per modality "
            f"({problem.num_modalities}). Got entries of lengths {[len(t) for t in initial]}."
        )
    triples = [
        tuple(finite_array(f"initial[{k}][{i}]", block).copy() for i, block in enumerate(triple))
        for k, triple in enumerate(initial)
    ]
    width = triples[0][0].shape[-1] if triples[0][0].ndim == 2 else 0
    for k, (triple, d) in enumerate(zip(triples, problem.dims, strict=True)):
        expected = ((problem.output_dim, width), (problem.output_dim, width), (width, d))
        shapes = tuple(block.shape for block in triple)
        if width < 1 or shapes != expected:
            raise ValueError(
                f"`initial[{k}]` must be (V_k, U_k, W_k) of shapes (m, h), (m, h), (h, d_k) = "
                f"{expected}. Got {shapes}."
            )
    return [(v, u, w) for v, u, w in triples]


def compact(Z: FloatArray) -> FloatArray:
    """A factor F of Z Z^T = F F^T with at most as many columns as rows.

    Z may be a stack of matrices. F comes from a QR decomposition. So nothing is squared, and tiny
    initial weights keep their relative precision.
    """
    if Z.shape[-1] <= Z.shape[-2]:
        return Z
    return np.asarray(np.linalg.qr(Z.swapaxes(-1, -2), mode="r")).swapaxes(-1, -2)


def compact_factors(
    problem: LateFusionProblem, weights: Sequence[Weights] | None, init_scale: float
) -> list[FloatArray]:
    r"""For each modality a small factor of :math:`Z_k Z_k^T`, where Z_k = [V_k; U_k; W_k^T].

    Its shape is (n, min(h, n)) with n = 2m + d_k. Without weights: the limit of infinite width.
    """
    if weights is None:
        return [init_scale * np.eye(2 * problem.output_dim + d) for d in problem.dims]
    return [compact(np.vstack([v, u, w.T])) for v, u, w in weights]
