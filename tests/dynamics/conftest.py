"""Fixtures of several files: loops for any size, and loops that are not compiled."""

from __future__ import annotations

import pytest
from numba.core.registry import CPUDispatcher

from mimo_sim.dynamics.engines import early, gram, rules
from mimo_sim.dynamics.ensemble import step


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """No generated code: the loops for any size."""
    monkeypatch.setattr(step, "GENERATED_SIZE", 0)


@pytest.fixture
def plain_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the engines, every compiled function is replaced by its source."""
    monkeypatch.setattr(gram, "STATIC_SIZE", 0)
    for module in (gram, early, rules):
        for name, value in list(vars(module).items()):
            if isinstance(value, CPUDispatcher):
                monkeypatch.setattr(module, name, value.py_func)
