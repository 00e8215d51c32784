"""UMT."""

from __future__ import annotations

import copy

import torch

from mimo_sim import methods
from tests.methods.helpers import (
    noisy_means,
    same_state,
    set_up,
)


def test_teachers_are_uni_modal_networks_that_stay_as_they_are() -> None:
    dataset = noisy_means(shape=(1, 8, 8))  # encoders with batch norm
    run = set_up(methods.create("umt", epochs=2), dataset, epochs=2)
    before = copy.deepcopy(run.model.state_dict())
    run.method.begin_epoch(run)
    assert all(
        torch.equal(a, b)
        for a, b in zip(before.values(), run.model.state_dict().values(), strict=True)
    )
    teachers = copy.deepcopy(run.method.teachers)
    assert not same_state(teachers.network.encoders, run.model.encoders)
    assert not same_state(teachers.network.heads, run.model.heads)
    for batch in run.batches():
        run.method.step(run, batch)
    assert same_state(teachers, run.method.teachers)
    assert [name for name, p in run.method.named_parameters() if p.requires_grad] == []


def test_a_teacher_knows_nothing_of_other_modalities() -> None:
    dataset = noisy_means()
    run, other = (set_up(methods.create("umt", epochs=1), dataset) for _ in range(2))
    other.train = type(other.train)(
        (other.train.inputs[0], torch.zeros_like(other.train.inputs[1])), other.train.target
    )
    for one in (run, other):
        one.method.begin_epoch(one)
    assert same_state(
        run.method.teachers.network.encoders[0], other.method.teachers.network.encoders[0]
    )
    assert not same_state(
        run.method.teachers.network.encoders[1], other.method.teachers.network.encoders[1]
    )


def test_a_student_equal_to_its_teacher_has_no_distillation_loss() -> None:
    run = set_up(methods.create("umt", epochs=1), noisy_means())
    run.method.begin_epoch(run)
    run.model.encoders.load_state_dict(run.method.teachers.network.encoders.state_dict())
    out = run.method.forward_pass(run, next(iter(run.batches())))
    assert float(run.method.objective(run, out).detach()) == float(out.loss.detach())
