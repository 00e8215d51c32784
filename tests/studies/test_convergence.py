"""The study of convergence: its summary, and the bound of Theorem 1."""

from __future__ import annotations

import pytest

from mimo_sim.studies import convergence


def test_the_summary_is_of_the_stored_numbers_and_theorem_1_holds() -> None:
    calls = []
    data = convergence.compute(lams=(2.0,), mu=0.1, steps=3000, on_run=lambda: calls.append(1))
    found = convergence.summarise(data)
    assert len(calls) == len(found) == 2
    for name in ("vanilla", "MIMO, λ = 2"):
        run = data.sel(run=name)
        assert found[name]["excess_objective"] == run.excess_objective.values[-1]
        assert found[name]["excess_mm"] == pytest.approx(run.excess_mm.values[-1])
        part = found[name]["largest_part_of_bound"]
        assert 0 < part <= 1
        assert (run.grad_norm_sq <= part * run.bound * (1 + 1e-12)).all()
