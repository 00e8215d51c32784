"""The rules that estimate f*."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mimo_sim import methods
from mimo_sim.methods import MIMOLoss, _references
from mimo_sim.methods import _fstar as fstar
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


@given(st.floats(0.0, 2.0), st.floats(0.05, 3.0), st.data())
def test_extrapolation_leaves_out_epochs_without_a_finite_loss(
    limit: float, height: float, data: st.DataObject
) -> None:
    curve = limit + height * 0.6 ** np.arange(9)
    for epoch in data.draw(st.sets(st.integers(0, 8), max_size=6)):
        curve[epoch] = data.draw(st.sampled_from([np.inf, np.nan]))
    assert curve_limit(curve) == pytest.approx(limit, abs=1e-6)
    assert curve_limit(np.full(4, np.nan)) == np.inf  # nothing is known


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


def observe(rule: fstar.FStar, *rows: list[float]) -> list[list[float]]:
    """The estimates of some steps whose averages are the losses, inf where they are not finite."""
    found = []
    for row in rows:
        losses = torch.tensor(row)
        smoothed = torch.where(losses.isfinite(), losses, torch.inf)
        found.append(rule.observe(losses, smoothed).tolist())
    return found


@pytest.mark.parametrize("name", ["epoch_minimum", "extrapolation"])
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_loss_that_is_not_finite_does_not_count_in_its_epoch(name: str, bad: float) -> None:
    rule = fstar.make_rule(name)
    observe(rule, [bad, 2.0], [1.0, 4.0], [3.0, 3.0])
    rule.end_epoch(None)
    assert rule.value.tolist() == [2.0, 3.0]
    observe(rule, [1.0, 1.0], [1.0, bad])
    rule.end_epoch(None)
    assert rule.value.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", ["epoch_minimum", "extrapolation"])
def test_without_a_finite_loss_in_any_epoch_the_running_minimum_goes_on(name: str) -> None:
    rule = fstar.make_rule(name)
    observe(rule, [np.inf, 2.0])
    rule.end_epoch(None)
    assert observe(rule, [4.0, 1.0], [3.0, 1.0], [5.0, 1.0]) == [[4.0, 2.0], [3.0, 2.0], [3.0, 2.0]]
    rule.end_epoch(None)
    assert rule.value.tolist() == [4.0, 1.0]  # the epoch mean


def take_steps(mimo: MIMOLoss, steps: int) -> None:
    """Steps in a loop of one's own."""
    for _ in range(steps):
        mimo(torch.tensor(1.0), torch.tensor([1.0, 2.0]))


@pytest.mark.parametrize("name", ["epoch_minimum", "extrapolation", "validation"])
def test_a_rule_that_waits_for_the_end_of_an_epoch_says_so_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fstar, "PATIENCE", 5)
    mimo = MIMOLoss(f_star=name)
    take_steps(mimo, 4)  # a warning would be an error here
    with pytest.warns(UserWarning, match=f"f_star='{name}' .* `end_epoch` .* in 5 steps") as said:
        take_steps(mimo, 20)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("name", "steps_per_epoch"),
    [("extrapolation", 4), ("epoch_minimum", 4), ("running_minimum", 99), ("zero", 99)],
)
def test_there_is_no_warning_where_epochs_end_or_do_not_matter(
    name: str, steps_per_epoch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fstar, "PATIENCE", 5)
    mimo = MIMOLoss(f_star=name)
    for _ in range(4):
        take_steps(mimo, steps_per_epoch)  # a warning would be an error here
        mimo.end_epoch()


def test_there_is_no_warning_in_the_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fstar, "PATIENCE", 2)  # an epoch has three steps
    fitted("mimo", f_star="extrapolation")


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


def test_other_training_has_other_references() -> None:
    """What decides the references and shows in no weight: settings, order of samples, units."""
    data = images_and_vectors()
    first = _of(data)
    for change in ({"masks": data.modalities[0].name}, {"unimodal": "masked"}, {"augment": "clip"}):
        assert _of(data, **change) != first
    units = tuple(replace(one, scale=2 * one.scale) for one in data.modalities)
    assert _of(replace(data, modalities=units)) != first
    x = [one.clone() for one in data.train.inputs]
    x[0][[0, 1]] = x[0][[1, 0]]
    assert _of(replace(data, train=replace(data.train, inputs=tuple(x)))) != first
    assert _of(images_and_vectors()) == first


def _of(data: Any, **change: Any) -> str:
    run = started("mimo", data, f_star="reference")
    run.recipe = repr((replace(run.settings, **change), run.modalities))
    return _references._fingerprint(run, 2)


def test_a_rule_owns_its_references() -> None:
    """What a run does with them, such as load a checkpoint, does not reach the next run."""
    first, other = fstar.Reference(1), fstar.Reference(1)
    run = started("mimo", f_star="zero")
    first.begin_epoch(run)
    kept = first.value.tolist()
    first.value.zero_()
    other.begin_epoch(run)
    assert other.value.tolist() == kept != [0, 0]


@pytest.mark.parametrize("values", [[[0.1, 0.2]], [], [0.1, float("nan")], float("inf")])
def test_f_star_is_a_number_or_one_number_per_modality(values: Any) -> None:
    with pytest.raises(ValueError, match="`f_star` must be finite: a number or one number"):
        fstar.Constant(values)
