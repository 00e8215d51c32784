"""ReconBoost."""

from __future__ import annotations

import copy

import pytest
import torch

from mimo_sim import methods
from mimo_sim.methods.reconboost import boosting_loss
from mimo_sim.training import TrainingRun
from tests.methods.helpers import (
    noisy_means,
    same_state,
    set_up,
)


def test_boosting_weights() -> None:
    logits, target = (
        torch.randn(8, 3, generator=torch.Generator().manual_seed(0)),
        torch.arange(8) % 3,
    )
    plain = torch.nn.functional.cross_entropy(logits, target)
    torch.testing.assert_close(
        boosting_loss(logits, logits.flip(0), target, 5.0, 0.0), 5 / 3 * plain
    )
    sure = 1e3 * torch.nn.functional.one_hot(target, 3).float()  # the others are right: q(y) = 1
    torch.testing.assert_close(boosting_loss(logits, sure, target, 5.0, 1.0), 4 / 3 * plain)
    torch.testing.assert_close(boosting_loss(logits, None, target, 5.0, 1.0), 4 / 3 * plain)


def enter(run: TrainingRun, epoch: int) -> None:
    """Begin an epoch."""
    run.epoch = epoch
    run.method.begin_epoch(run)


@pytest.mark.parametrize("epoch", [0, 1])  # the two phases of stage 0
def test_in_stage_zero_the_first_modality_is_alone(epoch: int) -> None:
    run = set_up(methods.create("reconboost", rho=0.5), noisy_means(3, (1, 8, 8)))
    before = copy.deepcopy(run.model)  # encoders with batch norm
    enter(run, epoch)
    for batch in list(run.batches())[:2]:
        out = run.method.step(run, batch)
    assert same_state(run.model.encoders[1], before.encoders[1])
    assert same_state(run.model.encoders[2], before.encoders[2])
    assert not same_state(run.model.encoders[0], before.encoders[0])
    assert not same_state(run.model.heads[0], before.heads[0])
    assert [encoder.training for encoder in run.model.encoders] == [True] * 3
    assert out.logits.shape == (16, 3)
    first = run.model.heads[0](out.features[0])
    torch.testing.assert_close(run.method.fuse(run.model, out.features), run.method.rho * first)


def test_the_first_own_phase_weighs_every_sample_alike() -> None:
    """Nobody else is in the ensemble: the weight is w1 - w2, whatever the other outputs are."""
    run = set_up(methods.create("reconboost"), noisy_means(2), momentum=0.0, weight_decay=0.0)
    enter(run, 0)
    batch = next(iter(run.batches()))
    reference = copy.deepcopy(run.model)
    loss = run.loss_function(
        reference.heads[0](reference.encoders[0](batch.inputs[0])), batch.target
    )
    (4 / 3 * loss).backward()
    run.method.step(run, batch)
    for mine, other in zip(
        run.model.encoders[0].parameters(), reference.encoders[0].parameters(), strict=True
    ):
        torch.testing.assert_close(mine.grad, other.grad)


@pytest.mark.parametrize(("epoch", "members"), [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (9, 3)])
def test_every_stage_adds_its_modality_to_the_ensemble(epoch: int, members: int) -> None:
    run = set_up(methods.create("reconboost", rho=0.5), noisy_means(3))
    enter(run, epoch)
    features = run.model.features(next(iter(run.batches())).inputs)
    each = run.method.unimodal_outputs(run.model, features)
    torch.testing.assert_close(
        run.method.fuse(run.model, features), 0.5 * torch.stack(each[:members]).sum(0)
    )
    other = set_up(methods.create("reconboost"), noisy_means(3))
    other.method.load_state_dict(run.method.state_dict())  # as of a selected epoch
    assert torch.equal(other.method.fuse(run.model, features), run.method.fuse(run.model, features))


def test_an_own_phase_trains_one_encoder_and_the_shared_head() -> None:
    run = set_up(
        methods.create("reconboost", alpha=0.0, w2=0.0, joint_epochs=0),
        noisy_means(3, (1, 8, 8)),
        weight_decay=0.0,
    )  # encoders with batch norm
    reference = copy.deepcopy(run.model)
    optimizer = run.new_optimizer([reference])
    enter(run, 1)  # the second stage: modality 1
    for batch in list(run.batches())[:2]:
        run.method.step(run, batch)
        optimizer.zero_grad()
        (
            5
            / 3
            * run.loss_function(
                reference.heads[0](reference.encoders[1](batch.inputs[1])), batch.target
            )
        ).backward()
        optimizer.step()
    for (name, a), b in zip(
        run.model.state_dict().items(), reference.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7, msg=name)
        if not name.startswith(("encoders.1", "heads.0")):
            assert torch.equal(a, b), name
    assert float(run.method.rho.detach()) == 1
    assert [encoder.training for encoder in run.model.encoders] == [True] * 3


def test_alignment_pulls_towards_the_modality_before_and_begins_with_the_second_stage() -> None:
    runs = [
        set_up(methods.create("reconboost", alpha=alpha, w1=1.0, w2=1.0), noisy_means(2))
        for alpha in (0.0, 100.0)
    ]
    batch = next(iter(runs[0].batches()))
    for epoch, alike in ((0, True), (2, False)):
        for run in runs:
            enter(run, epoch)
            run.method.step(run, batch)
        assert same_state(runs[0].model, runs[1].model) is alike


def test_a_joint_phase_trains_the_whole_ensemble() -> None:
    run = set_up(methods.create("reconboost", rho=0.5), noisy_means(2))
    before = copy.deepcopy(run.model)
    batch = next(iter(run.batches()))
    run.optimizer.state[run.method.rho]["momentum_buffer"] = torch.ones(())
    enter(run, 3)  # the second stage: both modalities are in the ensemble
    assert not run.optimizer.state
    out = run.method.step(run, batch)
    torch.testing.assert_close(out.logits, 0.5 * sum(before.heads[0](h) for h in out.features))
    assert float(run.method.rho.detach()) != 0.5
    assert not any(
        same_state(a, b)
        for a, b in zip(
            [*run.model.encoders, run.model.heads[0]],
            [*before.encoders, before.heads[0]],
            strict=True,
        )
    )
    assert same_state(run.model.fusion, before.fusion)


def test_alignment_is_with_the_modality_of_the_stage_before() -> None:
    """Of three modalities: in stage 1 that is modality 0, in stage 3 it is modality 2."""
    for epoch, k, before in ((2, 1, 0), (6, 0, 2)):
        run = set_up(methods.create("reconboost", alpha=40.0), noisy_means(3), weight_decay=0.0)
        enter(run, epoch)
        batch = next(iter(run.batches()))
        reference = copy.deepcopy(run.model)
        outputs = [
            reference.heads[0](encoder(x))
            for encoder, x in zip(reference.encoders, batch.inputs, strict=True)
        ]
        members = [f.detach() for j, f in enumerate(outputs) if j != k and j <= epoch // 2]
        loss = boosting_loss(outputs[k], torch.stack(members).sum(0), batch.target, 5.0, 1.0)
        apart = outputs[k].softmax(1) - outputs[before].detach().softmax(1)
        (loss + 40 * apart.square().mean()).backward()
        run.method.step(run, batch)
        for mine, other in zip(
            run.model.encoders[k].parameters(), reference.encoders[k].parameters(), strict=True
        ):
            torch.testing.assert_close(mine.grad, other.grad)
