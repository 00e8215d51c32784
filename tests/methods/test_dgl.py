"""DGL."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from mimo_sim import methods
from tests.methods.helpers import (
    fitted,
    gradients,
    images_and_vectors,
    noisy_means,
    one_batch,
    same,
    same_state,
    set_up,
    trained,
)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_gradients_are_those_of_the_two_passes_of_the_released_code(k: int) -> None:
    run = set_up(methods.create("dgl", alpha=2.0, clip=None), noisy_means(k))
    batch = one_batch(run)
    other = copy.deepcopy(run.model)
    features = other.features(batch.inputs)
    for j in range(k):  # the uni-modal passes, with zeros for the others
        alone = [h if i == j else torch.zeros_like(h) for i, h in enumerate(features)]
        (2 * F.cross_entropy(other.fuse(alone), batch.target)).backward()  # type: ignore[no-untyped-call]
    other.fusion.zero_grad()
    F.cross_entropy(other.fuse([h.detach() for h in features]), batch.target).backward()  # type: ignore[no-untyped-call]
    run.method.step(run, batch)
    for mine, theirs in zip(gradients(run.model), gradients(other), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert len(run.method.unimodal_outputs(run.model, features)) == k


FUSIONS = ["late", "sum", "film", "attention"]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_fusion_learns_as_in_joint_training(fusion: str) -> None:
    ours, joint = (
        set_up(methods.create(name), noisy_means(), fusion=fusion) for name in ("dgl", "vanilla")
    )
    batch = one_batch(ours)
    for run in (ours, joint):
        run.method.backward(run, run.method.forward_pass(run, batch))
        run.found = gradients(run.model)
    pairs = zip(ours.model.named_parameters(), ours.found, joint.found, strict=True)
    same_as_joint: dict[str, list[bool]] = {}
    for (name, _), mine, plain in pairs:
        same_as_joint.setdefault(name.split(".")[0], []).append(torch.equal(mine, plain))
    assert not any(same_as_joint.pop("encoders"))
    assert all(all(each) for each in same_as_joint.values())


@pytest.mark.parametrize("fusion", FUSIONS)
def test_an_encoder_knows_nothing_of_the_other_modality(fusion: str) -> None:
    found = []
    for scale in (1.0, 0.0):
        run = set_up(methods.create("dgl"), noisy_means(), fusion=fusion)
        batch = one_batch(run)
        batch.inputs[1].mul_(scale)
        run.method.backward(run, run.method.forward_pass(run, batch))
        found.append(run.model)
    one, other = found
    assert same(gradients(one.encoders[0]), gradients(other.encoders[0]))
    assert not same(gradients(one.encoders[1]), gradients(other.encoders[1]))
    assert not same(gradients(one), gradients(other))


def test_alpha_scales_the_encoders_only() -> None:
    found = []
    for alpha in (1.0, 3.0):
        run = set_up(methods.create("dgl", alpha=alpha), noisy_means())
        run.method.backward(run, run.method.forward_pass(run, one_batch(run)))
        found.append(run.model)
    assert same(gradients(found[0].fusion), gradients(found[1].fusion))
    pairs = zip(gradients(found[0].encoders), gradients(found[1].encoders), strict=True)
    for one, three in pairs:
        torch.testing.assert_close(three, 3 * one)


def test_without_uni_modal_losses_encoders_rest() -> None:
    run = trained(methods.create("dgl", alpha=0.0), noisy_means(), weight_decay=0.0)
    start = set_up(methods.create("dgl"), noisy_means())
    assert same_state(run.model.encoders, start.model.encoders)
    assert not same_state(run.model.fusion, start.model.fusion)


def test_the_norm_of_the_gradient_is_clipped() -> None:
    run = set_up(methods.create("dgl", clip=1e-3), noisy_means())
    run.method.step(run, one_batch(run))
    norm = torch.stack([g.norm() for g in gradients(run.model)]).norm()
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def test_it_does_regression() -> None:
    run = fitted("dgl", images_and_vectors(task="regression"), epochs=4, alpha=1.0)
    assert run.table[-1]["validation_loss"] < run.table[0]["validation_loss"]
