"""G-Blending."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mimo_sim import methods
from mimo_sim.methods import g_blending
from tests.methods.helpers import (
    fitted,
    one_batch,
    same,
    started,
)

curve = st.floats(0.0, 5.0)


@given(st.lists(st.tuples(curve, curve, curve, curve), min_size=2, max_size=4))
def test_blend_weights_are_weights(curves: list[tuple[float, ...]]) -> None:
    weights = g_blending.blend_weights(*torch.tensor(curves, dtype=torch.float64).T)
    assert (weights >= 0).all()
    assert weights.sum().item() == pytest.approx(1)


def test_blend_weights() -> None:
    def blend(**changes: list[float]) -> list[float]:
        curves = {
            "train_before": [2.0, 2.0, 2.0],
            "train_after": [0.5, 0.5, 0.5],
            "held_before": [2.0, 2.0, 2.0],
            "held_after": [1.0, 1.0, 1.0],
        } | changes
        found: list[float] = g_blending.blend_weights(
            **{name: torch.tensor(c, dtype=torch.float64) for name, c in curves.items()}
        ).tolist()
        return found

    assert blend() == pytest.approx([1 / 3] * 3)  # the same curves: uniform
    assert blend(train_after=[0.0, 0.5, 0.5]) == pytest.approx(
        np.array([1 / 4, 1, 1]) / 2.25
    )  # doubling O
    assert blend(held_after=[2.5, 1.0, 1.0])[0] == 0  # it got worse
    assert blend(held_after=[3.0, 3.0, 3.0]) == pytest.approx([1 / 3] * 3)  # nobody gained
    assert blend(train_after=[1.0, 1.0, 1.0]) == pytest.approx([1 / 3] * 3)  # nobody over-fitted
    small = np.array([0.1 / 1.4**2, 0.2 / 1.3**2, 0.0])  # that they are small does not matter
    assert blend(held_after=[1.9, 1.8, 2.0]) == pytest.approx(small / small.sum())
    # An over-fitting below 0.01, here of the first branch, counts as 0.01.
    assert blend(train_after=[1.0, 0.5, 0.5]) == pytest.approx(np.array([2500, 1, 1]) / 2502)


def test_g_blending_estimates_every_super_epoch_and_counts_the_cost() -> None:
    run = fitted("g_blending", epochs=5, super_epoch=2)
    assert [row["extra_epochs"] for row in run.table] == [4, 4, 8, 8, 10]
    assert all(
        sum(row[f"blend_{m}"] for m in range(3)) == pytest.approx(1, abs=1e-5) for row in run.table
    )
    assert run.table[0]["blend_0"] == run.table[1]["blend_0"] != run.table[2]["blend_0"]


def test_super_epochs_count_from_the_start_of_the_window() -> None:
    run = fitted("g_blending", epochs=5, super_epoch=2, window=(1, 4))
    assert [row["extra_epochs"] for row in run.table] == [0, 4, 4, 8, 8]


def test_g_blending_leaves_no_trace_of_its_estimates() -> None:
    run = started("g_blending")
    before = [v.clone() for v in run.model.state_dict().values()]
    run.method.begin_epoch(run)
    assert same(before, [*run.model.state_dict().values()])
    assert not run.optimizer.state_dict()["state"]


def test_equal_fixed_blend_weights_are_a_third_of_linear_scalarization() -> None:
    run = started("g_blending", weights=(1 / 3, 1 / 3, 1 / 3))
    batch = one_batch(run)
    out = run.method.forward_pass(run, batch)
    expected = methods.create("linear_scalarization").objective(run, out) / 3
    torch.testing.assert_close(run.method.objective(run, out), expected)


def test_the_last_given_weight_is_that_of_the_joint_loss() -> None:
    run = started("g_blending", weights=(0.1, 0.3, 0.6))
    out = run.method.forward_pass(run, one_batch(run))
    expected = 0.1 * out.head_losses[0] + 0.3 * out.head_losses[1] + 0.6 * out.loss
    torch.testing.assert_close(run.method.objective(run, out), expected)
