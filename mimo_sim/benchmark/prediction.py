"""What linear theory says about a problem with any number of outputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mimo_sim import theory
from mimo_sim.benchmark.linear import LinearView
from mimo_sim.problem import LateFusionProblem


def predict(problem: LateFusionProblem) -> dict[str, Any]:
    r"""What linear theory says about a problem with any number of outputs, as plain values.

    Returns
    -------
    dict
        ``correlation`` :math:`|C_k|` (largest singular value: growth rate of encoder k), ``first_learned``, ``explained`` (share of :math:`E|y|^2` that each
        modality explains alone, linearly), ``joint_explained``, ``unimodal_optima``, ``most_explaining``, ``superficial``, ``order_threshold`` (lam*), and
        ``time_ratio``: when the second modality emerges over when the first does, in the limit of tiny initialisation, by two readings (None where there
        is nothing to emerge). ``without_interaction``: ratio of the rates. ``after_first``: the first is learned completely before the second emerges, which
        is [ZLS]'s formula, exact for m = 1 (:func:`mimo_sim.theory.time_ratio`); for m > 1 it is taken with largest singular values, though modes of the
        modalities then alternate and each modality goes on learning after its first mode, so neither reading is exact.
    """
    report = theory.superficial_preference(problem)
    names, second = problem.names, problem.y_second_moment
    by_name = {
        "correlation": report.correlation,
        "explained": report.explained / second,
        "unimodal_optima": problem.unimodal_optima,
    }
    return {
        "first_learned": names[report.first_learned],
        "most_explaining": names[report.most_explaining],
        "superficial": report.holds,
        "order_threshold": theory.order_threshold(problem),
        **{key: dict(zip(names, values.tolist(), strict=True)) for key, values in by_name.items()},
        "joint_explained": 1 - 2 * problem.joint_optimum / second,
        "time_ratio": _time_ratios(problem, report) if problem.num_modalities > 1 else None,
    }


def _time_ratios(
    problem: LateFusionProblem, report: theory.PreferenceReport
) -> dict[str, float | None]:
    first, rates = report.first_learned, report.correlation
    others = [k for k in range(problem.num_modalities) if k != first]
    plain = min((float(rates[first] / rates[k]) for k in others if rates[k] > 0), default=None)
    if problem.output_dim == 1:
        exact = theory.time_ratio(problem)
        return {
            "without_interaction": plain,
            "after_first": exact if math.isfinite(exact) else None,
        }
    return {
        "without_interaction": plain,
        "after_first": min(
            (r for k in others if (r := _after(problem, first, k)) is not None), default=None
        ),
    }


def _after(problem: LateFusionProblem, first: int, k: int) -> float | None:
    r"""1 + (|C_first| - |C_k|) / |D_k| with D_k what is left of C_k once `first` is learned; |.| largest singular values."""
    left = problem.sigma_yx[k] - problem.unimodal_maps[first] @ problem.sigma[first][k]
    rates = [
        float(np.linalg.norm(matrix, 2))
        for matrix in (problem.sigma_yx[first], problem.sigma_yx[k], left)
    ]
    return 1 + (rates[0] - rates[1]) / rates[2] if rates[2] > 1e-12 * rates[0] else None


def linear_accuracies(view: LinearView) -> dict[str, float]:
    """Validation accuracy of the least-squares classifier of each modality's features, and of all ("joint"): what a linear network can reach."""
    found = {}
    for name, chosen in [
        *((name, [k]) for k, name in enumerate(view.names)),
        ("joint", list(range(len(view.names)))),
    ]:
        x, x_validation = (
            np.hstack([side[k] for k in chosen]) for side in (view.train, view.validation)
        )
        fitted = np.linalg.lstsq(x, view.target, rcond=None)[0]
        found[name] = float(
            np.mean((x_validation @ fitted).argmax(1) == view.validation_target.argmax(1))
        )
    return found
