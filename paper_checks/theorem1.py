"""Theorem 1's setting: runs of gradient descent with the step 1/L, and what it says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from paper_checks.curvature import curvature
from paper_checks.network import Array, Data, Descent, Network, Objective, descend, optima


@dataclass(frozen=True)
class Setting:
    """B problems, each run with the step 1/L of the paper's formula for that very run.

    The constants L_mm, L_k and l_k in L are measured along the run.

    Attributes
    ----------
    data, start, objective
        The problems.
    step_size : array (B,)
        1/L.
    inside : array of bool (B,)
        Whether the run stays within the L that its step was made for.
    sharpest : array (B,)
        Largest curvature of F that the run met.
    run : Descent
        The runs.
    """

    data: Data
    start: Network
    objective: Objective
    step_size: Array
    inside: npt.NDArray[np.bool_]
    sharpest: Array
    run: Descent


def setting(
    data: Data,
    start: Network,
    objective: Objective,
    steps: int,
    heads: Literal["gradient", "plain"] = "gradient",
    points: int = 8,
    passes: int = 3,
) -> Setting:
    """Find the step 1/L: run, measure L at some points along the way, run again with this 1/L."""
    runs = len(data.y)
    keep = np.unique(np.r_[0, np.geomspace(1, steps, points - 1).astype(int)])
    index = np.repeat(np.arange(runs), len(keep))
    bound = curvature(data, start, objective).stated_for_runs(objective, runs)
    for attempt in range(passes):
        run = descend(data, start, objective, 1 / bound, steps, heads, keep=keep.tolist())
        along = curvature(data.take(index), run.kept, objective.take(index))
        found = along.stated_for_runs(objective, runs)
        inside = found <= bound * (1 + 1e-9)
        if attempt == passes - 1 or inside.all():
            break
        bound = np.where(inside, bound, 1.02 * found)
    sharpest = along.objective.reshape(runs, -1).max(axis=1)
    return Setting(data, start, objective, 1 / bound, inside, sharpest, run)


def infimum(data: Data, objective: Objective) -> Array:
    """The infimum of F (B,): f_mm and every f_k are at their minima.

    A network reaches it with one or more hidden units for each output.
    """
    joint, single = optima(data)
    gaps = single - objective.f_star
    top = gaps.max(axis=1)
    spread = np.exp((gaps - top[:, None]) / objective.mu[:, None]).sum(axis=1)
    return np.asarray(joint + objective.lam * (top + objective.mu * np.log(spread)))


def increases(objective: Array, scale: Array) -> Array:
    """Largest increase of F in one step of each run (B,), in units of `scale` (B,).

    A run that does not stay finite counts as an infinite increase.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.diff(objective, axis=1).max(axis=1) / scale
    return np.asarray(np.where(np.isfinite(objective).all(axis=1), steps, np.inf))


def rate_ratio(grad_sq: Array, drop: Array, step_size: Array) -> Array:
    """What fraction of Theorem 1's bound each run (B,) reaches, at the T where it is largest.

    That is min_{t<T} |grad F|^2 over 2 (F_0 - inf F) / (eta T). `drop` is F_0 - inf F (B,).
    """
    steps = np.arange(1, grad_sq.shape[1])
    least = np.minimum.accumulate(grad_sq[:, :-1], axis=1)
    return np.asarray((least * steps * step_size[:, None] / (2 * drop[:, None])).max(axis=1))
