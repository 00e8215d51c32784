r"""MIMO: growth rates, the penalty that turns the order, and where encoders end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mimo_sim._checks import check_positive, check_run
from mimo_sim.objective import sigma_weights
from mimo_sim.problem import check_problem
from mimo_sim.solvers import MIMO, FStarRule, HeadUpdate, Solver, check_solver, initial_f_star
from mimo_sim.theory.preference import correlations, superficial_preference

if TYPE_CHECKING:
    import xarray as xr

    from mimo_sim._checks import FloatArray
    from mimo_sim.problem import LateFusionProblem


def initial_sigma(problem: LateFusionProblem, mu: float, f_star: FStarRule = "exact") -> FloatArray:
    """(K,) sigma weights of the zero network."""
    check_problem(problem)
    start = np.full(problem.num_modalities, problem.y_second_moment / 2)
    estimate = initial_f_star(MIMO(f_star=f_star), problem.unimodal_optima)
    # the running minimum starts with the losses themselves
    estimate = np.where(np.isinf(estimate), start, estimate)
    return np.asarray(sigma_weights(start - estimate, mu))


def growth_rates(
    problem: LateFusionProblem,
    lam: float,
    mu: float,
    *,
    heads: HeadUpdate = "gradient",
    f_star: FStarRule = "exact",
) -> FloatArray:
    r"""Exponential growth rate of each encoder's norm near the origin, under gradient flow.

    Let :math:`\sigma(0)` be the weights sigma of a network whose parameters are all zero. The rate
    is

    .. math::
        |C_k| \sqrt{1 + \lambda^2 \sigma_k(0)^2} \quad\text{(heads="gradient")}, \qquad
        |C_k| \sqrt{1 + \lambda \sigma_k(0)} \quad\text{(heads="plain")}.

    ``f_star="zero"`` and ``"running_minimum"`` make all gaps of the zero network equal. Then
    :math:`\sigma_k(0) = 1/K`, and MIMO cannot change the order.

    Parameters
    ----------
    problem : LateFusionProblem
        Any K and m.
    lam, mu : float
        Penalty (>= 0) and smoothing (> 0). ``lam=0`` gives joint training's rates.
    heads, f_star
        As in :class:`mimo_sim.MIMO`.

    Returns
    -------
    (K,) array
        Per unit of flow time. Gradient descent with step eta multiplies the norm by 1 + eta * rate.

    Raises
    ------
    ValueError, TypeError
        If a hyper-parameter is outside its range.
    """
    MIMO(lam=lam, mu=mu, f_star=f_star, heads=heads)  # checks them
    weight = lam * initial_sigma(problem, mu, f_star)
    return correlations(problem) * np.sqrt(1 + (weight**2 if heads == "gradient" else weight))


def order_threshold(
    problem: LateFusionProblem, mu: float = 0.0, *, heads: HeadUpdate = "gradient"
) -> float:
    r"""The penalty lam* above which MIMO (exact f*) learns the most explaining modality first.

    Let B be the modality that explains most, and A the one with the largest :math:`|C_k|`. For mu
    -> 0

    .. math:: \lambda^* = \sqrt{(|C_A|/|C_B|)^2 - 1}

    For ``heads="plain"`` it is the square of this. For mu > 0, lam* is where the
    :func:`growth_rates` of A and B are equal.

    Parameters
    ----------
    problem : LateFusionProblem
        Any K and m.
    mu : float
        Smoothing, >= 0; 0 is the limit.
    heads : {"gradient", "plain"}
        As in :class:`mimo_sim.MIMO`.

    Returns
    -------
    float
        No unit. 0 when joint training already learns the most explaining modality first; ``inf``
        when no penalty turns the order, because mu is too large.

    Raises
    ------
    ValueError, TypeError
        If `mu` or `heads` is outside its range.
    """
    check_positive("mu", mu, allow_zero=True)
    MIMO(heads=heads)  # checks it
    report = superficial_preference(problem)
    best = report.most_explaining
    squared = report.correlation**2
    others = [k for k in range(problem.num_modalities) if squared[k] > squared[best]]
    if not others:
        return 0.0
    sigma = initial_sigma(problem, mu) if mu > 0 else np.eye(problem.num_modalities)[best]
    power = 2 if heads == "gradient" else 1
    lead = squared[best] * sigma[best] ** power - squared[others] * sigma[others] ** power
    if (lead <= 0).any():
        return math.inf
    return float(np.max((squared[others] - squared[best]) / lead) ** (1 / power))


def final_encoder_norms(problem: LateFusionProblem, method: Solver) -> FloatArray:
    r"""Frobenius norm of each encoder at the end of a converged run from tiny initialisation.

    :math:`|W_k|_F^2` is a nuclear norm, the sum of the singular values of a map that modality k's
    heads must realise. The map is :math:`[M_k; N_k]` for MIMO, and :math:`M_k` alone for joint
    training. Here :math:`M_k` is modality k's part of the best joint map, and :math:`N_k` its best
    map alone.

    Parameters
    ----------
    problem : LateFusionProblem
        Any K and m.
    method : Vanilla or MIMO
        Any f_star (all gaps close in the end), ``heads="gradient"``. ``lam=0`` counts as joint
        training.

    Returns
    -------
    (K,) array
        In square roots of (units of y over units of x_k).

    Raises
    ------
    ValueError
        For ``heads="plain"`` with lam > 0, which conserves no balance between encoder and heads.
    """
    check_problem(problem)
    check_solver(method)
    if method.lam > 0 and method.heads == "plain":
        raise ValueError(
            "The final norms are known for `heads='gradient'` only: the plain head update "
            "conserves nothing. Got heads='plain'."
        )
    norms = []
    for k in range(problem.num_modalities):
        joint = problem.joint_map[:, problem.features(k)]
        reached = np.vstack([joint, problem.unimodal_maps[k]]) if method.lam > 0 else joint
        norms.append(math.sqrt(np.linalg.norm(reached, "nuc")))
    return np.array(norms)


def conserved_quantity(run: xr.Dataset) -> xr.DataArray:
    r"""The balance :math:`|W_k|_F^2 - |V_k|_F^2 - |U_k|_F^2` of encoder and heads along a run.

    It is the trace of :math:`W_k W_k^T - V_k^T V_k - U_k^T U_k`. Gradient flow conserves it for
    ``heads="gradient"`` and for frozen heads, without weight decay. Gradient descent drifts by
    O(eta^2) a step.

    Parameters
    ----------
    run : xarray.Dataset
        What :func:`mimo_sim.simulate` returns.

    Returns
    -------
    DataArray (step, modality)
        In the units of a squared weight.
    """
    check_run(run, "encoder_norm", "head_norm", "uni_head_norm")
    balance: xr.DataArray = run.encoder_norm**2 - run.head_norm**2 - run.uni_head_norm**2
    return balance.rename("conserved_quantity")
