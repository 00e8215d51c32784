r"""Joint training: when it learns each modality, and what it credits to the wrong one meanwhile."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mimo_sim._checks import check_within
from mimo_sim._moments import generalised_solve
from mimo_sim.problem import check_problem
from mimo_sim.theory.preference import correlations, superficial_preference

if TYPE_CHECKING:
    from mimo_sim._checks import FloatArray
    from mimo_sim.problem import LateFusionProblem

ALIGNED = 1e-9  # a cosine this close to -1 counts as exactly opposite
NEGLIGIBLE = 1e-12  # a residual correlation below this times the largest |C_k| counts as none


def check_scalar_output(problem: LateFusionProblem, what: str) -> None:
    """Raise ``ValueError`` unless m = 1; `what` names the law that needs it."""
    check_problem(problem)
    if problem.output_dim != 1:
        raise ValueError(
            f"{what} is known for scalar targets (m = 1) only. "
            f"Got a problem with output_dim={problem.output_dim}."
        )


def check_start(init_scale: float) -> None:
    """Raise ``ValueError`` unless `init_scale` lies in (0, 1) and has a finite inverse."""
    check_within("init_scale", init_scale, 0, 1)
    if math.isinf(1 / init_scale):
        raise ValueError(
            "`init_scale` must be so large that 1 / init_scale is finite. "
            f"Got init_scale={init_scale!r}."
        )


def negligible_correlation(problem: LateFusionProblem) -> float:
    """A residual correlation up to this size counts as none."""
    return float(NEGLIGIBLE * correlations(problem).max())


def residual_correlation(problem: LateFusionProblem, learned: int, waiting: int) -> FloatArray:
    r"""What one modality still has to learn once another one is learned.

    Returns
    -------
    (m, d) array
        :math:`D = C_B - C_A S_{AA}^{+} S_{AB}` with A `learned` and B `waiting`.
    """
    explained = problem.unimodal_maps[learned] @ problem.sigma[learned][waiting]
    return np.asarray(problem.sigma_yx[waiting] - explained)


def turned(gain: float, old: FloatArray, new: FloatArray, exact_limit: bool) -> float:
    r"""How much a mode has grown along a new direction, after growth along an old one.

    The state of a modality is its head v and its encoder w. Let c be the unit vector of `old`.
    After growth by exp(gain) along c, the state (v, w) has

    * a growing part :math:`e^{gain}(1, c)/\sqrt2`,
    * a shrinking part :math:`e^{-gain}(1, -c)/\sqrt2`,
    * neutral parts, orthogonal to c.

    Let d be the unit vector of `new`, and :math:`\cos = c \cdot d`. Projected on
    :math:`(1, d)/\sqrt2`, the three carry :math:`(1+\cos)/2`, :math:`(1-\cos)/2` and
    :math:`\sin/\sqrt2`.

    Parameters
    ----------
    gain : float
        Logarithm of the growth along `old`.
    old, new : (1, d) arrays
        Residual correlations before and after.
    exact_limit : bool
        The limit u0 -> 0, where only the largest exponent with a non-zero coefficient counts.

    Returns
    -------
    float
        Logarithm of the growth along `new`.
    """
    norms = np.linalg.norm(old) * np.linalg.norm(new)
    if norms == 0:
        return gain
    cos = float(np.clip(old.ravel() @ new.ravel() / norms, -1.0, 1.0))
    if exact_limit:
        return -gain if cos < -1 + ALIGNED else gain
    parts = [
        (gain, (1 + cos) / 2),
        (-gain, (1 - cos) / 2),
        (0.0, math.sqrt((1 - cos) * (1 + cos) / 2)),
    ]
    doubled = [
        2 * (exponent + math.log(coefficient)) for exponent, coefficient in parts if coefficient > 0
    ]
    return 0.5 * float(np.logaddexp.reduce(doubled))


def learning_times(problem: LateFusionProblem, init_scale: float | None = None) -> FloatArray:
    r"""When joint training learns each modality, under gradient flow from tiny initialisation.

    Modalities are learned one after another. Each grows until its amplitude reaches order one. Its
    rate is the size of its residual correlation :math:`D_k = C_k - \sum_{l\,learned} M_l S_{lk}`,
    where M is the best joint map from the modalities learned so far. For K = 2 this gives [ZLS]'s
    :math:`t_A = \ln(1/u_0)/|C_A|` and :func:`time_ratio`. For K > 2 the same argument is repeated.

    Parameters
    ----------
    problem : LateFusionProblem
        With m = 1.
    init_scale : float, optional
        :math:`u_0`. Without it, times are in units of :math:`\ln(1/u_0)`, in the limit
        :math:`u_0 \to 0`. With it, they are flow times (step size times steps). They then include
        the terms of order one that have a closed form for scalar inputs: a mode starts at
        :math:`|W|^2 = u_0^2/2`, it counts as learned at half its plateau, and it keeps only its
        projection when its direction changes.

    Returns
    -------
    (K,) array
        ``inf`` for a modality that has nothing left to learn once the others are learned.

    Raises
    ------
    ValueError
        If m > 1, or `init_scale` is not in (0, 1).

    Notes
    -----
    The relative error against simulated half-times falls like 1/ln(1/u_0).

    :func:`mimo_sim.half_times` reads half of the *final* squared norm, which is not always half
    of the plateau. Where the others lower or raise a modality's share later, its half-time moves
    by a flow time of order one. Where the plateau lies below half of the final squared norm
    (strongly negative correlation), the half-time falls into a later phase.
    """
    check_scalar_output(problem, "The order of learning in joint training")
    if init_scale is not None:
        check_start(init_scale)
    every = range(problem.num_modalities)
    times = np.full(problem.num_modalities, np.inf)
    gain = np.zeros(problem.num_modalities)
    now = 0.0
    learned: list[int] = []
    residual = [np.array(cross) for cross in problem.sigma_yx]
    negligible = negligible_correlation(problem)
    while len(learned) < problem.num_modalities:
        waits = {}
        for k in every:
            rate = float(np.linalg.norm(residual[k]))
            if k in learned or rate <= negligible:
                continue
            target = _gain_when_learned(problem, learned, k, init_scale)
            waits[k] = max(target - gain[k], 0.0) / rate
        if not waits:
            break
        following = min(waits, key=lambda k: waits[k])
        now += waits[following]
        times[following] = now
        learned.append(following)
        best = masked_optimum(problem, learned)
        for k in every:
            if k not in learned:
                gain[k] += float(np.linalg.norm(residual[k])) * waits[following]
                renewed = problem.sigma_yx[k] - best @ problem.input_moment[:, problem.features(k)]
                gain[k] = turned(gain[k], residual[k], renewed, exact_limit=init_scale is None)
                residual[k] = renewed
    return times


def _gain_when_learned(
    problem: LateFusionProblem, learned: list[int], k: int, init_scale: float | None
) -> float:
    """Logarithm of the growth at which modality k counts as learned after those in `learned`."""
    if init_scale is None:
        return 1.0
    plateau = masked_optimum(problem, [*learned, k])[:, problem.features(k)]
    return math.log(1 / init_scale) + 0.5 * math.log(2 * float(np.linalg.norm(plateau)))


def masked_optimum(problem: LateFusionProblem, members: list[int]) -> FloatArray:
    """The (m, D) map that minimises f_mm over the modalities in `members`; zero elsewhere."""
    columns = np.r_[tuple(problem.features(k) for k in members)]
    best = np.zeros_like(problem.cross_moment)
    best[:, columns] = generalised_solve(
        problem.cross_moment[:, columns], problem.input_moment[np.ix_(columns, columns)]
    )
    return best


def time_ratio(problem: LateFusionProblem, init_scale: float | None = None) -> float:
    r"""Predicted :math:`t_{second} / t_{first}` of joint training.

    .. math:: t_B / t_A = 1 + (|C_A| - s\,|C_B|) / |D|, \qquad D = C_B - C_A S_{AA}^{-1} S_{AB}

    A is learned first, then B. The sign s is 1. It is -1 only when D points exactly opposite to
    C_B: B's mode has then been shrinking while A was learned. (For scalar inputs this happens when
    learning A flips the sign of what B must learn.) For the scalar pair with r = `sigma_ratio` > 1
    the ratio is :math:`1 + (r^2 - 1)/(1 - \rho^2)`, for every rho.

    Parameters
    ----------
    problem : LateFusionProblem
        With m = 1 and K >= 2. For K > 2 it is the ratio of the first two of :func:`learning_times`.
    init_scale : float, optional
        Predict for this finite :math:`u_0` instead of the limit.

    Returns
    -------
    float
        Time over time, >= 1; ``inf`` when nothing is left to learn after the first modality, and
        when `init_scale` is so large that only the first counts as learned from the start.

    Raises
    ------
    ValueError
        If K = 1, m > 1, no modality correlates with the target, or `init_scale` is not in (0, 1).

    Notes
    -----
    Source: [ZLS].

    Examples
    --------
    >>> from mimo_sim.generators import scalar_pair
    >>> round(time_ratio(scalar_pair(sigma_ratio=2.0, rho=0.5)), 6)
    5.0
    """
    check_problem(problem)
    if problem.num_modalities < 2:
        raise ValueError(
            "A time ratio needs at least two modalities. "
            f"Got num_modalities={problem.num_modalities}."
        )
    times = np.sort(learning_times(problem, init_scale))
    if math.isinf(times[0]):
        raise ValueError(
            "A time ratio needs a modality that correlates with the target. Got sigma_yx = 0."
        )
    if times[0] == 0:
        return math.inf if times[1] > 0 else 1.0
    return float(times[1] / times[0])


def misattribution(problem: LateFusionProblem) -> FloatArray:
    r"""What joint training wrongly credits to the first modality while only that one is learned.

    Returns
    -------
    (m, d_A) array
        :math:`C_A S_{AA}^{+} - M_A`: the uni-modal optimum of the modality learned first, minus
        its part of the joint optimum. For the scalar pair with r = `sigma_ratio` it is rho / r.

    Notes
    -----
    Source: [ZLS].
    """
    first = superficial_preference(problem).first_learned
    return np.asarray(problem.unimodal_maps[first] - problem.joint_map[:, problem.features(first)])
