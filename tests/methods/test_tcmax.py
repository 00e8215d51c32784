"""TCMax."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mimo_sim import methods
from mimo_sim.methods.tcmax import total_correlation_loss
from tests.methods.helpers import (
    entries,
    images_and_vectors,
    noisy_means,
    one_batch,
    set_up,
    started,
    trained,
)
from tests.methods.tiny import LOGITS, TARGET

logits = st.tuples(st.integers(2, 3), st.integers(1, 3)).flatmap(
    lambda shape: arrays(float, (*shape, 3), elements=entries)
)


def by_loops(parts: Tensor, target: Tensor) -> float:
    """The definition: every tuple and every class by itself."""
    k, b = parts.shape[:2]
    every = [
        sum(parts[j, i] for j, i in enumerate(chosen))
        for chosen in itertools.product(range(b), repeat=k)
    ]
    total = torch.stack(every).exp().sum()  # type: ignore[arg-type]
    true = [parts[:, i].sum(0)[target[i]].exp() / total for i in range(b)]
    return -float(torch.stack(true).log().mean()) - math.log(b)


@given(logits, st.floats(-5, 5))
def test_it_is_the_sum_over_all_tuples(values: Any, shift: float) -> None:
    parts = torch.from_numpy(values)
    target = torch.arange(parts.shape[1]) % 3
    loss = total_correlation_loss([*parts], target)
    assert float(loss) == pytest.approx(by_loops(parts, target), rel=1e-9, abs=1e-9)
    torch.testing.assert_close(total_correlation_loss([*(parts + shift)], target), loss)
    turned = total_correlation_loss([*parts.flip(1)], target.flip(0))
    torch.testing.assert_close(turned, loss)
    torch.testing.assert_close(total_correlation_loss([*parts.flip(0)], target), loss)


def test_one_sample_has_the_joint_loss() -> None:
    loss = total_correlation_loss([LOGITS[0, :1], LOGITS[1, :1]], TARGET[:1])
    torch.testing.assert_close(loss, F.cross_entropy(LOGITS.sum(0)[:1], TARGET[:1]))


@pytest.mark.parametrize("k", [2, 3])
def test_the_objective_is_that_of_the_network_on_all_tuples(k: int) -> None:
    run = set_up(methods.create("tcmax"), noisy_means(k))
    out = run.method.forward_pass(run, one_batch(run, 4))
    tuples = list(itertools.product(range(4), repeat=k))
    mixed = [h[[chosen[j] for chosen in tuples]] for j, h in enumerate(out.features)]
    every = run.model.fuse(mixed).logsumexp((0, 1))
    true = out.logits.gather(1, out.batch.target[:, None]).mean()
    torch.testing.assert_close(run.method.objective(run, out), every - true - math.log(4))


def test_it_learns() -> None:
    run = trained(methods.create("tcmax"), noisy_means(3), epochs=6)
    assert run.table[-1]["validation_accuracy"] > run.table[0]["validation_accuracy"]
    assert run.method.hyper == {}


def test_what_it_is_not_defined_for_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'tcmax' needs at least 2 modalities\. Got 1"):
        started("tcmax", images_and_vectors(1))
    with pytest.raises(ValueError, match=r"'tcmax' is defined for classification"):
        started("tcmax", images_and_vectors(task="regression"))
