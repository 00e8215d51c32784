"""What the tests of sweeps share: a small sweep, and the chunks that this process computes."""

from __future__ import annotations

from typing import Any

import pytest
import xarray as xr

from mimo_sim.sweeps import _backends, sweep
from mimo_sim.sweeps._recipe import compute
from tests.sweeps.designs import GRID, SETTINGS


@pytest.fixture(scope="module")
def reference() -> xr.Dataset:
    return sweep("scalar-pair", GRID, **SETTINGS)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the chunks that this process computes."""
    numbers: list[int] = []

    def counted(recipe: Any, index: int, *arguments: Any) -> Any:
        numbers.append(index)
        return compute(recipe, index, *arguments)

    monkeypatch.setattr(_backends, "compute", counted)
    return numbers
