"""What identifies a sweep: the attributes of its file, by which a later call knows its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from mimo_sim.problem import LateFusionProblem

Identity = dict[str, str | int | float]


def identity(arguments: Mapping[str, Any]) -> Identity:
    """Arguments as attributes of a file: words and numbers as they are, the rest as JSON."""
    found: Identity = {}
    for name, value in arguments.items():
        if isinstance(value, bool):
            found[name] = int(value)  # netCDF has no truth values
        elif isinstance(value, str | int | float):
            found[name] = value
        else:
            found[name] = json.dumps(value, default=_described)
    return found


def fingerprint(problems: Iterable[LateFusionProblem]) -> str:
    """A digest of problems. It shows when a function makes other problems than before."""
    text = "".join(problem.to_json() for problem in dict.fromkeys(problems))
    return hashlib.sha256(text.encode()).hexdigest()


def _described(value: Any) -> Any:
    """What JSON cannot write, in words that are the same in every process."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, xr.DataArray):
        return value.values.tolist()
    if isinstance(value, range):
        return list(value)
    if isinstance(value, LateFusionProblem):
        return json.loads(value.to_json())
    if isinstance(value, partial):
        return [_described(value.func), list(value.args), value.keywords]
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)
