"""ReconBoost."""

from __future__ import annotations

import copy

import torch

from mimo_sim import methods
from mimo_sim.methods.reconboost import boosting_loss
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


def test_an_own_phase_trains_one_encoder_and_the_shared_head() -> None:
    run = set_up(
        methods.create("reconboost", alpha=0.0, w2=0.0, joint_epochs=0),
        noisy_means(3, (1, 8, 8)),
        weight_decay=0.0,
    )  # encoders with batch norm
    reference = copy.deepcopy(run.model)
    optimizer = run.new_optimizer([reference])
    run.epoch = 1  # the second stage: modality 1
    run.method.begin_epoch(run)
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
            run.epoch = epoch
            run.method.step(run, batch)
        assert same_state(runs[0].model, runs[1].model) is alike


def test_a_joint_phase_trains_everything_on_the_ensemble() -> None:
    run = set_up(methods.create("reconboost", rho=0.5), noisy_means(2))
    before = copy.deepcopy(run.model)
    batch = next(iter(run.batches()))
    run.optimizer.state[run.method.rho]["momentum_buffer"] = torch.ones(())
    run.epoch = 1
    run.method.begin_epoch(run)
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
