r"""Early fusion under MIMO: how fast the shared encoder grows near the origin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mimo_sim.solvers import MIMO
from mimo_sim.theory.mimo import initial_sigma

if TYPE_CHECKING:
    from mimo_sim._checks import FloatArray
    from mimo_sim.problem import LateFusionProblem


def growth_matrix(problem: LateFusionProblem, lam: float, mu: float) -> FloatArray:
    r"""The (m + K m, D) matrix whose singular values are the growth rates of early fusion near the origin (exact f*, heads="gradient").

    Its first m rows are C = [C_1 ... C_K]; below them stands :math:`\lambda\sigma_k(0) C_k` in the rows of U_k and the columns of modality k. W grows along
    the right singular vectors at the rate of the singular values, V and the U_k along the left ones.
    """
    MIMO(lam=lam, mu=mu)  # validates
    weight = lam * initial_sigma(problem, mu)
    m, heads = (
        problem.output_dim,
        np.zeros((problem.num_modalities * problem.output_dim, sum(problem.dims))),
    )
    for k, cross in enumerate(problem.sigma_yx):
        heads[k * m : (k + 1) * m, problem.features(k)] = weight[k] * cross
    return np.vstack([problem.cross_moment, heads])
