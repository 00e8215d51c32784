r"""MIMO: growth rates, the penalty that turns the order, learning times, and where encoders end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mimo_sim._checks import check_positive, check_run
from mimo_sim.objective import sigma_weights
from mimo_sim.problem import check_problem
from mimo_sim.solvers import MIMO, FStarRule, HeadUpdate, Solver, check_solver, initial_f_star
from mimo_sim.theory.joint import check_scalar_output, residual_correlation, turned
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


def mimo_learning_times(problem: LateFusionProblem, lam: float) -> FloatArray:
    r"""When MIMO makes each of two encoders emerge (exact f*, mu -> 0, :math:`u_0 \to 0`).

    Let g be the modality with the larger gap at the start, and o the other one. Modality g has
    sigma = 1 and grows at the rate :math:`|C_g|\sqrt{1+\lambda^2}`. Modality o has sigma = 0 and
    grows at :math:`|C_o|`. One of them emerges first. From then on the second one has sigma = 1:

    * if g was first, its gap falls until it equals the gap of o, and stays equal to it;
    * if o was first, g's gap is still the larger one.

    The first one has also taken a part of what the second could explain. With C the correlation of
    the second, :math:`D = C - C_{first} S_{first}^{+} S_{first,second}` is left. So the second
    grows at the largest singular value of :math:`[D; \lambda C]`.

    Parameters
    ----------
    problem : LateFusionProblem
        With K = 2 and m = 1.
    lam : float
        Penalty, >= 0; 0 is joint training (:func:`learning_times`).

    Returns
    -------
    (2,) array
        In units of :math:`\ln(1/u_0)`: multiply by that for flow time.

    Raises
    ------
    ValueError
        If K is not 2 or m not 1, or an input has nothing to do with the target.

    Notes
    -----
    For uncorrelated inputs and :math:`\lambda > \lambda^*` the ratio of the two times is
    :math:`1 + |C_g|/|C_o| - 1/\sqrt{1+\lambda^2}`. MIMO shortens the wait of joint training
    (:func:`time_ratio`), but does not abolish it. Half-times lie closer together than that, because
    the first encoder is held below half of its final size while it waits. The limit needs a mu well
    below both gaps and their difference.
    """
    check_scalar_output(problem, "The order of learning under MIMO")
    check_positive("lam", lam, allow_zero=True)
    if problem.num_modalities != 2:
        raise ValueError(
            "MIMO's learning times are known for two modalities. "
            f"Got num_modalities={problem.num_modalities}."
        )
    correlation = correlations(problem)
    if (correlation == 0).any():
        raise ValueError(
            f"Both modalities must correlate with the target. Got |C| = {correlation.tolist()}."
        )
    leader = superficial_preference(problem).most_explaining
    rates = correlation * np.where(np.arange(2) == leader, math.sqrt(1 + lam**2), 1.0)
    first = int(np.argmax(rates))
    second = 1 - first
    residual = residual_correlation(problem, learned=first, waiting=second)
    late_rate = float(np.linalg.norm(np.vstack([residual, lam * problem.sigma_yx[second]]), 2))
    times = np.empty(2)
    times[first] = 1 / rates[first]
    gain = rates[second] * times[first]
    if lam == 0:
        gain = turned(gain, problem.sigma_yx[second], residual, exact_limit=True)
    times[second] = times[first] + (1 - gain) / late_rate if late_rate > 0 else math.inf
    return times


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
