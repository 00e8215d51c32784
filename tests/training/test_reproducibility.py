"""Same bytes for the same seed; nothing leaks from one run into another."""

from __future__ import annotations

import os

import pytest
import torch

from mimo_sim import methods
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Batch, Forward, Plan
from mimo_sim.methods.vanilla import Vanilla
from mimo_sim.training import train
from tests.networks import SETTINGS, new_run, same, state, tiny, without_seconds


def test_same_seed_same_bytes_and_another_seed_other_bytes() -> None:
    first, again, other = (
        train("vanilla", tiny(), epochs=2, seed=seed, **SETTINGS) for seed in (3, 3, 4)
    )
    assert same(state(first), state(again))
    assert without_seconds(first.table) == without_seconds(again.table)
    assert first.metrics == again.metrics
    assert not same(state(first), state(other))


def test_runs_do_not_influence_each_other_nor_the_global_generator() -> None:
    alone = train("ogm_ge", tiny(), epochs=2, **SETTINGS)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    method = methods.create("ogm_ge")
    untouched = {key: value.clone() for key, value in method.state_dict().items()}
    train(method, tiny(seed=1), epochs=3, **(SETTINGS | {"lr": 0.2}))
    second = train(method, tiny(), epochs=2, **SETTINGS)
    assert torch.equal(before, torch.get_rng_state())
    assert same(state(alone), state(second))
    assert same(untouched, method.state_dict())


def test_the_order_of_samples_is_a_permutation_that_no_method_can_disturb() -> None:
    seen: list[list[int]] = []
    extra: list[int] = []

    class Greedy(Vanilla):
        name = ""

        def begin_epoch(self, run: Run) -> None:
            seen.append([])
            torch.rand(7, generator=run.generator)
            torch.rand(3)
            extra[:] = torch.cat([batch.index for batch in run.batches()]).tolist()

        def step(self, run: Run, batch: Batch) -> Forward:
            seen[-1].extend(batch.index.tolist())
            return super().step(run, batch)

    run = new_run(Greedy())
    run.fit()
    assert [sorted(order) for order in seen] == [list(range(72))] * 2
    assert seen[0] != seen[1]
    assert sorted(extra) == list(range(72))
    assert extra != seen[1]
    plain = new_run(Vanilla())
    plain.fit()
    assert same(state(plain), state(run))


def test_a_plan_says_what_is_trained_on() -> None:
    run = new_run(Vanilla(), width=4)
    keep = torch.arange(40).unsqueeze(1) % torch.tensor([[2, 3]]) == 0
    batches = list(run.batches(Plan(torch.arange(40) % 5, keep)))
    assert [len(batch.index) for batch in batches] == [16, 16, 8]
    index = torch.cat([batch.index for batch in batches])
    kept = torch.cat([batch.keep for batch in batches if batch.keep is not None])
    assert index.bincount().tolist() == [8] * 5
    found = torch.cat([index[:, None], kept.long()], 1).tolist()
    planned = [[i % 5, int(i % 2 == 0), int(i % 3 == 0)] for i in range(40)]
    assert sorted(found) == sorted(planned)
    for batch in batches:
        assert torch.equal(batch.target, run.train.target[batch.index])
        assert torch.equal(batch.inputs[1], run.train.inputs[1][batch.index])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mimo", "mmpareto"])
def test_two_processes_train_like_one_on_the_same_batches(name: str) -> None:
    data = tiny(train=64)  # whole batches, so both see the same ones
    one = train(name, data, epochs=3, **SETTINGS)
    two = train(name, data, epochs=3, devices=2, **SETTINGS)
    for key, value in state(one).items():
        # sums in another order, through 12 steps
        torch.testing.assert_close(state(two)[key], value, rtol=1e-3, atol=1e-5)
    assert [row["train_loss"] for row in two.table] == pytest.approx(
        [row["train_loss"] for row in one.table], rel=1e-4
    )
    assert "MASTER_PORT" not in os.environ
