"""Data Remixing, and plans that keep groups of samples apart."""

from __future__ import annotations

import copy
import math
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mimo_sim import methods
from mimo_sim.methods._step import Plan
from mimo_sim.methods.data_remixing import confidence, least_confident
from tests.methods.helpers import images_and_vectors, noisy_means, same_state, set_up, trained


def test_confidence_in_bits() -> None:
    p = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    assert float(confidence(p.log())) == pytest.approx(0.428183, abs=5e-7)  # the released code's
    assert float(confidence(torch.zeros(4))) == pytest.approx(0)
    assert float(confidence(torch.tensor([500.0, 0, 0, 0]))) == pytest.approx(2, abs=1e-6)


def test_the_least_confident_modality_and_the_last_one_in_a_tie() -> None:
    confidences = torch.tensor([[1.0, 1, 2], [0, 0, 0], [3, 2, 1], [1, 2, 3]])
    assert least_confident(confidences).tolist() == [1, 2, 2, 0]


@cache
def batches_of_four() -> Any:
    """A run, made once: it takes longer than what is tested on it."""
    return set_up(methods.create("vanilla"), noisy_means(), batch_size=4)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=48))
def test_groups_never_share_a_batch_and_nothing_is_lost(groups: list[int]) -> None:
    plan = Plan(torch.arange(len(groups)), group=torch.tensor(groups))
    batches = [batch.index for batch in batches_of_four().batches(plan)]
    assert sorted(torch.cat(batches).tolist()) == list(range(len(groups)))
    of_batch = [{groups[i] for i in index.tolist()} for index in batches]
    assert all(len(here) == 1 for here in of_batch)
    in_order = [here.pop() for here in of_batch]
    assert in_order == sorted(in_order)
    assert len(batches) == sum(
        math.ceil(groups.count(g) / 4) for g in set(groups)
    )  # only the last batch of a group is smaller


def test_one_group_is_no_group() -> None:
    run = set_up(methods.create("vanilla"), noisy_means())
    index = torch.arange(48)
    run._extra_passes = 0
    plain = torch.cat([batch.index for batch in run.batches(Plan(index))])
    run._extra_passes = 0
    grouped = torch.cat([b.index for b in run.batches(Plan(index, group=torch.zeros(48)))])
    assert torch.equal(plain, grouped)
    assert not torch.equal(plain, index)  # they are shuffled


def test_the_train_split_is_shared_out_by_confidence() -> None:
    run = set_up(methods.create("data_remixing", warm_up=0), noisy_means(3, (1, 8, 8)))
    with torch.no_grad():  # heads that are sure of different samples
        for head in run.model.heads:
            head.weight.normal_()
    run.model.encoders[0].eval()  # a mode of its own, which must come back
    before = copy.deepcopy(run.model)
    plan = run.method.samples(run)
    assert same_state(before, run.model)
    assert [m.training for m in run.model.encoders] == [False, True, True]
    assert sorted(plan.index.tolist()) == list(range(48))
    assert (plan.keep.sum(1) == 1).all()
    run.model.eval()
    with torch.no_grad():
        features = run.model.features(run.inputs(run.train, torch.arange(48)).inputs)
        p = torch.stack([v.softmax(1) for v in run.model.head_logits(features)], 1).double()
    bits = math.log2(3) + (p * p.log2()).sum(-1)
    lowest = bits.min(1).values
    chosen = bits[plan.keep[plan.index.argsort()]]
    torch.testing.assert_close(chosen, lowest, rtol=1e-5, atol=1e-6)
    assert run.method.report()["share"] == pytest.approx(plan.keep.double().mean(0).tolist())
    kinds = [batch.keep.unique(dim=0).tolist() for batch in run.batches(plan)]
    assert all(len(rows) == 1 for rows in kinds)
    assert len({str(rows) for rows in kinds}) > 1


def test_a_remixed_step_trains_one_encoder_and_its_head() -> None:
    run = set_up(methods.create("data_remixing", warm_up=0, gamma=0.5), noisy_means(2, (1, 8, 8)))
    before = copy.deepcopy(run.model)
    plan = Plan(torch.arange(16), torch.tensor([[False, True]] * 16))
    batch = next(iter(run.batches(plan)))
    out = run.method.step(run, batch)
    assert same_state(run.model.encoders[0], before.encoders[0])  # batch-norm statistics too
    assert same_state(run.model.heads[0], before.heads[0])
    assert not same_state(run.model.encoders[1], before.encoders[1])
    h = before.encoders[1](batch.inputs[1])
    z = before.fuse([torch.zeros_like(h), h])
    loss = run.loss_function(z, batch.target)
    torch.testing.assert_close(out.loss, loss)
    (loss + 0.5 * run.loss_function(before.heads[1](h), batch.target)).backward()
    for mine, other in zip(run.model.parameters(), before.parameters(), strict=True):
        if mine.grad is not None:
            torch.testing.assert_close(mine.grad, other.grad)


def test_one_modality_without_its_own_loss_is_joint_training() -> None:
    data = images_and_vectors(1)
    alone = trained(methods.create("data_remixing", weight=0.0, gamma=0.0, warm_up=1), data)
    assert same_state(alone.model, trained(methods.create("vanilla"), data).model)


def test_the_warm_up_is_linear_scalarization() -> None:
    data = noisy_means(3)
    first = trained(methods.create("data_remixing", weight=0.3, warm_up=3), data)
    other = trained(methods.create("linear_scalarization", weight=0.3), data)
    assert same_state(first.model, other.model)
    later = trained(methods.create("data_remixing", weight=0.3, warm_up=2), data)
    assert not same_state(later.model, other.model)


def test_subsets_may_be_empty() -> None:
    run = set_up(methods.create("data_remixing", warm_up=0), noisy_means())
    with torch.no_grad():
        run.model.heads[0].bias.copy_(torch.tensor([99.0, 0, 0]))  # always sure
    plan = run.method.samples(run)
    assert plan.keep.sum(0).tolist() == [0, 48]
    assert sum(len(batch.index) for batch in run.batches(plan)) == 48
