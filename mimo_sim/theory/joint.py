r"""Joint training: when each modality is learned, and what is credited to the wrong one meanwhile."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mimo_sim._checks import check_within
from mimo_sim._moments import generalised_solve
from mimo_sim.theory.preference import correlations, superficial_preference

if TYPE_CHECKING:
    from mimo_sim._checks import FloatArray
    from mimo_sim.problem import LateFusionProblem

ALIGNED = 1e-9  # cosine this close to -1 counts as exactly opposite


def check_scalar_output(problem: LateFusionProblem, what: str) -> None:
    if problem.output_dim != 1:
        raise ValueError(
            f"{what} is known for scalar targets (m = 1) only. Got a problem with output_dim={problem.output_dim}."
        )


def residual_correlation(problem: LateFusionProblem, learned: int, waiting: int) -> FloatArray:
    r"""(m, d) :math:`D = C_B - C_A S_{AA}^{+} S_{AB}`: what `waiting` (B) still has to learn once `learned` (A) is learned."""
    explained = problem.unimodal_maps[learned] @ problem.sigma[learned][waiting]
    return np.asarray(problem.sigma_yx[waiting] - explained)


def _masked_optimum(problem: LateFusionProblem, members: list[int]) -> FloatArray:
    """The (m, D) map that minimises f_mm over the modalities in `members`, zero elsewhere."""

    columns = (
        np.r_[tuple(problem.features(k) for k in members)] if members else np.array([], dtype=int)
    )
    best = np.zeros_like(problem.cross_moment)
    if members:
        best[:, columns] = generalised_solve(
            problem.cross_moment[:, columns], problem.input_moment[np.ix_(columns, columns)]
        )
    return best


def turned(gain: float, old: FloatArray, new: FloatArray, exact_limit: bool) -> float:
    r"""Log-amplification of the growing mode along `new`, after growth by exp(gain) along `old`.

    The state (v, w) of a modality is a growing part e^{gain} (1, c)/sqrt 2 along the unit vector c of `old`, a shrinking part
    e^{-gain} (1, -c)/sqrt 2, and neutral parts orthogonal to c. Projected on (1, d)/sqrt 2 with cos = c.d these carry
    (1 + cos)/2, (1 - cos)/2 and sin/sqrt 2. In the limit u0 -> 0 only the largest exponent with a non-zero coefficient counts.
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
    return 0.5 * float(np.logaddexp.reduce([2 * (g + math.log(c)) for g, c in parts if c > 0]))


