"""The rules that estimate f*."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mimo_sim import methods
from mimo_sim.methods import _fstar as fstar
from mimo_sim.methods import _references
from mimo_sim.methods._curves import curve_limit
from mimo_sim.training import Settings, TrainingRun, checkpoint
from tests.methods.helpers import (
    body,
    fitted,
    images_and_vectors,
    new_run,
    same,
    started,
)


@given(
    st.floats(0.0, 2.0),
    st.floats(0.05, 3.0),
    st.sampled_from(list(np.linspace(0.3, 0.95, 14))),
    st.integers(3, 20),
)
def test_extrapolation_finds_the_limit_of_a_decay(
    limit: float, height: float, r: float, epochs: int
) -> None:
    assert curve_limit(limit + height * r ** np.arange(epochs)) == pytest.approx(limit, abs=1e-6)


@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=12))
def test_extrapolation_stays_between_zero_and_the_best(curve: list[float]) -> None:
    assert 0 <= curve_limit(np.array(curve)) <= min(curve)


def test_extrapolation_falls_back_to_the_minimum() -> None:
    assert curve_limit(np.array([3.0, 2.0])) == 2.0  # nothing to extrapolate from
    assert curve_limit(np.array([1.0, 2.0, 3.0, 4.0])) == 1.0  # a rising curve


def test_epoch_minimum_is_that_of_the_epoch_means() -> None:
    rule = fstar.EpochMinimum()
    for k, epoch in enumerate(
        ([[2.0, 3.0], [4.0, 1.0]], [[1.0, 5.0], [2.0, 4.0]], [[3.0, 0.5], [1.0, 1.0]])
    ):
        for row in epoch:
            losses = torch.tensor(row)
            rule.observe(losses, losses)
            if k == 0:
                assert rule.value.tolist() == ([2.0, 3.0] if row == [2.0, 3.0] else [2.0, 1.0])
        rule.end_epoch(None)
        assert rule.value.tolist() == [[3.0, 2.0], [1.5, 2.0], [1.5, 0.75]][k]


def test_validation_is_the_smallest_validation_loss_of_the_heads() -> None:
    run = fitted("mimo", epochs=3, f_star="validation")
    for name in run.modality_names:
        smallest = min(row[f"validation_heads_loss_{name}"] for row in run.table)
        assert run.table[-1][f"f_star_{name}"] == pytest.approx(smallest, rel=1e-5)


def test_references_are_what_each_modality_reaches_alone() -> None:
    data = images_and_vectors(3)
    settings = Settings(
        epochs=5, batch_size=48, width=4, lr=0.05
    )  # full batches: order does not matter
    runs = [
        TrainingRun(methods.create(name, **hyper), data, settings)
        for name, hyper in (("mimo", {"f_star": "reference"}), ("unimodal", {}))
    ]
    for run in runs:
        run.fit()
    for name in runs[0].modality_names:
        alone = min(row[f"train_head_loss_{name}"] for row in runs[1].table)
        assert runs[0].table[0][f"f_star_{name}"] == pytest.approx(alone, rel=1e-4)
    assert runs[0].table[0]["reference_seconds"] > 0


def test_the_length_of_the_references_can_be_given() -> None:
    run = started("mimo", f_star="zero")
    assert _references.unimodal_references(run, 3).shape == (3, 2)
    with pytest.raises(ValueError, match="`epochs` must be >= 1"):
        fstar.Reference(0)


def test_references_are_trained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_references, "_KEPT", {})
    calls: list[int] = []
    train = _references.unimodal_references

    def counted(run: Any, epochs: int) -> Tensor:
        calls.append(epochs)
        return train(run, epochs)

    monkeypatch.setattr(_references, "unimodal_references", counted)
    first, again, stronger = (
        fitted("mimo", f_star="reference"),
        fitted("mimo", f_star="reference"),
        fitted("mimo", f_star="reference", lam=20.0),
    )
    assert calls == [2]
    assert same(body(first), body(again))
    assert [run.table[0]["f_star_m0"] for run in (again, stronger)] == [
        first.table[0]["f_star_m0"]
    ] * 2
    assert again.table[0]["reference_seconds"] == first.table[0]["reference_seconds"] > 0
    fitted("mimo", f_star="reference", seed=1)
    fitted("mimo", images_and_vectors(seed=1), f_star="reference")
    fitted("mimo", epochs=3, f_star="reference")
    assert calls == [2, 2, 2, 3]
    _references._KEPT.clear()
    resumed = new_run("mimo", f_star="reference")
    checkpoint.restore(resumed, checkpoint.state(first))
    resumed.method.begin_epoch(resumed)
    assert calls == [2, 2, 2, 3]
