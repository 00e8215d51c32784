"""CML."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from mimo_sim import methods
from mimo_sim.methods.cml import confidence_gain, ranking_loss
from tests.methods.helpers import (
    entries,
    noisy_means,
    same_state,
    set_up,
    trained,
)


def test_confidence_gain() -> None:
    larger = torch.tensor([[2.0, 0], [2, 0], [0.5, 0]])
    smaller = torch.tensor([[1.0, 0], [4, 0], [0, 3]])
    gain = confidence_gain(larger, smaller, torch.tensor([0, 0, 1]))
    sure = torch.sigmoid(torch.tensor([2.0, 4.0]))
    assert gain.tolist() == pytest.approx(
        [0, float(sure[1] - sure[0]), 0]
    )  # lower; higher; higher, but only the smaller set is right


def chains(batch: int, k: int) -> st.SearchStrategy[tuple[Tensor, Tensor]]:
    """Logits (K, B, 3) of the sets of a chain, and classes (B,)."""
    logits = arrays(float, (k, batch, 3), elements=entries).map(torch.from_numpy)
    target = arrays(np.int64, batch, elements=st.integers(0, 2)).map(torch.from_numpy)
    return st.tuples(logits, target)


@given(chains(4, 3))
def test_the_ranking_loss_adds_up_gains_of_removals_and_samples(
    drawn: tuple[Tensor, Tensor],
) -> None:
    chain, target = drawn
    confidence = chain.softmax(-1).amax(-1)
    right = chain.argmax(-1) == target
    expected = 0.0
    for i in range(2):
        for n in range(4):
            if right[i + 1, n] and not right[i, n]:
                continue
            expected += max(0.0, float(confidence[i + 1, n] - confidence[i, n]))
    assert float(ranking_loss(list(chain), target)) == pytest.approx(expected, abs=1e-12)


@given(chains(3, 2), chains(5, 2))
def test_the_ranking_gradient_of_a_sample_does_not_depend_on_the_batch(
    drawn: tuple[Tensor, Tensor], others: tuple[Tensor, Tensor]
) -> None:
    def gradient(chain: Tensor, target: Tensor) -> Tensor:
        leaf = chain.clone().requires_grad_()
        ranking_loss(list(leaf), target).backward()  # type: ignore[no-untyped-call]
        assert leaf.grad is not None
        return leaf.grad

    chain = torch.cat([drawn[0], others[0]], dim=1)
    target = torch.cat([drawn[1], others[1]])
    assert torch.equal(gradient(chain, target)[:, :3], gradient(*drawn))


@pytest.mark.parametrize("processes", [1, 2])
def test_lam_weighs_the_sum_over_the_batch_of_all_processes(processes: int) -> None:
    run = set_up(methods.create("cml", lam=0.1), noisy_means(3))
    run.num_processes = processes
    out = run.method.forward_pass(run, next(iter(run.batches())))
    objectives = []
    for lam in (0.0, 0.1):
        run.method.lam = lam
        run.generator.manual_seed(1)
        objectives.append(run.method.objective(run, out))
    run.generator.manual_seed(1)
    ranking = ranking_loss(run.method._chain(run, out), out.batch.target)
    assert ranking > 0
    torch.testing.assert_close(objectives[1] - objectives[0], 0.1 * processes * ranking)


def test_cml_trains_on_a_chain_of_subsets() -> None:
    run = set_up(methods.create("cml", lam=0.0), noisy_means(2))
    out = run.method.forward_pass(run, next(iter(run.batches())))
    weights, bias = run.model.weight_blocks(), run.model.fusion.bias
    alone = torch.stack([h @ w.T + bias for h, w in zip(out.features, weights, strict=True)])
    state = run.generator.get_state()
    objective = run.method.objective(run, out)
    run.generator.set_state(state)
    kept = torch.rand(2, len(alone[0]), generator=run.generator).argmax(
        0
    )  # the modality with the later place stays
    assert 0 < kept.sum() < len(kept)
    left = alone[kept, torch.arange(len(kept))]
    expected = (out.loss + run.loss_function(left, out.batch.target)) / 2
    torch.testing.assert_close(objective, expected)


def test_cml_of_one_modality_is_vanilla() -> None:
    dataset = noisy_means(1)
    assert same_state(
        trained(methods.create("vanilla"), dataset).model,
        trained(methods.create("cml"), dataset).model,
    )