def learning_times(problem: LateFusionProblem, init_scale: float | None = None) -> FloatArray:
    r"""When joint training learns each modality, under gradient flow from tiny initialisation.

    Modalities are learned one after another: each grows at the rate of its residual correlation :math:`D_k = C_k - \sum_{l\,learned} M_l S_{lk}`
    (with M the joint optimum over the modalities learned so far) until its amplitude reaches order one. For K = 2 this is
    [ZLS]'s :math:`t_A = \ln(1/u_0)/|C_A|` and :func:`time_ratio`; the same argument is carried on for K > 2.

    Parameters
    ----------
    problem : LateFusionProblem
        With m = 1.
    init_scale : float, optional
        :math:`u_0`. Without it, times are returned in units of :math:`\ln(1/u_0)` in the limit :math:`u_0 \to 0`. With it, in flow time (step size x
        steps), with the order-one terms that scalar inputs allow in closed form: the mode starts at :math:`|W|^2 = u_0^2/2` and counts as learned at half
        its plateau, and a mode whose direction changes keeps only its projection.

    Returns
    -------
    (K,) array
        ``inf`` for a modality that has nothing left to learn once the others are.

    Raises
    ------
    ValueError
        If m > 1, or `init_scale` is not in (0, 1).

    Notes
    -----
    The relative error against simulated half-times falls like 1/ln(1/u_0). Half of the plateau is not always half of the final value, which
    :func:`mimo_sim.half_times` reads: where the others lower or raise a modality's share later, its half-time moves by an order-one flow time, and where its
    plateau lies below half of its final squared norm (strongly negative correlation) the half-time falls into a later phase.
    """
    check_scalar_output(problem, "The order of learning in joint training")
    if init_scale is not None:
        check_within("init_scale", init_scale, 0, 1)
    every = range(problem.num_modalities)
    times, gain, now = (
        np.full(problem.num_modalities, np.inf),
        np.zeros(problem.num_modalities),
        0.0,
    )
    learned: list[int] = []
    residual = [np.array(cross) for cross in problem.sigma_yx]
    negligible = 1e-12 * correlations(problem).max()
    while len(learned) < problem.num_modalities:
        waiting = {}
        for k in every:
            rate = float(np.linalg.norm(residual[k]))
            if k in learned or rate <= negligible:
                continue
            target = 1.0
            if init_scale is not None:
                plateau = _masked_optimum(problem, [*learned, k])[:, problem.features(k)]
                target = math.log(1 / init_scale) + 0.5 * math.log(
                    2 * float(np.linalg.norm(plateau))
                )
            waiting[k] = max(target - gain[k], 0.0) / rate
        if not waiting:
            break
        following = min(waiting, key=lambda k: waiting[k])
        now += waiting[following]
        times[following] = now
        learned.append(following)
        best = _masked_optimum(problem, learned)
        for k in every:
            if k not in learned:
                gain[k] += float(np.linalg.norm(residual[k])) * waiting[following]
                renewed = problem.sigma_yx[k] - best @ problem.input_moment[:, problem.features(k)]
                gain[k] = turned(gain[k], residual[k], renewed, exact_limit=init_scale is None)
                residual[k] = renewed
    return times


def time_ratio(problem: LateFusionProblem, init_scale: float | None = None) -> float:
    r"""Predicted :math:`t_{second} / t_{first}` of joint training [ZLS].

    .. math:: t_B / t_A = 1 + (|C_A| - s\,|C_B|) / |D|, \qquad D = C_B - C_A S_{AA}^{-1} S_{AB},

    where s = 1, except that s = -1 when D points exactly opposite to C_B (for scalar inputs: when learning A flips the sign of what B must
    learn): B's mode has then been shrinking while A was learned. The scalar pair gives :math:`1 + (r^2 - 1)/(1 - \rho^2)` for :math:`\rho > -1/r`.

    Parameters
    ----------
    problem : LateFusionProblem
        With m = 1 and K >= 2 (for K > 2 the first two modalities of :func:`learning_times`).
    init_scale : float, optional
        Predict for this finite :math:`u_0` instead of the limit.

    Returns
    -------
    float
        >= 1, time over time; ``inf`` when nothing is left to learn after the first modality.

    Examples
    --------
    >>> from mimo_sim.generators import scalar_pair
    >>> round(time_ratio(scalar_pair(sigma_ratio=2.0, rho=0.5)), 6)
    5.0
    """
    if problem.num_modalities < 2:
        raise ValueError(
            f"A time ratio needs at least two modalities. Got num_modalities={problem.num_modalities}."
        )
    times = np.sort(learning_times(problem, init_scale))
    if math.isinf(times[0]):
        raise ValueError(
            "A time ratio needs a modality that correlates with the target. Got sigma_yx = 0."
        )
    return float(times[1] / times[0])


def misattribution(problem: LateFusionProblem) -> FloatArray:
    r"""What joint training wrongly credits to the first modality while it is learned alone: :math:`C_A S_{AA}^{+} - M_A` [ZLS].

    Returns
    -------
    (m, d_A) array
        The uni-modal optimum of the modality learned first minus its part of the joint optimum; rho / r for the scalar pair.
    """
    first = superficial_preference(problem).first_learned
    return np.asarray(problem.unimodal_maps[first] - problem.joint_map[:, problem.features(first)])
