"""SMV, and the Shapley values that it uses."""

from __future__ import annotations

import copy
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from mimo_sim.datasets._data import Split
from mimo_sim.methods._shapley import coalitions, shapley
from mimo_sim.methods.smv import SMV, Shape, copies, shaped
from tests.methods.helpers import (
    entries,
    noisy_means,
    set_up,
)


@given(arrays(float, (3, 8), elements=entries))
def test_shapley_values_share_out_everything(values: np.ndarray) -> None:
    phi = shapley(torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(phi.sum(1), values[:, -1] - values[:, 0], atol=1e-9)
    columns = {kept: i for i, kept in enumerate(coalitions(3))}
    swapped = values[
        :, [columns[tuple(sorted({0: 1, 1: 0, 2: 2}[k] for k in kept))] for kept in columns]
    ]
    np.testing.assert_allclose(
        shapley(torch.from_numpy(swapped)).numpy(), phi[:, [1, 0, 2]], atol=1e-9
    )


def test_shapley_values_of_two_and_three() -> None:
    v = torch.tensor([[0.0, 1, 0, 2], [0, 1, 1, 2], [0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0]])
    assert shapley(v).tolist() == [[1.5, 0.5], [1, 1], [0.5, -0.5], [0, 0], [0, 0]]
    everyone_needed = torch.tensor([0.0, 0, 0, 0, 0, 0, 0, 3])
    assert shapley(everyone_needed).tolist() == pytest.approx([1, 1, 1])
    with pytest.raises(ValueError, match=r"2\*\*K columns, K >= 1. Got 3"):
        shapley(torch.zeros(3))


def test_copies() -> None:
    assert copies(torch.tensor([-0.5, 0, 0.5, 1, 1.5])).tolist() == [3, 2, 1, 0, 0]
    thirds = shapley(torch.tensor([0.0, 0, 0, 0, 0, 0, 0, 3], dtype=torch.float64))
    assert copies(thirds).tolist() == [0, 0, 0]


def test_shapes_of_the_modality_level_are_the_released_ones() -> None:
    """Gap 0.37 and alpha 2: x = 2/3 gap, and alpha is inside the tanh and outside the power."""
    x = 2 / 3 * torch.tensor(0.37, dtype=torch.float64)
    assert float(shaped(x, "identity", 2.0)) == pytest.approx(0.37 / 3 * 2 * 2)
    assert float(shaped(x, "tanh", 2.0)) == pytest.approx(np.tanh(0.37 / 3 * 2 * 2))
    assert float(shaped(x, "power", 2.0)) == pytest.approx(0.2450, abs=5e-5)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 4.0))
@pytest.mark.parametrize("shape", get_args(Shape))
def test_shapes_rise_with_the_gap_and_with_alpha(
    shape: Shape, one: float, other: float, alpha: float
) -> None:
    low, high = sorted([one, other])
    f = [shaped(torch.tensor(gap, dtype=torch.float64), shape, alpha) for gap in (0.0, low, high)]
    assert f[0] == 0
    assert f[1] <= f[2]
    assert f[2] <= shaped(torch.tensor(high, dtype=torch.float64), shape, alpha + 1)


@pytest.mark.parametrize(
    ("subset", "measured"),
    [(1.0, 48), (0.5, 24), (0.29, 13), (0.001, 1)],  # 0.29 * 48 = 13.92; at least one
)
def test_the_modality_level_measures_on_a_subset_drawn_with_replacement(
    subset: float, measured: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = set_up(SMV(level="modality", warm_up=0, subset=subset), noisy_means())
    drawn: list[Tensor] = []
    contributions = run.method._contributions

    def remembered(run: Any, index: Tensor) -> Tensor:
        drawn.append(index)
        values: Tensor = contributions(run, index)
        return values

    monkeypatch.setattr(run.method, "_contributions", remembered)
    for _ in range(5):
        run.method.samples(run)
    assert [len(index) for index in drawn] == [measured] * 5
    assert all(index.min() >= 0 and index.max() < 48 for index in drawn)
    if measured > 20:  # the chance that none of 5 x 24 draws repeats one is below 1e-13
        assert any(len(set(index.tolist())) < measured for index in drawn)


@pytest.mark.parametrize("level", ["sample", "modality"])
def test_smv_repeats_what_a_modality_fails_on(level: Any) -> None:
    run = set_up(SMV(level=level, warm_up=0, subset=1.0), noisy_means(3, (1, 8, 8), noise=2.0))
    run.model.encoders[0].eval()  # a mode of its own, which must come back
    state = copy.deepcopy(run.model.state_dict())
    run.generator.manual_seed(3)
    plan = run.method.samples(run)
    assert [m.training for m in run.model.encoders] == [False, True, True]
    assert all(
        torch.equal(a, b)
        for a, b in zip(state.values(), run.model.state_dict().values(), strict=True)
    )
    assert plan is not None
    assert plan.keep is not None
    n = len(run.train)
    assert plan.index[:n].tolist() == list(range(n))
    assert plan.keep[:n].all()
    assert (plan.keep[n:].sum(1) == 1).all()
    run.model.eval()
    with torch.no_grad():
        features = run.model.features(run.inputs(run.train, torch.arange(n)).inputs)
        value = []
        for kept in coalitions(3):
            z = run.model.fuse([h * (k in kept) for k, h in enumerate(features)])
            value.append((z.argmax(1) == run.train.target) * float(len(kept)))
    phi = shapley(torch.stack(value, 1).double())
    repeats = plan.keep[n:].sum(0)
    if level == "sample":
        expected = copies(phi)
        for k in range(3):
            assert torch.equal(
                torch.bincount(plan.index[n:][plan.keep[n:, k]], minlength=n), expected[:, k]
            )
    else:
        run.generator.manual_seed(3)
        drawn = torch.randint(n, (n,), generator=run.generator)  # with replacement, as released
        mean = phi[drawn].mean(0)
        gap = mean.max() - mean.min()
        expected = torch.zeros(3, dtype=torch.long)
        expected[mean.argmin()] = int(2 / 3 * gap * n)
        assert torch.equal(repeats, expected)
        assert repeats.sum() > 0


def test_smv_with_everything_right_is_a_plain_epoch() -> None:
    run = set_up(SMV(warm_up=0), noisy_means())
    run.train = Split(run.train.inputs, torch.zeros_like(run.train.target))
    with torch.no_grad():
        run.model.fusion.weight.zero_()
        run.model.fusion.bias.copy_(torch.tensor([1.0, 0, 0]))  # class 0 whatever the features
    assert run.method.samples(run) is None
