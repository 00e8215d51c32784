r"""Gradient descent: the curvature it meets, the step size that is safe, and the one above which sigma chatters."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from mimo_sim.solvers import MIMO, Solver
from mimo_sim.theory.preference import correlations

if TYPE_CHECKING:
    from mimo_sim._checks import FloatArray
    from mimo_sim.problem import LateFusionProblem


def _squared_slopes(problem: LateFusionProblem, remaining: FloatArray) -> FloatArray:
    r"""(K, ...) bound on :math:`|\nabla f_k|^2` along the path from the origin when the fraction `remaining` of N_k* is unlearned.

    On the ray N = (1 - q) N*: :math:`|\nabla f_k|^2 = |Q W^T|^2 + |Q^T U|^2 \le q^2 |C_k|^2 (|W|^2 + |U|^2)` with
    :math:`|W|^2 + |U|^2 \le 2\,|[M; N]| \le 2\sqrt2\,(1-q)\max(|M_k^*|, |N_k^*|)`.
    """
    norms = [
        max(
            np.linalg.norm(problem.joint_map[:, problem.features(k)], 2),
            np.linalg.norm(problem.unimodal_maps[k], 2),
        )
        for k in range(problem.num_modalities)
    ]
    scale = 2 * math.sqrt(2) * correlations(problem) ** 2 * np.array(norms)
    return np.asarray(scale[:, None] * remaining**2 * (1 - remaining))


def smoothness(
    problem: LateFusionProblem, method: Solver, *, init_norm_squared: float = 0.0
) -> float:
    r"""An estimate of the largest curvature that gradient descent meets on its way from the initial point to the optimum.

    .. math:: L = L_{mm} + \lambda\,(\max_k L_k + \max_k l_k^2 / 2\mu) \qquad \text{[MIMO, Sec. 3.3, with the constants of the toy]}

    where :math:`L_{mm} = |S|\nu + \max_k |C_k|`, :math:`L_k = |S_{kk}|\nu_k + |C_k|` and :math:`\nu_k` bounds
    :math:`|W_k|^2 + |V_k|^2` (or :math:`|W_k|^2 + |U_k|^2`) by the norms at the optimum (:func:`final_encoder_norms`' argument), and
    :math:`l_k^2` bounds :math:`|\nabla f_k|^2`. The factor 1/2 is the largest eigenvalue that :math:`diag(\sigma) - \sigma\sigma^T` can have.

    Parameters
    ----------
    problem, method
        As in :func:`mimo_sim.simulate`.
    init_norm_squared : float
        Largest :math:`|W_k|^2 + |V_k|^2 + |U_k|^2` (spectral) of the initial point, where that is not tiny.

    Returns
    -------
    float
        1/L is the step size of Theorem 1; :func:`default_step_size` takes half of it.
    """
    correlation = correlations(problem)
    every = range(problem.num_modalities)
    norms = np.array(
        [
            max(
                np.linalg.norm(problem.joint_map[:, problem.features(k)], 2),
                np.linalg.norm(problem.unimodal_maps[k], 2),
            )
            for k in every
        ]
    )
    uni = np.array([np.linalg.norm(problem.sigma[k][k], 2) for k in every])
    whole = float(np.linalg.norm(problem.input_moment, 2))
    stretch = 2 * norms * (math.sqrt(2) if method.lam > 0 else 1.0) + init_norm_squared
    curvature = whole * stretch.max() + correlation.max() + whole * init_norm_squared
    if method.lam > 0 or method.heads == "plain":
        uni_curvature = float(np.max(uni * stretch + correlation + uni * init_norm_squared))
        curvature += max(method.lam, 1.0 if method.heads == "plain" else 0.0) * uni_curvature
    if method.lam > 0:
        slopes = (
            _squared_slopes(problem, np.array([2 / 3])).ravel()
            + (correlation + uni * init_norm_squared) ** 2 * init_norm_squared
        )
        curvature += method.lam * slopes.max() / (2 * method.mu)
    return float(curvature)


def default_step_size(
    problem: LateFusionProblem, method: Solver, *, init_norm_squared: float = 0.0
) -> float:
    """Half of 1/L (:func:`smoothness`): monotone by Theorem 1 with a margin of two. 1 where there is no curvature, as nothing can be learned."""
    curvature = smoothness(problem, method, init_norm_squared=init_norm_squared)
    return 0.5 / curvature if curvature > 0 else 1.0


def chattering_threshold(problem: LateFusionProblem, lam: float, mu: float) -> float:
    r"""The step size above which sigma is expected to flip from step to step once the gaps have met.

    Where two gaps are tied, gradient descent holds them together by :math:`\sigma_k \propto 1/l_k^2` with :math:`l_k = |\nabla f_k|`. That fixed
    point of the discrete iteration is stable while :math:`\eta \lambda c / \mu < 2` with :math:`c = 1/(l_i^{-2} + l_j^{-2})`, the largest eigenvalue of
    :math:`diag(l)(diag(\sigma) - \sigma\sigma^T)diag(l)`. The threshold is the smallest :math:`2\mu/(\lambda c)` over pairs of modalities and over common
    gaps from the smaller of the pair's initial gaps to zero (more modalities tied at once have a smaller c), with the bound on :math:`l_k` used by
    :func:`smoothness`.

    Returns
    -------
    float
        A step size; ``inf`` for lam = 0 or one modality.
    """
    MIMO(lam=lam, mu=mu)  # validates
    start = problem.y_second_moment / 2 - problem.unimodal_optima
    smallest = math.inf
    for pair in itertools.combinations(range(problem.num_modalities), 2):
        own = start[list(pair)]
        if lam == 0 or own.min() <= 0:
            continue
        common = own.min() * np.linspace(0, 1, 513)[1:-1]
        slopes = _squared_slopes(problem, np.sqrt(common / start.clip(own.min())[:, None]))[
            list(pair)
        ]
        smallest = min(
            smallest,
            float(
                np.min(2 * mu / lam * np.sum(1 / np.maximum(slopes, np.finfo(float).tiny), axis=0))
            ),
        )
    return smallest
