r"""The landscape of MIMO's objective when all heads move: which widths have no bad minimum.

The proofs are in docs/landscape.md. There the paper's open question 3 is answered for the toy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mimo_sim._checks import check_positive
from mimo_sim.problem import check_problem

if TYPE_CHECKING:
    import numpy.typing as npt

    from mimo_sim.problem import LateFusionProblem


def sufficient_width(problem: LateFusionProblem) -> npt.NDArray[np.int64]:
    r"""The width of each encoder from which on MIMO's objective has no bad minimum.

    It is :math:`\min(2m, d_k)`: the two heads of modality k have 2m rows together, and its encoder
    sees :math:`d_k` inputs. At this width or above every stationary point of F is either
    lexicographically optimal (:math:`f_{mm}` and all :math:`f_k` at their minima) or a strict
    saddle. This holds for every lam > 0 and mu > 0 and every constant f*. The plain head update
    rests at the same points. With one modality, or uncorrelated ones, :math:`\min(m, d_k)` is
    enough.

    Parameters
    ----------
    problem : LateFusionProblem
        Any K and m.

    Returns
    -------
    (K,) array of int
        Hidden units.

    Notes
    -----
    Source: this project, docs/landscape.md, Theorem 1. It answers open question 3 of [MIMO] in
    the toy.
    """
    check_problem(problem)
    return np.minimum(2 * problem.output_dim, np.array(problem.dims, dtype=np.int64))


def worst_gap_bound(problem: LateFusionProblem, lam: float, weight_decay: float) -> float:
    r"""How far weight decay can keep the worst modality from its optimum.

    Let :math:`\omega > 0`, exact f* and ``heads="gradient"``. At every local minimum of
    :math:`F + \frac{\omega}{2}|\theta|^2` in encoders that are wide enough
    (:func:`sufficient_width`), the largest gap is at most

    .. math::
        \frac{K^2 \omega^2}{2 \lambda^2} \max_k \frac{\min(m, d_k)}{\lambda_{min}(S_{kk})}.

    So this price of a finite lam falls at least like :math:`\lambda^{-2}`.

    Parameters
    ----------
    problem : LateFusionProblem
        Any K and m.
    lam : float
        Penalty (> 0).
    weight_decay : float
        The omega above, as in :func:`mimo_sim.simulate`. At 0 there is no price (Theorem 1).

    Returns
    -------
    float
        In units of the loss; ``inf`` where the inputs of a modality are linearly dependent, or
        where the bound is beyond floats.

    Raises
    ------
    ValueError, TypeError
        If `lam` or `weight_decay` is outside its range.

    Notes
    -----
    Source: this project, docs/landscape.md, Theorem 3.
    """
    check_problem(problem)
    check_positive("lam", lam)
    check_positive("weight_decay", weight_decay, allow_zero=True)
    if weight_decay == 0:
        return 0.0
    least = np.array([np.linalg.eigvalsh(row[k])[0] for k, row in enumerate(problem.sigma)])
    rank = np.minimum(problem.output_dim, np.array(problem.dims))
    if least.min() <= 0:
        return math.inf
    with np.errstate(over="ignore"):
        share = np.float64(problem.num_modalities * weight_decay) / lam
        return float(share**2 / 2 * (rank / least).max())
