"""What several methods use: rehearsals, evaluation passes, epoch windows."""

from __future__ import annotations

import copy

import pytest
import torch

from mimo_sim.methods._evaluation import evaluation_losses
from mimo_sim.methods._losses import cross_entropy
from mimo_sim.methods._rehearsal import practise, rehearsal
from mimo_sim.methods._windows import inside
from tests.methods.helpers import (
    fitted,
    same,
)


def test_a_rehearsal_leaves_no_trace() -> None:
    run = fitted("linear_scalarization")
    before = copy.deepcopy(
        (run.model.state_dict(), run.optimizer.state_dict(), torch.get_rng_state())
    )
    weights = [p.clone() for p in run.model.parameters()]
    with rehearsal(run):
        practise(
            run,
            run.optimizer,
            2,
            lambda batch: run.loss_function(run.model(batch.inputs), batch.target)[None],
        )
        torch.rand(3)
        assert not same(weights, list(run.model.parameters()))
    after = run.model.state_dict(), run.optimizer.state_dict(), torch.get_rng_state()
    assert same([*before[0].values()], [*after[0].values()])
    assert same(
        [s["momentum_buffer"] for s in before[1]["state"].values()],
        [s["momentum_buffer"] for s in after[1]["state"].values()],
    )
    assert torch.equal(before[2], after[2])
    assert all(p.grad is None for p in run.model.parameters())


def test_evaluation_losses_are_means_over_all_samples_and_leave_no_trace() -> None:
    run = fitted("linear_scalarization")
    run.model.encoders[1].eval()
    modes = [module.training for module in run.model.modules()]
    before = [v.clone() for v in run.model.state_dict().values()]
    heads, joint = evaluation_losses(run, run.train)
    assert modes == [module.training for module in run.model.modules()]
    assert same(before, [*run.model.state_dict().values()])
    run.model.eval()
    features = run.model.features(run.inputs(run.train, torch.arange(len(run.train))).inputs)
    assert joint.item() == pytest.approx(
        cross_entropy(run.model.fuse(features), run.train.target).item(), rel=1e-5
    )
    assert heads.tolist() == pytest.approx(
        [cross_entropy(v, run.train.target).item() for v in run.model.head_logits(features)],
        rel=1e-5,
    )


def test_windows_are_inclusive_and_count_from_zero() -> None:
    assert [inside((1, 2), epoch) for epoch in range(4)] == [False, True, True, False]
    assert inside(None, 10**6)
    run = fitted("ogm", epochs=4, window=(1, 2))
    assert ["kappa_m0" in row for row in run.table] == [False, True, True, False]
