"""AMCo."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812

from mimo_sim import methods
from mimo_sim.methods.amco import mask, shares
from tests.methods.helpers import (
    gradients,
    images_and_vectors,
    noisy_means,
    one_batch,
    same,
    set_up,
    started,
    trained,
)
from tests.methods.tiny import LOGITS


@pytest.mark.parametrize("k", [2, 3])
def test_equal_logits_have_equal_shares(k: int) -> None:
    found = shares([LOGITS[0]] * k)
    assert found.tolist() == pytest.approx([1 / k] * k)


@given(st.integers(1, 20), st.floats(0, 1), st.integers(0, 100))
def test_a_mask_has_as_many_zeros_as_it_should(size: int, ratio: float, seed: int) -> None:
    draws = torch.rand(size, generator=torch.Generator().manual_seed(seed))
    found = mask(draws, ratio)
    assert found.tolist().count(0) == math.floor(ratio * size)
    assert found.tolist().count(1) == size - math.floor(ratio * size)


def test_every_place_is_masked_equally_often() -> None:
    generator = torch.Generator().manual_seed(0)
    kept = torch.stack([mask(torch.rand(8, generator=generator), 0.25) for _ in range(2000)])
    error = (kept.mean(0) - 0.75).abs().max()
    assert error < 5 * math.sqrt(0.75 * 0.25 / 2000)  # five standard errors


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("mask_on", ["features", "logits"])
def test_a_dominant_modality_is_masked_in_the_joint_output_only(k: int, mask_on: Any) -> None:
    method = methods.create("amco", ramp=0.0, p_max=0.5, mask_on=mask_on)
    run = set_up(method, noisy_means(k))
    run.method.begin_epoch(run)
    run.method.dominant[0] = True
    batch, before = one_batch(run), run.generator.get_state()
    out = run.method.forward_pass(run, batch)
    run.generator.set_state(before)
    draws = torch.rand(8 if mask_on == "features" else 3, generator=run.generator)
    plain = run.model.features(batch.inputs)
    parts = plain if mask_on == "features" else run.model.sliced(plain)
    masked = [parts[0] * mask(draws, 0.5), *parts[1:]]
    joint = run.model.fuse(masked) if mask_on == "features" else sum(masked)
    torch.testing.assert_close(out.logits, joint)
    assert not torch.allclose(joint, run.model.fuse(plain))
    for h, own in zip(out.features, plain, strict=True):
        assert torch.equal(h, own)
    sliced = [F.cross_entropy(a, batch.target) for a in run.model.sliced(plain)]
    expected = F.cross_entropy(joint, batch.target) + sum(sliced)
    torch.testing.assert_close(run.method.objective(run, out), expected)


def test_fully_masked_a_modality_learns_from_its_own_loss() -> None:
    run = set_up(methods.create("amco", ramp=0.0), noisy_means())
    run.method.begin_epoch(run)
    run.method.dominant[0] = True
    batch = one_batch(run)
    run.method.backward(run, run.method.forward_pass(run, batch))
    other = copy.deepcopy(run.model)
    other.zero_grad()
    first = other.sliced(other.features(batch.inputs))[0]
    F.cross_entropy(first, batch.target).backward()  # type: ignore[no-untyped-call]
    pairs = zip(gradients(run.model.encoders[0]), gradients(other.encoders[0]), strict=True)
    for mine, own in pairs:
        assert own.any()
        torch.testing.assert_close(mine, own)


def test_who_is_dominant_is_seen_in_every_step_and_forgotten_after_an_epoch() -> None:
    run = set_up(methods.create("amco"), noisy_means())
    run.method.begin_epoch(run)
    with torch.no_grad():  # the first modality is loud, the second silent
        run.model.fusion.weight[:, :8].abs_().mul_(20)
        run.model.fusion.weight[:, 8:].zero_()
    run.method.step(run, one_batch(run))
    assert run.method.dominant.tolist() == [True, False]
    assert run.method.report() == {"dominant": [0, 0]}
    run.method.step(run, one_batch(run))
    assert run.method.report() == {"dominant": [0.5, 0]}
    run.method.begin_epoch(run)
    assert not run.method.dominant.any()


def test_the_mask_grows_over_the_ramp_of_the_run() -> None:
    run = set_up(methods.create("amco", ramp=0.5, p_max=0.8), noisy_means(), epochs=4)
    found = []
    for epoch in range(4):  # three batches in an epoch, so the ramp has six steps
        run.epoch = epoch
        run.method.begin_epoch(run)
        for batch in run.batches():
            found.append(run.method.ratio(run))
            run.method.step(run, batch)
    expected = [0.8 * math.sin(math.pi / 2 * min(1, step / 6)) for step in range(12)]
    assert found == pytest.approx(expected)


def test_without_a_mask_it_is_the_joint_loss_and_those_of_the_slices() -> None:
    run = set_up(methods.create("amco", p_max=0.0), noisy_means())
    run.method.begin_epoch(run)
    run.method.dominant[0] = True
    batch = one_batch(run)
    run.method.step(run, batch)
    found = gradients(run.model)
    other = set_up(methods.create("amco"), noisy_means()).model
    features = other.features(batch.inputs)
    losses = [F.cross_entropy(a, batch.target) for a in other.sliced(features)]
    (F.cross_entropy(other.fuse(features), batch.target) + torch.stack(losses).sum()).backward()  # type: ignore[no-untyped-call]
    assert same(found, gradients(other))


def test_in_evaluation_nothing_is_masked() -> None:
    run = trained(methods.create("amco", ramp=0.0), noisy_means())
    features = run.model.features(one_batch(run).inputs)
    assert torch.equal(run.method.fuse(run.model, features), run.model.fuse(features))


def test_what_it_is_not_defined_for_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'amco' needs at least 2 modalities\. Got 1"):
        started("amco", images_and_vectors(1))
    with pytest.raises(ValueError, match=r"'amco' is defined for classification"):
        started("amco", images_and_vectors(task="regression"))
