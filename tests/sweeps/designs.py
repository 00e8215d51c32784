"""A small design, and sweeps of it that end too early."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from mimo_sim.sweeps import _backends, sweep
from mimo_sim.sweeps._recipe import compute

GRID: dict[str, Any] = {
    "lam": [0.5, 5.0],
    "sigma_ratio": [2.0, 3.0],
    "rho": [-0.5, 0.0, 0.5],
}  # lam first: not the order in which runs are numbered
SETTINGS: dict[str, Any] = {"steps": 60, "step_size": 1e-2, "init_scale": 0.1, "seeds": 2}


def stopping(after: int, error: BaseException) -> Callable[..., Any]:
    """`compute` that fails after so many chunks."""
    calls = itertools.count()

    def chunk(*arguments: Any) -> Any:
        if next(calls) == after:
            raise error
        return compute(*arguments)

    return chunk


def interrupted(after: int, error: BaseException, **arguments: Any) -> BaseException:
    """A sweep that ends so after so many chunks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_backends, "compute", stopping(after, error))
        with pytest.raises(type(error)) as stopped:
            sweep("scalar-pair", GRID, **SETTINGS, **arguments)
    return stopped.value
