r"""Early fusion under MIMO: how the shared encoder grows near the origin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mimo_sim.solvers import MIMO
from mimo_sim.theory.mimo import initial_sigma

if TYPE_CHECKING:
    from mimo_sim._checks import FloatArray
    from mimo_sim.problem import LateFusionProblem


def growth_matrix(problem: LateFusionProblem, lam: float, mu: float) -> FloatArray:
    r"""The matrix that early fusion follows near the origin (exact f*, ``heads="gradient"``).

    Its singular values are the growth rates per unit of flow time. The encoder W grows along the
    right singular vectors, the heads V and U_k along the left ones.

    Parameters
    ----------
    problem : LateFusionProblem
        Any K and m.
    lam, mu : float
        Penalty (>= 0) and smoothing (> 0).

    Returns
    -------
    (m + K m, D) array
        The first m rows are :math:`C = [C_1 \dots C_K]`. Below them stands
        :math:`\lambda\sigma_k(0) C_k`, in the rows of U_k and the columns of modality k.

    Raises
    ------
    ValueError, TypeError
        If `lam` or `mu` is outside its range.

    Notes
    -----
    Source: this project's own; lam = 0 is early fusion in [ZLS].
    """
    MIMO(lam=lam, mu=mu)  # checks them
    weight = lam * initial_sigma(problem, mu)
    m = problem.output_dim
    heads = np.zeros((problem.num_modalities * m, sum(problem.dims)))
    for k, cross in enumerate(problem.sigma_yx):
        heads[k * m : (k + 1) * m, problem.features(k)] = weight[k] * cross
    return np.vstack([problem.cross_moment, heads])
