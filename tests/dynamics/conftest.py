"""Fixtures of several files about ensembles."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mimo_sim.dynamics.ensemble import cpu, step


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No generated code: the loops for any size."""
    monkeypatch.setattr(step, "GENERATED_SIZE", 0)
    cpu.advance.cache_clear()
    yield
    cpu.advance.cache_clear()
