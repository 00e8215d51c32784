"""What follows from a problem's moments by least squares, without the package's closed forms."""

from __future__ import annotations

import numpy as np

import mimo_sim as ms
from paper_checks.network import Array


def sizes(problem: ms.LateFusionProblem) -> Array:
    """|C_k| of each modality (K,), the largest singular value of its block."""
    return np.array([np.linalg.norm(block, 2) for block in problem.sigma_yx])


def joint_map(problem: ms.LateFusionProblem) -> Array:
    """The map (m, D) of all inputs together that minimises f_mm."""
    best = np.linalg.lstsq(problem.input_moment, problem.cross_moment.T, rcond=None)[0]
    return np.asarray(best.T)


def unimodal_map(problem: ms.LateFusionProblem, k: int) -> Array:
    """The map (m, d_k) that minimises f_k."""
    best = np.linalg.lstsq(problem.sigma[k][k], problem.sigma_yx[k].T, rcond=None)[0]
    return np.asarray(best.T)


def explained(problem: ms.LateFusionProblem) -> Array:
    """How much of E[y^2] each modality explains alone (K,)."""
    every = range(problem.num_modalities)
    return np.array([np.sum(unimodal_map(problem, k) * problem.sigma_yx[k]) for k in every])


def left_to_learn(problem: ms.LateFusionProblem) -> tuple[int, int, Array]:
    """What A leaves for B to learn, for two modalities and one output.

    Returns
    -------
    a, b : int
        Indices of A, the modality with the larger |C_k|, and of B.
    residual : array (1, d_B)
        D = C_B - C_A S_AA^-1 S_AB.
    """
    first, second = sizes(problem)
    a, b = (0, 1) if first >= second else (1, 0)
    return a, b, np.asarray(problem.sigma_yx[b] - unimodal_map(problem, a) @ problem.sigma[a][b])
