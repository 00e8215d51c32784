"""G2D."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mimo_sim import methods
from mimo_sim.methods.g2d import distillation, trains
from tests.methods.helpers import (
    gradients,
    images_and_vectors,
    noisy_means,
    one_batch,
    same,
    same_state,
    set_up,
    started,
    trained,
)
from tests.methods.tiny import LOGITS


def test_distillation_at_a_temperature() -> None:
    p, q = (LOGITS / 3).softmax(-1)
    expected = 9 * (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(distillation(LOGITS[0], LOGITS[1], 3.0), expected)
    assert float(distillation(LOGITS[0], LOGITS[0] + 2, 3.0)) == pytest.approx(0, abs=1e-12)
    with_mixed = distillation(LOGITS[1], LOGITS[0], 3.0)
    assert float(with_mixed) != pytest.approx(float(expected), rel=1e-3)


@given(st.permutations([0.5, 1.0, 2.0, 4.0]), st.integers(1, 4))
def test_the_weakest_train_alone(sure: list[float], released: int) -> None:
    on = trains(torch.tensor(sure), released)
    assert sorted(sure)[:released] == sorted(q for q, moves in zip(sure, on, strict=True) if moves)


def test_equal_teachers_both_train() -> None:
    assert trains(torch.tensor([1.0, 1.0]), 1).tolist() == [True, True]
    assert trains(torch.tensor([1.0, 2.0, 1.0]), 1).tolist() == [True, False, True]
    assert trains(torch.tensor([1.0, 2.0, 2.0]), 2).tolist() == [True, True, True]


def taught(k: int = 2, run_epochs: int = 4, **hyper: Any) -> Any:
    """A run whose teachers are trained, before its first step."""
    run = set_up(methods.create("g2d", **hyper), noisy_means(k), epochs=run_epochs, lr=0.05)
    run.method.begin_epoch(run)
    return run


@pytest.mark.parametrize("k", [2, 3])
def test_the_objective_is_the_joint_loss_and_two_distillations(k: int) -> None:
    run = taught(k, logit_weight=0.5, feature_weight=0.25, temperature=2.0, epochs=2)
    teachers = run.method.teachers
    out = run.method.forward_pass(run, one_batch(run))
    expected = out.loss
    parts = zip(
        teachers.network.encoders,
        teachers.network.heads,
        out.batch.inputs,
        out.features,
        strict=True,
    )
    for encoder, head, x, h in parts:
        t = encoder(x)
        expected = expected + 0.5 * distillation(head(t), out.logits, 2.0)
        expected = expected + 0.25 * (h - t).square().mean()
    torch.testing.assert_close(run.method.objective(run, out), expected)


def test_teachers_stay_as_they_are_and_the_model_begins_anew() -> None:
    run = set_up(methods.create("g2d", epochs=2), noisy_means(2, (1, 8, 8)))
    before = copy.deepcopy(run.model)
    run.method.begin_epoch(run)
    assert same_state(before, run.model)
    teachers = copy.deepcopy(run.method.teachers)
    assert not same_state(teachers.network.encoders, run.model.encoders)
    for batch in run.batches():
        run.method.step(run, batch)
    assert same_state(teachers, run.method.teachers)


@pytest.mark.parametrize("unimodal", ["heads", "masked"])
def test_teachers_say_what_the_network_would_say_with_their_encoders(unimodal: Any) -> None:
    run = set_up(methods.create("g2d"), noisy_means(), fusion="sum", unimodal=unimodal)
    run.method.begin_epoch(run)
    features, outputs = run.method.lesson
    run.model.load_state_dict(run.method.teachers.network.state_dict())
    run.model.eval()
    again = run.model.features(run.inputs(run.train, torch.arange(48)).inputs)
    for mine, t in zip(again, features, strict=True):
        torch.testing.assert_close(mine, t)
    for mine, o in zip(run.model.head_logits(again), outputs, strict=True):
        torch.testing.assert_close(mine, o)


def test_teachers_practise_as_long_as_they_are_told() -> None:
    four, one, same_length = (
        taught(**hyper).method.teachers for hyper in ({}, {"epochs": 1}, {"epochs": 4})
    )
    assert same_state(four, same_length)
    assert not same_state(four, one)


def test_a_student_in_the_place_of_its_teacher_learns_nothing_of_features() -> None:
    run = taught(logit_weight=0.0)
    run.model.encoders.load_state_dict(run.method.teachers.network.encoders.state_dict())
    out = run.method.forward_pass(run, one_batch(run))
    assert float(run.method.objective(run, out).detach()) == float(out.loss.detach())


@pytest.mark.parametrize("rest", ["encoder", "kernels"])
def test_the_encoder_of_the_surer_teacher_rests(rest: Any) -> None:
    run = taught(rest=rest, release=2)
    batch = one_batch(run)
    out = run.method.forward_pass(run, batch)
    run.method.backward(run, out)
    raw = [gradients(encoder) for encoder in run.model.encoders]
    fusion = gradients(run.model.fusion)
    outputs = [o[batch.index].softmax(1) for o in run.method.lesson[1]]
    sure = [float(p[range(16), batch.target].sum()) for p in outputs]
    strong = sure.index(max(sure))
    run.method.gradients(run, out)
    assert same(gradients(run.model.encoders[1 - strong]), raw[1 - strong])
    assert same(gradients(run.model.fusion), fusion)
    for parameter, own in zip(run.model.encoders[strong].parameters(), raw[strong], strict=True):
        assert own.any()
        if rest == "encoder":
            assert parameter.grad is None
        elif parameter.ndim > 1:
            assert not parameter.grad.any()
        else:
            assert torch.equal(parameter.grad, own)
    assert run.method.report()["trained"][strong] == 0


def test_encoders_are_released_one_after_the_other() -> None:
    run = taught(3, release=4, run_epochs=5, feature_weight=0.0)
    moved = []
    for epoch in range(5):
        run.epoch = epoch
        run.method.begin_epoch(run)
        before = copy.deepcopy(run.model.encoders)
        run.method.step(run, one_batch(run))
        pairs = zip(before, run.model.encoders, strict=True)
        moved.append(sum(not same_state(a, b) for a, b in pairs))
    assert moved == [1, 1, 2, 2, 3]


def test_without_its_parts_it_is_joint_training() -> None:
    off = {"logit_weight": 0.0, "feature_weight": 0.0, "release": 0}
    plain = trained(methods.create("vanilla"), noisy_means())
    run = trained(methods.create("g2d", **off), noisy_means())
    assert same_state(run.model, plain.model)
    assert not run.method.report()
    for on in ({"logit_weight": 1.0}, {"feature_weight": 1.0}, {"release": 1}):
        run = trained(methods.create("g2d", **off | on), noisy_means())
        assert not same_state(run.model, plain.model)


def test_what_it_is_not_defined_for_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'g2d' needs at least 2 modalities\. Got 1"):
        started("g2d", images_and_vectors(1))
    with pytest.raises(ValueError, match=r"'g2d' is defined for classification"):
        started("g2d", images_and_vectors(task="regression"))
