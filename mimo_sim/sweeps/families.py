"""Families of problems by name, and a fast way to make many: building a problem takes longer than ten thousand steps of training it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from mimo_sim import generators
from mimo_sim._checks import FloatArray
from mimo_sim.problem import LateFusionProblem

FAMILIES: dict[str, Callable[..., LateFusionProblem]] = {
    "superficial": generators.superficial_preference,
    "scalar-pair": generators.scalar_pair,
    "random": partial(generators.random_problem, require="superficial"),
}


def scalar_pairs(points: Sequence[Mapping[str, Any]]) -> list[LateFusionProblem | None]:
    """:func:`mimo_sim.generators.scalar_pair` at many points at once, bit by bit; None where a point is not an ordinary one and it should have a look.

    The arithmetic of the constructor, stacked; its checks cannot fail for a well-conditioned linear model.
    """
    filled = [{"sigma_ratio": 2.0, "rho": 0.5, "noise_variance": 0.0, **point} for point in points]
    ordinary = [i for i, point in enumerate(filled) if _ordinary(**point)]
    made: list[LateFusionProblem | None] = [None] * len(filled)
    if not ordinary:
        return made
    columns = [
        (point["sigma_ratio"] ** 2, point["rho"] * point["sigma_ratio"], point["noise_variance"])
        for point in (filled[i] for i in ordinary)
    ]
    square, cross, noise = np.array(columns, dtype=float).T
    moment = np.stack([np.stack([square, cross], 1), np.stack([cross, np.ones_like(cross)], 1)], 1)
    moments = (moment[:, 0] + moment[:, 1])[:, None, :]  # E[y x^T]: (N, 1, 2)
    second = moments[:, 0, 0] + moments[:, 0, 1] + noise
    joint = _solved(moments, moment)
    alone = [_solved(moments[:, :, k : k + 1], moment[:, k : k + 1, k : k + 1]) for k in (0, 1)]
    optima = (
        np.maximum(
            second[:, None]
            - np.hstack([alone[k][:, 0] * moments[:, 0, k : k + 1] for k in (0, 1)]),
            0.0,
        )
        / 2
    )
    joint_optimum = np.maximum(second - (joint * moments)[:, 0].sum(axis=1), 0.0) / 2
    for array in (moment, moments, joint, optima, *alone):
        array.flags.writeable = False
    common = {"dims": (1, 1), "num_modalities": 2, "output_dim": 1, "names": ("m1", "m2")}
    for row, i in enumerate(ordinary):
        problem = made[i] = object.__new__(LateFusionProblem)
        problem.__dict__.update(
            common,
            input_moment=moment[row],
            cross_moment=moments[row],
            y_second_moment=float(second[row]),
            joint_map=joint[row],
            unimodal_maps=(alone[0][row], alone[1][row]),
            unimodal_optima=optima[row],
            joint_optimum=float(joint_optimum[row]),
            _sealed=True,
        )
    return made


def _ordinary(sigma_ratio: Any, rho: Any, noise_variance: Any) -> bool:
    numbers = all(type(value) in (int, float) for value in (sigma_ratio, rho, noise_variance))
    return (
        numbers
        and 1e-3 <= sigma_ratio <= 1e3
        and abs(rho) <= 1 - 1e-6
        and 0 <= noise_variance <= 1e6
    )


def _solved(cross: FloatArray, moment: FloatArray) -> FloatArray:
    """X with X @ moment = cross, stacked, as a problem's optimal maps are computed."""
    scale = np.sqrt(np.diagonal(moment, axis1=1, axis2=2))
    scaled = moment / (scale[:, :, None] * scale[:, None, :])
    return (
        np.linalg.solve(scaled, (cross / scale[:, None, :]).transpose(0, 2, 1)).transpose(0, 2, 1)
        / scale[:, None, :]
    )
