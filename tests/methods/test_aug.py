"""AUG."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mimo_sim import methods
from mimo_sim.methods.aug import growth_epochs, lagging, sustained_boosting_loss
from mimo_sim.training import TrainingRun
from tests.methods.helpers import noisy_means, one_batch, same_state, set_up, started, trained
from tests.methods.tiny import LOGITS, TARGET

NEVER = 1e9


def test_without_a_residual_it_is_three_cross_entropies() -> None:
    old, new = LOGITS
    plain = [F.cross_entropy(z, TARGET) for z in (old + new, old, new)]
    found = sustained_boosting_loss(old, new, TARGET, 0.0)
    torch.testing.assert_close(found, torch.stack(plain).sum())
    torch.testing.assert_close(sustained_boosting_loss(old, None, TARGET, 0.5), plain[1])
    sure = 500 * F.one_hot(TARGET, 3).double()  # the old blocks are right
    right = sustained_boosting_loss(sure, new, TARGET, 1.0)
    torch.testing.assert_close(right, F.cross_entropy(sure + new, TARGET))


def test_what_the_old_blocks_have_right_is_a_constant_in_the_residual() -> None:
    old, new = (z.clone().requires_grad_() for z in LOGITS)
    sustained_boosting_loss(old, new, TARGET, 0.5).backward()  # type: ignore[no-untyped-call]
    other = LOGITS[0].clone().requires_grad_()
    (F.cross_entropy(other + LOGITS[1], TARGET) + F.cross_entropy(other, TARGET)).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(old.grad, other.grad)
    assert new.grad is not None


@pytest.mark.parametrize(
    ("scores", "weaker"), [((1.0, 1.0), None), ((1.02, 1), 1), ((0.98, 1), 0), ((1.009, 1), None)]
)
def test_who_lags(scores: tuple[float, float], weaker: int | None) -> None:
    assert lagging(torch.tensor(scores), 0.01) == weaker


def test_when_it_may_grow() -> None:
    assert growth_epochs(200, None) == [1, *range(20, 200, 20)]
    assert growth_epochs(5, None) == [1, 2, 3, 4]
    assert growth_epochs(7, 3) == [1, 3, 6]
    assert growth_epochs(1, None) == []


def test_without_growth_it_is_alternation_with_an_embedding_for_each_modality() -> None:
    run = set_up(methods.create("aug", threshold=NEVER), noisy_means())
    encoders = copy.deepcopy(run.model.encoders)
    head = copy.deepcopy(run.method.head)
    embeddings = nn.ModuleList(copy.deepcopy(run.method.blocks_of(k)[0]) for k in range(2))
    optimizer = run.new_optimizer([encoders, head, embeddings])
    for batch in [next(iter(run.batches())) for _ in range(2)]:
        features = [encoder(x) for encoder, x in zip(encoders, batch.inputs, strict=True)]
        for h, embedding in zip(features, embeddings, strict=True):
            optimizer.zero_grad()
            F.cross_entropy(head(embedding(h).relu()), batch.target).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        run.method.step(run, batch)
    assert same_state(encoders, run.model.encoders)
    assert same_state(head, run.method.head)
    for k in range(2):
        assert same_state(embeddings[k], run.method.blocks_of(k)[0])
    run.epoch = 1
    run.method.begin_epoch(run)
    assert run.method.report() == {"blocks": [1, 1]}


def entered(run: TrainingRun, epoch: int, scores: list[float]) -> Any:
    """The run's method after the beginning of an epoch."""
    run.method.scores = torch.tensor(scores)
    run.epoch = epoch
    run.method.begin_epoch(run)
    return run.method


def outputs(run: TrainingRun) -> list[Tensor]:
    features = run.model.features(one_batch(run).inputs)
    found = run.method.unimodal_outputs(run.model, features)
    assert found is not None
    return found


def test_the_weaker_modality_grows_and_its_output_is_the_sum_over_its_blocks() -> None:
    run = set_up(methods.create("aug", width=7), noisy_means(), epochs=9)
    before = outputs(run)
    method = entered(run, 1, [2.0, 3.0])
    assert method.used.tolist() == [2, 1]
    assert method.scores.tolist() == [0, 0]
    after = outputs(run)
    h = run.model.encoders[0](one_batch(run).inputs[0])
    added = method.blocks_of(0)[1]
    torch.testing.assert_close(after[0], before[0] + method.head(added(h).relu()))
    assert torch.equal(after[1], before[1])
    joint = method.fuse(run.model, run.model.features(one_batch(run).inputs))
    torch.testing.assert_close(joint, 0.4 * after[0] + 0.6 * after[1])
    assert entered(run, 2, [3.0, 2.0]).used.tolist() == [2, 2]
    assert entered(run, 3, [3.0, 2.0]).used.tolist() == [2, 3]


def test_only_blocks_that_were_added_are_trained() -> None:
    run = set_up(methods.create("aug"), noisy_means(), epochs=9)
    entered(run, 1, [2.0, 3.0])
    before = copy.deepcopy(run.method.blocks)
    batch = one_batch(run)
    run.method.step(run, batch)
    moved = [
        [not same_state(one, other) for one, other in zip(a, b, strict=True)]
        for a, b in zip(before, run.method.blocks, strict=True)
    ]
    assert moved[0] == [True, True] + [False] * 7
    assert moved[1] == [True] + [False] * 8


def test_the_released_code_never_trains_an_added_block() -> None:
    run = set_up(methods.create("aug", train_new=False), noisy_means(), epochs=9)
    entered(run, 1, [2.0, 3.0])
    added = copy.deepcopy(run.method.blocks_of(0)[1])
    first = copy.deepcopy(run.method.blocks_of(0)[0])
    run.method.step(run, one_batch(run))
    assert same_state(added, run.method.blocks_of(0)[1])
    assert not same_state(first, run.method.blocks_of(0)[0])


def test_the_scores_are_sums_over_the_epoch() -> None:
    run = set_up(methods.create("aug"), noisy_means(), lr=1e-12)
    expected = torch.zeros(2)
    for batch in run.batches():
        run.method.step(run, batch)
        f = run.method.unimodal_outputs(run.model, run.model.features(batch.inputs))
        right = [z.softmax(1)[torch.arange(16), batch.target].sum() for z in f]
        expected += torch.stack(right).detach()
    torch.testing.assert_close(run.method.scores, expected, rtol=1e-4, atol=1e-4)


def test_a_run_grows_and_learns() -> None:
    run = trained(methods.create("aug", width=16), noisy_means(), epochs=6, lr=0.05)
    blocks = [row["blocks_m0"] + row["blocks_m1"] for row in run.table]
    assert blocks[0] == 2
    assert all(after - before in (0, 1) for before, after in pairwise(blocks))
    assert blocks[-1] > 2
    assert run.table[-1]["train_loss"] < run.table[0]["train_loss"]


def test_three_modalities_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'aug' needs at most 2 modalities\. Got 3"):
        started("aug", noisy_means(3))
