r"""When MIMO makes each of K encoders emerge, and the penalties at which the order changes.

The limit is :math:`\mu \to 0`, :math:`u_0 \to 0`, with exact f*. Then training is a chain of
events. Between two events nothing but the small encoders changes, and these grow exponentially.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mimo_sim._checks import check_positive
from mimo_sim.errors import OutsideTheoryError
from mimo_sim.theory.joint import (
    check_scalar_output,
    learning_times,
    masked_optimum,
    negligible_correlation,
    turned,
)
from mimo_sim.theory.preference import correlations, superficial_preference

if TYPE_CHECKING:
    from mimo_sim._checks import FloatArray
    from mimo_sim.problem import LateFusionProblem

TIE = 1e-9  # gaps that differ by less than this part of the larger one tie
REACHED = 1e-9  # round-off of a gap, over the gap at the start
LARGEST = 1e3  # penalties above this change the order no more
POINTS = 257  # penalties at which the order is looked at, before each change is made exact


def mimo_learning_times(problem: LateFusionProblem, lam: float) -> FloatArray:
    r"""When MIMO makes each encoder emerge (exact f*, mu -> 0, :math:`u_0 \to 0`).

    Encoders emerge one after another. At any time let the *leader* be the modality with the largest
    gap of those that have not emerged. Let :math:`D_k = C_k - \sum_{l\,emerged} M_l S_{lk}` be the
    correlation that is left for modality k, with M the best joint map from the emerged ones.

    * The leader has sigma = 1. It grows at the rate of the largest singular value of
      :math:`[D_k; \lambda C_k]`.
    * All others have sigma = 0. They grow at the rate :math:`|D_k|`.

    An encoder emerges when its growth reaches :math:`\ln(1/u_0)`. Then the D of the others change.
    If it was the leader, its gap falls until it equals the next one, and stays there. So the next
    one becomes the leader.

    Parameters
    ----------
    problem : LateFusionProblem
        Any K, with m = 1.
    lam : float
        Penalty, >= 0; 0 is joint training (:func:`learning_times`).

    Returns
    -------
    (K,) array
        In units of :math:`\ln(1/u_0)`: multiply by that for flow time. The relative error of times
        falls like 1/ln(1/u_0).

    Raises
    ------
    ValueError
        If m > 1, or, for lam > 0, a modality does not correlate with the target.
    OutsideTheoryError
        A ValueError, where the problem lies outside the theory at this lam:

        * two leaders have the same gap, so that they share sigma;
        * a scalar modality changes the sign of its joint weight after it has emerged and before
          its uni-modal head has, while others wait: it must shrink to zero and grow anew;
        * an emerged modality with several inputs cannot lower its gap to that of the leader in the
          direction of its joint map: it grows a second direction first.

    Notes
    -----
    Source: this project, docs/emergence.md.

    For two uncorrelated inputs and :math:`\lambda > \lambda^*` the ratio of the two times is
    :math:`1 + |C_g|/|C_o| - 1/\sqrt{1+\lambda^2}`, where g has the larger gap. MIMO shortens the
    wait of joint training (:func:`time_ratio`), but does not abolish it. Half-times lie closer
    together than that, because an emerged encoder is held below half of its final size while the
    leader waits. The limit needs a mu well below all gaps and their differences.
    """
    check_positive("lam", lam, allow_zero=True)
    return learning_times(problem) if lam == 0 else emergence_chain(problem, lam).times


@dataclass(frozen=True)
class EmergenceChain:
    r"""What theory says of one problem at one lam, and of how much a run at a finite u0 shows it.

    Attributes
    ----------
    times : (K,) array
        As :func:`mimo_learning_times`.
    margin : float
        How far the order is from a tie: the smallest part of its growth :math:`\ln(1/u_0)` that any
        waiting encoder still has before it when another one emerges; ``inf`` for K = 1. At a finite
        :math:`u_0` growth ends a few factors of e earlier or later than in the limit. So the order
        can be trusted where the margin is well above 1/ln(1/u_0).
    shrunk : float
        The largest growth, in the same unit, that is undone because the correlation that is left
        for a modality turns to its exact opposite. The mode that grows next has meanwhile shrunk as
        much. Float64 knows a mode down to 1e-8 of the other one, so a run can show a `shrunk` of up
        to :math:`9/\ln(1/u_0)`.
    """

    times: FloatArray
    margin: float
    shrunk: float


def emergence_chain(problem: LateFusionProblem, lam: float) -> EmergenceChain:
    """:func:`mimo_learning_times`, and how far its order is from a tie.

    Parameters
    ----------
    problem : LateFusionProblem
        Any K, with m = 1.
    lam : float
        Penalty, > 0.

    Raises
    ------
    ValueError, TypeError
        As :func:`mimo_learning_times`.
    """
    check_positive("lam", lam)
    check_scalar_output(problem, "The order of learning under MIMO")
    correlation = correlations(problem)
    if (correlation == 0).any():
        raise ValueError(
            f"Every modality must correlate with the target. Got |C| = {correlation.tolist()}."
        )
    gaps = superficial_preference(problem).explained / 2
    times, gain = np.full(problem.num_modalities, np.inf), np.zeros(problem.num_modalities)
    residual = [np.array(cross) for cross in problem.sigma_yx]
    waiting, emerged = list(range(problem.num_modalities)), list[int]()
    best = np.zeros_like(problem.cross_moment)
    free: set[int] = set()  # modalities whose uni-modal head has grown
    now, margin, shrunk, none = 0.0, math.inf, 0.0, negligible_correlation(problem)
    while waiting:
        leader = _leader(problem, gaps, waiting, lam)
        free |= {k for k in emerged if gaps[k] > gaps[leader]}
        for k in free:
            _refuse_second_direction(problem, k, best, gaps, leader, lam)
        gain[leader] = abs(gain[leader])  # its mode with both heads takes the largest part it finds
        rates = {k: float(np.linalg.norm(residual[k])) for k in waiting}
        both = np.vstack([residual[leader], lam * problem.sigma_yx[leader]])
        rates[leader] = float(np.linalg.norm(both, 2))
        waits = {
            k: max(1.0 - gain[k], 0.0) / rate
            for k, rate in rates.items()
            if rate > none or k == leader
        }
        following = min(waits, key=lambda k: waits[k])
        taken = waits[following]
        now += taken
        times[following] = now
        waiting.remove(following)
        emerged.append(following)
        before, best = best, masked_optimum(problem, emerged)
        if waiting:  # after the last event a turn delays no one
            _refuse_turn(problem, set(emerged[:-1]) - free, before, best, lam)
        for k in waiting:
            gain[k] += rates[k] * taken
            margin = min(margin, 1.0 - float(gain[k]))
            renewed = problem.sigma_yx[k] - best @ problem.input_moment[:, problem.features(k)]
            if k != leader:
                before_turn, gain[k] = gain[k], turned(gain[k], residual[k], renewed, True)
                shrunk = max(shrunk, float(abs(before_turn - gain[k])) / 2)
            residual[k] = renewed
    return EmergenceChain(times, margin, shrunk)


def _leader(problem: LateFusionProblem, gaps: FloatArray, waiting: list[int], lam: float) -> int:
    """The waiting modality with the largest gap."""
    ordered = sorted(waiting, key=lambda k: -gaps[k])
    if len(ordered) > 1 and gaps[ordered[0]] - gaps[ordered[1]] <= TIE * gaps[ordered[0]]:
        first, second = (problem.names[k] for k in ordered[:2])
        raise OutsideTheoryError(
            f"MIMO's learning times need gaps that differ. Got the same gap for {first} and "
            f"{second}, lam={lam:g}."
        )
    return ordered[0]


def _refuse_turn(
    problem: LateFusionProblem,
    members: set[int],
    before: FloatArray,
    after: FloatArray,
    lam: float,
) -> None:
    """Raise where a scalar modality without a uni-modal head changes the sign of its weight."""
    for k in members:
        columns = problem.features(k)
        if problem.dims[k] == 1 and float((before[:, columns] * after[:, columns]).sum()) < 0:
            raise OutsideTheoryError(
                f"MIMO's learning times are not known for this problem at lam={lam:g}: "
                f"{problem.names[k]} emerges, and must change its sign later."
            )


def _refuse_second_direction(
    problem: LateFusionProblem,
    k: int,
    best: FloatArray,
    gaps: FloatArray,
    leader: int,
    lam: float,
) -> None:
    """Raise where the direction of k's joint map cannot bring its gap down to the leader's."""
    direction = best[:, problem.features(k)]
    used = float((direction @ problem.sigma[k][k] * direction).sum())
    gain = float((problem.sigma_yx[k] * direction).sum()) ** 2 / (2 * used) if used > 0 else 0.0
    if gaps[k] - gain > gaps[leader] + REACHED * gaps[k]:
        raise OutsideTheoryError(
            f"MIMO's learning times are not known for this problem at lam={lam:g}: "
            f"{problem.names[k]} needs a second direction of its inputs while "
            f"{problem.names[leader]} waits."
        )


@dataclass(frozen=True)
class OrderChange:
    """A penalty at which two encoders swap their places (:func:`order_thresholds`).

    Attributes
    ----------
    lam : float
        Below it `earlier` emerges before `later`, above it after `later`.
    earlier, later : int
        Indices of modalities.
    """

    lam: float
    earlier: int
    later: int


def order_thresholds(
    problem: LateFusionProblem, largest: float = LARGEST
) -> tuple[OrderChange, ...]:
    r"""All penalties lam* at which the order of emergence changes under MIMO.

    For two modalities there is at most one, :func:`order_threshold`. For more, a pair may swap
    early or late in the chain of events (:func:`mimo_learning_times`), and each pair has its own.

    Parameters
    ----------
    problem : LateFusionProblem
        Any K, with m = 1.
    largest : float
        Penalties in (0, `largest`] are searched.

    Returns
    -------
    tuple of OrderChange
        Sorted by lam; empty where no penalty changes the order.

    Raises
    ------
    ValueError, TypeError
        If `largest` is not positive, and as :func:`mimo_learning_times` at each penalty.

    Notes
    -----
    Times are compared at 257 penalties, evenly spaced in :math:`1/\sqrt{1+\lambda^2}`, and each
    change is then bisected. Two changes of one pair between neighbouring penalties stay unseen.
    """
    check_positive("largest", largest)
    end = 1 / math.hypot(1, largest)
    start = 1 - 1e-9 * (1 - end)  # lam = 0 itself is joint training
    grid = np.linspace(start, end, POINTS)
    times = np.array([_times(problem, a) for a in grid])
    changes = []
    for i, j in itertools.combinations(range(problem.num_modalities), 2):
        ahead = times[:, i] < times[:, j]
        for at in np.flatnonzero(ahead[1:] != ahead[:-1]):
            low, high = float(grid[at]), float(grid[at + 1])
            for _ in range(40):
                middle = (low + high) / 2
                found = _times(problem, middle)
                if (found[i] < found[j]) == ahead[at]:
                    low = middle
                else:
                    high = middle
            pair = (i, j) if ahead[at] else (j, i)
            changes.append(OrderChange(_lam(high), *pair))
    return tuple(sorted(changes, key=lambda change: change.lam))


def _lam(a: float) -> float:
    """The penalty of a = 1 / sqrt(1 + lam^2)."""
    return math.sqrt((1 - a) * (1 + a)) / a


def _times(problem: LateFusionProblem, a: float) -> FloatArray:
    return mimo_learning_times(problem, _lam(a))
