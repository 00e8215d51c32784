r"""Deep linear networks: when a modality emerges, and which one is first.

A network has `depth` :math:`L` layers. Each modality passes `fusion_layer` :math:`L_f` layers of
its own; the results are summed and pass the other :math:`L - L_f` layers together.
:math:`L_f = 1` is early fusion, :math:`L_f = L` is late fusion, and :math:`L = L_f = 2` is the
toy of :func:`mimo_sim.simulate`.

"Aligned start" means that every layer has rank one and size :math:`u_0`, and that the first layer
points along :math:`C_k` (:func:`mimo_sim.dynamics.layered.aligned_weights`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq

from mimo_sim._checks import check_count, check_positive
from mimo_sim.theory.joint import check_scalar_output, check_start, residual_correlation, time_ratio
from mimo_sim.theory.mimo import order_threshold
from mimo_sim.theory.preference import correlations, superficial_preference

if TYPE_CHECKING:
    from mimo_sim.problem import LateFusionProblem


def delay_factor(depth: int, weight: float) -> float:
    r"""How long a modality takes to emerge in deep late fusion, from the aligned start.

    .. math::
        T_L(a) = \int_0^\infty \frac{dx}{(1 + 2(1+a)x + (1+a^2)x^2)^{(L-1)/2}}, \qquad
        T_L(0) = \frac{1}{L-2}

    Parameters
    ----------
    depth : int
        L >= 3. For L = 2 the time grows like a logarithm instead
        (:func:`mimo_sim.theory.growth_rates`).
    weight : float
        :math:`a = \lambda\sigma_k \ge 0`, the weight on the uni-modal loss; 0 is joint training.

    Returns
    -------
    float
        :math:`T_L(a)`: flow time in units of :math:`u_0^{2-L}/|C_k|`.

    Raises
    ------
    ValueError, TypeError
        If `depth` or `weight` is outside its range.

    Notes
    -----
    Source: this project's own. It follows from :math:`\dot v = |C| w^{L-1}`,
    :math:`\dot u = a|C| w^{L-1}` and :math:`w^2 = v^2 + u^2 - u_0^2`.

    Examples
    --------
    >>> round(delay_factor(4, 0.0), 12)  # 1 / (L - 2)
    0.5
    """
    check_count("depth", depth, 3)
    check_positive("weight", weight, allow_zero=True)

    def integrand(x: float) -> float:
        squared = 1 + 2 * (1 + weight) * x + (1 + weight**2) * x * x
        return float(squared ** (-(depth - 1) / 2))

    value, _ = quad(integrand, 0, math.inf, epsabs=0, epsrel=1e-12, limit=200)
    return float(value)


def deep_order_threshold(problem: LateFusionProblem, depth: int) -> float:
    r"""The penalty above which deep late fusion learns the most explaining modality first.

    Let B be the modality that explains most, and A the one with the largest :math:`|C_k|`. The
    threshold solves :math:`(L-2)\,T_L(\lambda) = |C_B|/|C_A|` (:func:`delay_factor`). It holds for
    exact f*, mu -> 0 and the aligned start with u0 -> 0. It falls with depth, from
    :func:`order_threshold` at L = 2 towards :math:`|C_A|/|C_B| - 1`.

    Parameters
    ----------
    problem : LateFusionProblem
        Any K and m.
    depth : int
        L >= 2.

    Returns
    -------
    float
        The threshold, no unit; 0 when joint training already has that order.

    Raises
    ------
    ValueError, TypeError
        If `depth` is outside its range.

    Notes
    -----
    Source: this project's own.
    """
    if check_count("depth", depth, 2) == 2:
        return float(order_threshold(problem))
    report = superficial_preference(problem)
    if report.correlation[report.most_explaining] == report.correlation.max():
        return 0.0
    ratio = float(report.correlation[report.most_explaining] / report.correlation.max())

    def excess(lam: float) -> float:
        return (depth - 2) * delay_factor(depth, lam) - ratio

    return float(brentq(excess, 0, 4 / ratio * (depth - 1), xtol=1e-12))


def deep_time_ratio(
    problem: LateFusionProblem, depth: int, fusion_layer: int, init_scale: float
) -> float:
    r"""Predicted :math:`t_{second}/t_{first}` of joint training in a deep linear network.

    The start is the aligned one.

    A is learned first, at :math:`t_A = u_0^{2-L} I/|C_A|` with an integral I of order one. After
    that, B waits for

    .. math:: \frac{1 - |C_B|/|C_A|}{|D|\,|M_A|^{(L-L_f)/L}} \times
       \begin{cases} u_0^{2-L_f}/(L_f-2) & L_f > 2\\ \ln(1/u_0) & L_f = 2\\ 0 & L_f = 1\end{cases}

    Here :math:`M_A` is the best map from A alone, and D is as in :func:`time_ratio`. So the phase
    in which only A is learned lasts :math:`O(u_0^{L-L_f})` times :math:`t_A`: the earlier the
    fusion, the shorter the phase.

    Parameters
    ----------
    problem : LateFusionProblem
        With K = 2 and m = 1. D must not point away from :math:`C_B`.
    depth : int
        L >= 2.
    fusion_layer : int
        L_f, from 1 to L.
    init_scale : float
        u0 in (0, 1). The law holds to leading order as u0 -> 0.

    Returns
    -------
    float
        Time over time, >= 1.

    Raises
    ------
    ValueError, TypeError
        If K is not 2, m is not 1, D points away from :math:`C_B`, or an argument is outside its
        range.

    Notes
    -----
    Source: [ZLS], fusion layer and depth.
    """
    check_scalar_output(problem, "The time ratio of deep networks")
    if problem.num_modalities != 2:
        raise ValueError(
            "The time ratio of deep networks is known for two modalities. "
            f"Got num_modalities={problem.num_modalities}."
        )
    check_layers(depth, fusion_layer)
    check_start(init_scale)
    if (depth - 2) * math.log10(1 / init_scale) > 300:
        raise ValueError(
            f"`init_scale` must be so large that init_scale**(2 - depth) is finite at depth={depth}"
            f". Got init_scale={init_scale!r}."
        )
    if depth == 2 and fusion_layer == 2:
        return time_ratio(problem)
    if fusion_layer == 1:
        return 1.0
    correlation = correlations(problem)
    first = int(np.argmax(correlation))
    second = 1 - first
    slower = float(correlation.min() / correlation.max())
    residual = residual_correlation(problem, learned=first, waiting=second)
    if float((residual @ problem.sigma_yx[second].T).item()) <= 0:
        raise ValueError(
            "The residual correlation of the second modality must not point away from its "
            "correlation: the aligned start then never learns it."
        )

    def second_size(x: float) -> float:
        """Size of the second modality's layers when the first one's have size x, in units of u0."""
        if fusion_layer == 2:
            return float(x**slower)
        return float((slower * x ** (2 - fusion_layer) + 1 - slower) ** (-1 / (fusion_layer - 2)))

    def integrand(x: float) -> float:
        shared = x * x + second_size(x) ** 2 - 1
        return float(x ** (1 - fusion_layer) * shared ** (-(depth - fusion_layer) / 2))

    growth, _ = quad(integrand, 1, math.inf, epsabs=0, epsrel=1e-10, limit=200)
    first_time = growth * init_scale ** (2 - depth) / float(correlation[first])
    shared_layers = float(np.linalg.norm(problem.unimodal_maps[first])) ** (
        (depth - fusion_layer) / depth
    )
    if fusion_layer == 2:
        own_time = math.log(1 / init_scale)
    else:
        own_time = init_scale ** (2 - fusion_layer) / (fusion_layer - 2)
    wait = (1 - slower) / (float(np.linalg.norm(residual)) * shared_layers) * own_time
    return float(1 + wait / first_time)


def check_layers(depth: int, fusion_layer: int) -> None:
    """Raise unless a network can have this many layers and its fusion after this one."""
    check_count("depth", depth, 2)
    if check_count("fusion_layer", fusion_layer, 1) > depth:
        raise ValueError(
            f"`fusion_layer` must be at most depth={depth}. Got fusion_layer={fusion_layer}."
        )
