r"""Which modality joint training prefers, and which one explains most of the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mimo_sim.problem import check_problem

if TYPE_CHECKING:
    from mimo_sim._checks import FloatArray
    from mimo_sim.problem import LateFusionProblem


def correlations(problem: LateFusionProblem) -> FloatArray:
    """How strongly each modality correlates with the target: the largest singular value of C_k.

    Returns
    -------
    (K,) array
        In units of y times units of x_k. Near the origin, joint training grows each encoder at
        this rate.
    """
    check_problem(problem)
    return np.array([np.linalg.norm(cross, 2) for cross in problem.sigma_yx])


@dataclass(frozen=True)
class PreferenceReport:
    """Does joint training prefer a modality superficially? (:func:`superficial_preference`)

    Attributes
    ----------
    holds : bool
        The modality learned first is not the one that explains most.
    first_learned, most_explaining : int
        Their indices.
    correlation : (K,) array
        :math:`|C_k|`, in units of y times units of x_k. The modality with the largest is learned
        first.
    explained : (K,) array
        :math:`tr C_k S_kk^{+} C_k^T`, the part of :math:`E|y|^2` that modality k explains alone.
    names : tuple of str
        Names of the modalities.
    """

    holds: bool
    first_learned: int
    most_explaining: int
    correlation: FloatArray
    explained: FloatArray
    names: tuple[str, ...]

    def __str__(self) -> str:
        verdict = "superficial modality preference" if self.holds else "no superficial preference"
        first, most = self.names[self.first_learned], self.names[self.most_explaining]
        lines = [f"{verdict}: joint training learns {first} first, {most} explains most"]
        for name, c, e in zip(self.names, self.correlation, self.explained, strict=True):
            lines.append(f"  {name}: |C| = {c:.4g}, explains {e:.4g}")
        return "\n".join(lines)


def superficial_preference(problem: LateFusionProblem) -> PreferenceReport:
    r"""Test the two conditions of superficial modality preference.

    A = `first_learned` has the largest :math:`|C_k|`. B = `most_explaining` has the largest
    :math:`tr C_k S_{kk}^{+} C_k^T`. The preference is superficial when they differ. The first
    condition compares growth rates near the origin. The second compares exact uni-modal optima.

    Parameters
    ----------
    problem : LateFusionProblem
        Any K and m.

    Returns
    -------
    PreferenceReport

    Notes
    -----
    Source: [ZLS]; [MIMO] Eq. 16-18.
    """
    correlation = correlations(problem)
    pairs = zip(problem.unimodal_maps, problem.sigma_yx, strict=True)
    explained = np.array([float(np.sum(best * cross)) for best, cross in pairs])
    best = explained == explained.max()  # where several explain as much, the loudest of them
    first, most = int(np.argmax(correlation)), int(np.argmax(np.where(best, correlation, -1.0)))
    holds = bool(correlation[first] > correlation[most] and explained[first] < explained[most])
    return PreferenceReport(holds, first, most, correlation, explained, problem.names)
