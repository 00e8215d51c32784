"""What linear theory says about a problem with any number of outputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mimo_sim import theory
from mimo_sim.problem import LateFusionProblem

NOTHING_LEFT = 1e-12  # share of the first modality's rate below which a rate is zero


def predict(problem: LateFusionProblem) -> dict[str, Any]:
    r"""What linear theory says about joint training and MIMO on a problem.

    Returns
    -------
    dict
        Plain values, by modality name where there is one value per modality.

        - ``correlation``: :math:`|C_k|`, the largest singular value of :math:`C_k`. It is the
          rate at which encoder k grows.
        - ``first_learned``, ``most_explaining``: names of modalities.
        - ``explained``: share of :math:`E|y|^2` that a modality explains alone, linearly.
          ``joint_explained``: the share that all explain together.
        - ``unimodal_optima``: :math:`f_k^*`.
        - ``superficial``: whether the first modality is not the one that explains most.
        - ``order_threshold``: the penalty lam* from which MIMO reverses the order.
        - ``time_ratio``: the time at which the second modality emerges over the time at which
          the first does, in the limit of a tiny start; None for one modality. Two readings,
          each None where no second modality emerges.

          - ``without_interaction``: the ratio of the rates, as if modalities did not interact.
          - ``after_first``: as if the first modality were learned completely before the second
            emerges. This is the formula of [ZLS], exact for one output
            (:func:`mimo_sim.theory.time_ratio`). For several outputs largest singular values
            take the place of correlations. It is then not exact: modes of the two modalities are
            learned in turn, and a modality goes on learning after its first mode.
    """
    report = theory.superficial_preference(problem)
    names, second_moment = problem.names, problem.y_second_moment

    def by_name(values: np.ndarray) -> dict[str, float]:
        return dict(zip(names, values.tolist(), strict=True))

    several = problem.num_modalities > 1
    return {
        "first_learned": names[report.first_learned],
        "most_explaining": names[report.most_explaining],
        "superficial": report.holds,
        "order_threshold": theory.order_threshold(problem),
        "correlation": by_name(report.correlation),
        "explained": by_name(report.explained / second_moment),
        "unimodal_optima": by_name(problem.unimodal_optima),
        "joint_explained": 1 - 2 * problem.joint_optimum / second_moment,
        "time_ratio": _time_ratios(problem, report) if several else None,
    }


def _time_ratios(
    problem: LateFusionProblem, report: theory.PreferenceReport
) -> dict[str, float | None]:
    first, rates = report.first_learned, report.correlation
    others = [k for k in range(problem.num_modalities) if k != first]
    alone = [float(rates[first] / rates[k]) for k in others if rates[k] > 0]
    if problem.output_dim == 1:
        after = [theory.time_ratio(problem)]
    else:
        after = [_ratio_after_first(problem, first, k) for k in others]
    return {
        "without_interaction": min(alone, default=None),
        "after_first": min(filter(math.isfinite, after), default=None),
    }


def _ratio_after_first(problem: LateFusionProblem, first: int, k: int) -> float:
    r""":math:`1 + (|C_{first}| - |C_k|) / |D_k|`; inf where nothing is left to learn.

    :math:`D_k` is what is left of :math:`C_k` once modality `first` is learned, and
    :math:`|\cdot|` the largest singular value.
    """
    left = problem.sigma_yx[k] - problem.unimodal_maps[first] @ problem.sigma[first][k]
    rate_first, rate_k, rate_left = (
        float(np.linalg.norm(matrix, 2))
        for matrix in (problem.sigma_yx[first], problem.sigma_yx[k], left)
    )
    if rate_left <= NOTHING_LEFT * rate_first:
        return math.inf
    return 1 + (rate_first - rate_k) / rate_left
