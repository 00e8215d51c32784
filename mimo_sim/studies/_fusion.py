"""What the studies of early, hybrid and deep fusion share: the problem family, and how a result is measured."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import xarray as xr

from mimo_sim._checks import FloatArray
from mimo_sim.dynamics.engines.layered import learning_steps
from mimo_sim.generators import superficial_preference
from mimo_sim.problem import LateFusionProblem

SCALE = 2.0  # of the problem family: C = (1.697, 1.131), two-layer threshold 1.118
Advance = Callable[[], None]


def correlated_preference(rho: float, scale: float = SCALE) -> LateFusionProblem:
    """:func:`mimo_sim.generators.superficial_preference` with its true weights and correlation `rho` in (-1, 1) between the two scalar inputs."""
    if not -1 < rho < 1:
        raise ValueError(f"`rho` must lie in (-1, 1). Got rho={rho}.")
    base = superficial_preference(scale=scale)
    return LateFusionProblem.from_linear_model(
        list(base.joint_map.T), [[scale**2, rho * scale], [rho * scale, 1.0]]
    )


def time_ratios(run: xr.Dataset, fraction: float = 0.1, of: str = "response") -> xr.DataArray:
    """Learning time of the first modality over that of the second (:func:`learning_steps`): below 1 where the first comes first."""
    steps = learning_steps(run, fraction, of)
    return (
        (steps.isel(modality=0) / steps.isel(modality=1))
        .drop_vars("modality", errors="ignore")
        .rename("time_ratio")
    )


def first_crossing(lams: FloatArray, ratios: FloatArray) -> float:
    """The penalty at which the time ratio first passes 1, by linear interpolation of its logarithm; NaN if it does not."""
    logs = np.log(ratios)
    for i in range(len(lams) - 1):
        if logs[i] < 0 <= logs[i + 1]:
            return float(lams[i] + (lams[i + 1] - lams[i]) * logs[i] / (logs[i] - logs[i + 1]))
    return math.nan
