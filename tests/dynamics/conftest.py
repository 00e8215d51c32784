"""Fixtures of several files about ensembles."""

from __future__ import annotations

import pytest

from mimo_sim.dynamics.ensemble import step


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """No generated code: the loops for any size."""
    monkeypatch.setattr(step, "GENERATED_SIZE", 0)
