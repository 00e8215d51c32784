"""What the studies of early, hybrid and deep fusion share: their problems, measures and summary."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from mimo_sim._checks import FloatArray
from mimo_sim.dynamics.engines.layered import learning_steps
from mimo_sim.generators import superficial_preference
from mimo_sim.problem import LateFusionProblem

SCALE = 2.0  # of the problems: C = (1.697, 1.131), two-layer order threshold 1.118
Advance = Callable[[], None]


def correlated_preference(rho: float, scale: float = SCALE) -> LateFusionProblem:
    """The problem of :func:`mimo_sim.generators.superficial_preference` with correlated inputs.

    It keeps the true weights. `rho` in (-1, 1) is the correlation of the two scalar inputs.
    """
    if not -1 < rho < 1:
        raise ValueError(f"`rho` must lie in (-1, 1). Got rho={rho}.")
    base = superficial_preference(scale=scale)
    return LateFusionProblem.from_linear_model(
        list(base.joint_map.T), [[scale**2, rho * scale], [rho * scale, 1.0]]
    )


def time_ratios(run: xr.Dataset, fraction: float = 0.1, of: str = "response") -> xr.DataArray:
    """Learning time of the first modality over that of the second: below 1 where it comes first.

    Learning times are those of :func:`mimo_sim.dynamics.engines.layered.learning_steps`.
    """
    steps = learning_steps(run, fraction, of)
    ratio = steps.isel(modality=0) / steps.isel(modality=1)
    return ratio.drop_vars("modality", errors="ignore").rename("time_ratio")


def first_crossing(lams: FloatArray, ratios: FloatArray) -> float:
    """The penalty at which the time ratio first passes 1; NaN if it does not.

    The logarithm of the ratio is interpolated linearly.
    """
    logs = np.log(ratios)
    for i in range(len(lams) - 1):
        if logs[i] < 0 <= logs[i + 1]:
            return float(lams[i] + (lams[i + 1] - lams[i]) * logs[i] / (logs[i] - logs[i + 1]))
    return math.nan


def summarise(data: xr.Dataset) -> dict[str, Any]:
    """Every number of a study as plain values, without trajectories; None stands for NaN.

    Parameters
    ----------
    data : xarray.Dataset
        What `compute` of the study returned.
    """
    summary: dict[str, Any] = {str(name): value for name, value in data.attrs.items()}
    summary["coords"] = {
        name: data[name].values.tolist() for name in data.coords if not _trajectory(data[name])
    }
    summary["data"] = {
        name: {"dims": list(values.dims), "values": _plain(values.values.tolist())}
        for name, values in data.data_vars.items()
        if not _trajectory(values)
    }
    return summary


def _trajectory(values: xr.DataArray) -> bool:
    return "point" in values.dims


def _plain(values: Any) -> Any:
    if isinstance(values, list):
        return [_plain(value) for value in values]
    if isinstance(values, float) and math.isnan(values):
        return None
    return values
