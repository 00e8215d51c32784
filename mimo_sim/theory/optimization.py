r"""Step sizes: the curvature that gradient descent meets, what is safe, when sigma chatters."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from mimo_sim._checks import check_positive
from mimo_sim.problem import check_problem
from mimo_sim.rules._base import Rule
from mimo_sim.rules.stch import STCH
from mimo_sim.solvers import MIMO, AnySolver, check_solver
from mimo_sim.theory.preference import correlations

if TYPE_CHECKING:
    from mimo_sim._checks import FloatArray
    from mimo_sim.problem import LateFusionProblem

GRID = 513  # common gaps at which the chattering threshold is looked for, both ends included


def _map_sizes(problem: LateFusionProblem) -> FloatArray:
    """(K,) spectral norm of modality k's map: the larger one of the joint and uni-modal optimum."""
    sizes = []
    for k, alone in enumerate(problem.unimodal_maps):
        joint = problem.joint_map[:, problem.features(k)]
        sizes.append(max(np.linalg.norm(joint, 2), np.linalg.norm(alone, 2)))
    return np.array(sizes)


def _squared_slopes(problem: LateFusionProblem, remaining: FloatArray) -> FloatArray:
    r"""(K, ...) bound on :math:`|\nabla f_k|^2` on the way from the origin to the optimum.

    `remaining` is the fraction q of the map :math:`N_k^*` that is not yet learned. On the ray N =
    (1 - q) N* the squared slope is bounded by

    .. math::
        |\nabla f_k|^2 = |Q W^T|^2 + |Q^T U|^2 \le q^2 |C_k|^2 (|W|^2 + |U|^2), \qquad
        |W|^2 + |U|^2 \le 2\,|[M; N]| \le 2\sqrt2\,(1-q)\max(|M_k^*|, |N_k^*|).
    """
    scale = 2 * math.sqrt(2) * correlations(problem) ** 2 * _map_sizes(problem)
    return np.asarray(scale[:, None] * remaining**2 * (1 - remaining))


def smoothness(
    problem: LateFusionProblem, method: AnySolver, *, init_norm_squared: float = 0.0
) -> float:
    r"""An estimate of the largest curvature between the initial point and the optimum.

    .. math:: L = L_{mm} + \lambda\,(\max_k L_k + \max_k l_k^2 / 2\mu)

    where :math:`L_{mm} = |S|\nu + \max_k |C_k|` and :math:`L_k = |S_{kk}|\nu_k + |C_k|`.
    :math:`\nu_k` bounds :math:`|W_k|^2 + |V_k|^2` and :math:`|W_k|^2 + |U_k|^2`, and
    :math:`\nu = \max_k \nu_k`. It follows from the norms at the optimum, by the argument of
    :func:`final_encoder_norms`. :math:`l_k^2` bounds :math:`|\nabla f_k|^2`. The factor 1/2 is the
    largest eigenvalue that :math:`diag(\sigma) - \sigma\sigma^T` can have.

    A rule has no single objective. There it is the larger one of :math:`L_{mm}` and :math:`L_k`,
    times the sum of the weights, and for STCH also the last term with lam = 1.

    Parameters
    ----------
    problem, method
        As in :func:`mimo_sim.simulate`.
    init_norm_squared : float
        Largest :math:`|W_k|^2 + |V_k|^2 + |U_k|^2` (spectral) of the initial point, where that is
        not tiny.

    Returns
    -------
    float
        1/L is the step size of Theorem 1; :func:`default_step_size` takes half of it.

    Notes
    -----
    Source: [MIMO] Sec. 3.3, with the constants of the toy.
    """
    check_solver(method, with_rules=True)
    check_positive("init_norm_squared", init_norm_squared, allow_zero=True)
    correlation = correlations(problem)
    own = np.array([np.linalg.norm(row[k], 2) for k, row in enumerate(problem.sigma)])
    whole = float(np.linalg.norm(problem.input_moment, 2))
    lam = 1.0 if isinstance(method, Rule) else method.lam
    factor = math.sqrt(2) if lam > 0 else 1.0
    stretch = 2 * _map_sizes(problem) * factor + init_norm_squared
    curvature = whole * stretch.max() + correlation.max() + whole * init_norm_squared
    if lam > 0 or method.heads == "plain":
        uni_curvature = float(np.max(own * stretch + correlation + own * init_norm_squared))
        if isinstance(method, Rule):
            weight_sum = max(1.0, method.weight_sum(problem.num_modalities))
            curvature = weight_sum * max(curvature, uni_curvature)
        else:
            curvature += max(lam, 1.0 if method.heads == "plain" else 0.0) * uni_curvature
    if isinstance(method, STCH) or (lam > 0 and not isinstance(method, Rule)):
        steepest = _squared_slopes(problem, np.array([2 / 3])).ravel()
        initial = (correlation + own * init_norm_squared) ** 2 * init_norm_squared
        curvature += lam * (steepest + initial).max() / (2 * method.mu)
    return float(curvature)


def default_step_size(
    problem: LateFusionProblem, method: AnySolver, *, init_norm_squared: float = 0.0
) -> float:
    """Half of 1/L (:func:`smoothness`). By Theorem 1 the objective falls already at 1/L.

    It is 1 where there is no curvature, as nothing can be learned there.
    """
    curvature = smoothness(problem, method, init_norm_squared=init_norm_squared)
    return 0.5 / curvature if curvature > 0 else 1.0


def chattering_threshold(problem: LateFusionProblem, lam: float, mu: float) -> float:
    r"""The step size above which sigma is expected to flip from step to step once gaps have met.

    Where two gaps are equal, gradient descent keeps them equal with the weights
    :math:`\sigma_k \propto 1/l_k^2`, where :math:`l_k = |\nabla f_k|`. These weights are a fixed
    point of the iteration. It is stable while :math:`\eta \lambda c / \mu < 2`. Here
    :math:`c = 1/(l_i^{-2} + l_j^{-2})` is the largest eigenvalue of
    :math:`diag(l)(diag(\sigma) - \sigma\sigma^T)diag(l)`. The threshold is the smallest
    :math:`2\mu/(\lambda c)` over all pairs of modalities and all values of their common gap. These
    values go from the smaller of the two initial gaps down to zero. :math:`l_k` is bounded as in
    :func:`smoothness`. More modalities tied at once have a smaller c.

    Parameters
    ----------
    problem : LateFusionProblem
        Any K and m.
    lam, mu : float
        Penalty (>= 0) and smoothing (> 0).

    Returns
    -------
    float
        A step size; ``inf`` for lam = 0 or one modality.

    Raises
    ------
    ValueError, TypeError
        If `lam` or `mu` is outside its range.
    """
    check_problem(problem)
    MIMO(lam=lam, mu=mu)  # checks them
    start = problem.y_second_moment / 2 - problem.unimodal_optima
    smallest = math.inf
    for pair in itertools.combinations(range(problem.num_modalities), 2):
        lower = start[list(pair)].min()
        if lam == 0 or lower <= 0:
            continue
        common = lower * np.linspace(0, 1, GRID)[1:-1]
        remaining = np.sqrt(common / start.clip(lower)[:, None])
        slopes = _squared_slopes(problem, remaining)[list(pair)]
        inverse = np.sum(1 / np.maximum(slopes, np.finfo(float).tiny), axis=0)
        smallest = min(smallest, float(np.min(2 * mu / lam * inverse)))
    return smallest
