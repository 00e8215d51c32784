r"""How fast encoders grow near the origin under the rules of the field, and what follows from it.

Near the origin the residual correlations are the C_k themselves. Let modality k grow along the top
singular direction of C_k, with :math:`c_k = |C_k|`, and let a rule hold its weights: p of f_mm, w_k
of f_k, the same in encoders and heads. Then

.. math:: \dot v_k = p\,c_k\,\omega_k, \quad \dot u_k = w_k\,c_k\,\omega_k, \quad
    \dot\omega_k = c_k (p\,v_k + w_k\,u_k)

for joint head, own head and encoder. So :math:`|W_k|` grows at the rate
:math:`c_k\sqrt{p^2 + w_k^2}`, along a mode with :math:`(v, u, \omega) \propto (p, w_k, \sqrt{p^2 +
w_k^2})`. The weights of some rules depend on how large the modes are in comparison. They settle
where all rates are equal: the larger a mode, the less weight its own gradient gets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from mimo_sim._checks import check_positive, shown
from mimo_sim.problem import check_problem
from mimo_sim.rules import (
    MGDA,
    OGM,
    STCH,
    CAGrad,
    GBlending,
    GradNorm,
    LinearScalarization,
    MMPareto,
    PCGrad,
    Rule,
)
from mimo_sim.theory.joint import residual_correlation
from mimo_sim.theory.preference import correlations, superficial_preference

if TYPE_CHECKING:
    from mimo_sim._checks import FloatArray
    from mimo_sim.problem import LateFusionProblem


def rule_growth_rates(problem: LateFusionProblem, rule: Rule) -> FloatArray:
    r"""Exponential growth rate of each encoder's norm near the origin, under gradient flow.

    With :math:`c_k = |C_k|`, the largest singular value of C_k:

    =====================================  =========================================================
    linear scalarization                   :math:`c_k\sqrt{1 + w_k^2}`
    PCGrad                                 :math:`c_k\sqrt2`, without conflict near the origin
    MGDA (encoder)                         :math:`c_k`
    CAGrad                                 :math:`c_k\sqrt{(1 + c)/D}`, D what `rescale` divides by
    MMPareto                               :math:`c_k\sqrt{2\gamma}`
    STCH                                   :math:`c_k\sqrt{p^2 + w_k^2}`, weights at the origin
    G-Blending, estimated                  :math:`c_k/\sqrt2` for the largest, :math:`c_k/2` else
    OGM, two modalities                    one rate for both (see Notes)
    MGDA (network), GradNorm               one rate r for all (see Notes)
    =====================================  =========================================================

    Parameters
    ----------
    problem : LateFusionProblem
        Any K and m, with every C_k non-zero.
    rule : Rule
        One of :mod:`mimo_sim.rules`.

    Returns
    -------
    (K,) array
        Per unit of flow time. Gradient descent with step eta multiplies the norm by 1 + eta * rate.

    Raises
    ------
    ValueError
        If an input has nothing to do with the target, or for a rule without a law.

    Notes
    -----
    For MGDA (network) and GradNorm let :math:`x_k = w_k / p = \sqrt{(r/p)^2/c_k^2 - 1}`. At equal
    rates the least-norm condition becomes :math:`\sum_k 1/x_k = 1`, and GradNorm's condition
    becomes :math:`\sum_k x_k^{-4} = 1`. Each has one solution r/p. The weights add up to one, for
    GradNorm to K + 1. This gives p. Both rules equalise the growth of all modalities.

    OGM holds A, the faster of two modalities, back to the rate c_B of the other one. If
    :math:`(c_B/c_A)^2` exceeds its largest factor :math:`\kappa = 1 - \tanh\alpha`, it does so by
    flipping from step to step, which slows both: their rate is then
    :math:`c_A c_B\sqrt{(1 + \kappa)/(c_A^2 + c_B^2)}`.

    G-Blending favours the mode with the largest gradient. With initial weights of one size this is
    the largest :math:`c_k`, as long as that exceeds the others by more than the differences of the
    initial weights can make up.
    """
    check_problem(problem)
    if not isinstance(rule, Rule):
        raise TypeError(f"`rule` must be a rule such as mimo_sim.MGDA(). Got {shown(rule)}.")
    rule.check_modalities(problem.num_modalities)
    c = correlations(problem)
    if (c == 0).any():
        raise ValueError(f"Every modality must correlate with the target. Got |C| = {c.tolist()}.")
    match rule:
        case LinearScalarization():
            return np.asarray(c * np.sqrt(1 + np.square(rule.weight)))
        case PCGrad():
            return c * math.sqrt(2)
        case MGDA(scope="encoder"):
            return c
        case CAGrad():
            return np.asarray(c * math.sqrt((1 + rule.c) / rule.divisor))
        case MMPareto():
            return c * math.sqrt(2 * rule.gamma)
        case OGM():
            return _ogm_rates(rule, c)
        case STCH():
            return _stch_rates(problem, rule, c)
        case GBlending():
            return _blending_rates(rule, c)
        case MGDA():
            return _equal_rate(c, lambda x: float(np.sum(1 / x)), 1.0)
        case GradNorm():
            return _equal_rate(c, lambda x: float(np.sum(x**-4.0)), len(c) + 1.0)
    raise ValueError(f"No law is known for the rule {rule!r}.")


def _stch_rates(problem: LateFusionProblem, rule: STCH, c: FloatArray) -> FloatArray:
    start = problem.y_second_moment / 2
    gaps = start - np.array([problem.joint_optimum, *problem.unimodal_optima])
    weights = np.exp((gaps - gaps.max()) / rule.mu)
    weights /= weights.sum()
    return np.asarray(c * np.sqrt(weights[0] ** 2 + weights[1:] ** 2))


def _ogm_rates(rule: OGM, c: FloatArray) -> FloatArray:
    if len(c) > 2:
        raise ValueError(f"OGM's growth is known for two modalities. Got num_modalities={len(c)}.")
    if rule.alpha == 0 or c[0] == c[1]:
        return c
    kappa = 1 - math.tanh(rule.alpha)
    flipping = (c.min() / c.max()) ** 2 > kappa
    rate = c.prod() * math.sqrt((1 + kappa) / float(c @ c)) if flipping else c.min()
    return np.full_like(c, rate)


def _blending_rates(rule: GBlending, c: FloatArray) -> FloatArray:
    if rule.given is not None:
        *uni, joint = rule.given
        return np.asarray(c * np.sqrt(joint**2 + np.square(uni)))
    return np.asarray(c * np.where(c == c.max(), math.sqrt(0.5), 0.5))


def _equal_rate(
    c: FloatArray, condition: Callable[[FloatArray], float], weight_sum: float
) -> FloatArray:
    """The one rate at which all modalities grow when ``condition(x) = 1`` holds."""

    def x(ratio: float) -> FloatArray:  # ratio: r / (p max c)
        return np.asarray(np.sqrt(np.maximum((ratio * c.max() / c) ** 2 - 1, 1e-300)))

    ratio = brentq(lambda each: math.log(condition(x(each))), 1 + 1e-12, 10.0 * len(c))
    joint = weight_sum / (1 + x(ratio).sum())
    return np.full_like(c, joint * ratio * c.max())


def scalarization_time_ratio(problem: LateFusionProblem, weight: float = 1.0) -> float:
    r"""Predicted :math:`t_{second} / t_{first}` of linear scalarization, two modalities.

    .. math:: t_B / t_A = 1 + (|C_A| - |C_B|)\,\sqrt{1 + w^2} \,/\, |[D; w C_B]|, \qquad
        D = C_B - C_A S_{AA}^{-1} S_{AB}

    A is the modality with the larger correlation; every weight w > 0 leaves it first. With w = 0 it
    is joint training's ratio (:func:`mimo_sim.theory.time_ratio`). The wait is shorter than that of
    joint training exactly when :math:`|[D; w C_B]| > \sqrt{1 + w^2}\,|D|`. If C_B and D are
    parallel, as for scalar inputs, this means :math:`|D| < |C_B|`: learning A must have taken away
    a part of what B correlates with. For uncorrelated inputs linear scalarization changes nothing.

    Parameters
    ----------
    problem : LateFusionProblem
        With K = 2 and m = 1.
    weight : float
        w > 0 of both uni-modal losses.

    Returns
    -------
    float
        Time over time in the limit of tiny initialisation, >= 1.

    Raises
    ------
    ValueError, TypeError
        For other problems or weights.
    """
    check_problem(problem)
    check_positive("weight", weight)
    if problem.num_modalities != 2 or problem.output_dim != 1:
        raise ValueError(
            "The time ratio of linear scalarization is known for two modalities and one output. "
            f"Got num_modalities={problem.num_modalities}, output_dim={problem.output_dim}."
        )
    c = correlations(problem)
    first = superficial_preference(problem).first_learned
    second = 1 - first
    rest = residual_correlation(problem, learned=first, waiting=second)
    late = float(np.linalg.norm(np.vstack([rest, weight * problem.sigma_yx[second]]), 2))
    wait = (c[first] - c[second]) * math.hypot(1, weight)
    return 1 + float(wait / late) if late > 0 else math.inf
