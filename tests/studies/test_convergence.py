"""The study of convergence: its summary, and the bound of Theorem 1."""

from __future__ import annotations

import numpy as np
import pytest

from mimo_sim.objective import smoothed_maximum
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


def test_the_excess_of_the_smoothed_maximum_keeps_its_digits() -> None:
    gaps = np.array([[0.3, 0.2, 0.1], [3e-22, 2e-22, 1e-22], [5.0, 0.0, 0.0]])
    found = convergence.excess_maximum(gaps, 0.01)
    direct = smoothed_maximum(gaps, 0.01) - 0.01 * np.log(3)
    np.testing.assert_allclose(found[[0, 2]], direct[[0, 2]], rtol=1e-13)
    assert found[1] == pytest.approx(2e-22, rel=1e-12)  # near zero it is the mean
    assert abs(direct[1]) < 1e-16  # where the difference has no digit left
