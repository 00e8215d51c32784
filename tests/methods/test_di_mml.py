"""DI-MML."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from mimo_sim import methods
from mimo_sim.methods.di_mml import certainty_weights, informative, one_way_contrast
from mimo_sim.training import Settings, TrainingRun
from tests.methods.helpers import noisy_means, one_batch, same_state, set_up, started, trained


def test_a_coordinate_is_informative_if_its_nearest_class_mean_is_right_more_often() -> None:
    target = torch.arange(300) % 3
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(300, 4, generator=generator)
    scale = torch.tensor([0.0, 0.3, 5.0, 40.0])  # two coordinates tell, two hardly do
    features = target[:, None] + scale * noise
    assert informative(features, target, 3).tolist() == [True, True, False, False]
    scores = []
    for h in features.T.numpy():
        means = np.array([h[target == c].mean() for c in range(3)])
        scores.append(np.mean([np.abs(x - means).argmin() for x in h] == target.numpy()))
    assert (np.array(scores) > np.mean(scores)).tolist() == [True, True, False, False]
    without_two = informative(features[target != 2], target[target != 2], 3)
    assert without_two.tolist() == [True, True, False, False]  # an absent class is no nearest one


def test_contrast_of_two_samples() -> None:
    h = torch.tensor([[1.0, 5.0], [0.0, 5.0]])
    t = torch.tensor([[2.0, -3.0], [1.0, 4.0]])
    where = torch.tensor([True, False])
    expected = -(F.log_softmax(torch.tensor([2.0, 1.0]), 0)[0] + np.log(0.5)) / 2
    assert float(one_way_contrast(h, t, where, 1.0)) == pytest.approx(float(expected))
    nothing = one_way_contrast(h, t, torch.tensor([False, False]), 1.0)
    assert float(nothing) == pytest.approx(np.log(2))
    assert one_way_contrast(h, t, where, 1e6) == pytest.approx(np.log(2), abs=1e-5)


def test_only_the_learner_learns_and_only_where_it_is_taught() -> None:
    generator = torch.Generator().manual_seed(0)
    h, t = (torch.randn(4, 3, generator=generator).requires_grad_() for _ in range(2))
    where = torch.tensor([True, False, True])
    one_way_contrast(h, t, where, 2.0).backward()  # type: ignore[no-untyped-call]
    assert t.grad is None
    assert h.grad is not None
    assert (h.grad.abs().sum(0) > 0).tolist() == where.tolist()


def test_certainty_weights() -> None:
    logits = torch.tensor([[[0.0, 0.0], [9.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]])
    weights = certainty_weights(logits, 1.0)
    assert weights[:, 0].tolist() == [0.5, 0.5]
    p = [1 / (1 + np.exp(-9)), 1 / (1 + np.exp(-1))]
    assert weights[:, 1].tolist() == pytest.approx(np.exp(p) / np.exp(p).sum())
    assert certainty_weights(logits, 0.1)[0, 1] > weights[0, 1]


def entered(run: TrainingRun, epoch: int) -> Any:
    """The method of a run at the beginning of an epoch."""
    run.epoch = epoch
    run.method.begin_epoch(run)
    return run.method


def test_coordinates_of_one_modality_only_are_chosen_when_the_contrast_begins() -> None:
    run = set_up(methods.create("di_mml", start=1, stage_two=0), noisy_means())
    run.model.encoders[0].eval()  # a mode of its own, which must come back
    before = copy.deepcopy(run.model)
    assert not entered(run, 0).only.any()
    only = entered(run, 1).only.clone()
    assert same_state(before, run.model)
    assert [m.training for m in run.model.encoders] == [False, True]
    with torch.no_grad():
        features = run.model.eval().features(run.inputs(run.train, torch.arange(48)).inputs)
    first, second = (informative(h, run.train.target, 3) for h in features)
    assert torch.equal(only, torch.stack([first & ~second, second & ~first]))
    assert run.method.report() == {"taught": only.sum(1).tolist()}
    with torch.no_grad():
        run.model.encoders[0].body[-2].bias.normal_()
    assert torch.equal(entered(run, 2).only, only)


def test_stage_one_is_own_heads_a_shared_head_and_the_contrast() -> None:
    hyper = {"align": 0.5, "contrast": 0.25, "temperature": 3.0, "start": 1, "stage_two": 0}
    run = set_up(methods.create("di_mml", **hyper), noisy_means())
    batch = one_batch(run)
    first, second = run.model.features(batch.inputs)
    own = sum(F.cross_entropy(v, batch.target) for v in run.model.head_logits([first, second]))
    shared = sum(F.cross_entropy(run.method.shared(h), batch.target) for h in (first, second))
    method = entered(run, 0)
    out = method.forward_pass(run, batch)
    torch.testing.assert_close(method.objective(run, out), own + 0.5 * shared)
    method = entered(run, 1)
    assert method.only.any()
    contrast = one_way_contrast(second, first, method.only[0], 3.0)
    contrast = contrast + one_way_contrast(first, second, method.only[1], 3.0)
    torch.testing.assert_close(method.objective(run, out), own + 0.5 * shared + 0.25 * contrast)


def test_with_own_heads_alone_it_is_unimodal_training() -> None:
    data = noisy_means()
    apart = trained(methods.create("di_mml", align=0.0, contrast=0.0, stage_two=0), data)
    assert same_state(apart.model, trained(methods.create("unimodal"), data).model)


def test_stage_two_trains_the_fusion_layer_alone() -> None:
    run = set_up(methods.create("di_mml", stage_two=1), noisy_means(2, (1, 8, 8)))
    for epoch in (0, 2):
        method = entered(run, epoch)
        before = copy.deepcopy(run.model)
        for batch in run.batches():
            out = method.step(run, batch)
        stays = epoch == 2
        assert same_state(before.encoders, run.model.encoders) == stays  # batch norm too
        assert same_state(before.heads, run.model.heads) == stays
        assert same_state(before.fusion, run.model.fusion) != stays
    assert [m.training for m in run.model.encoders] == [True, True]
    run.model.encoders.eval()
    again = run.model.features(batch.inputs)
    torch.testing.assert_close(out.features[0], again[0])


def test_the_fusion_layer_joins_the_prediction_in_stage_two() -> None:
    run = set_up(methods.create("di_mml", stage_two=1), noisy_means())
    features = run.model.features(one_batch(run).inputs)
    outputs = torch.stack([*run.model.head_logits(features), run.model.fuse(features)])
    for epoch, members in ((1, 2), (2, 3)):
        joint = entered(run, epoch).fuse(run.model, features)
        weights = certainty_weights(outputs[:members], 1.0)
        torch.testing.assert_close(joint, (weights[..., None] * outputs[:members]).sum(0))


def test_it_needs_one_width_and_two_modalities() -> None:
    run = TrainingRun(methods.create("di_mml"), noisy_means(), Settings(epochs=1))
    run.model.widths = (8, 9)
    with pytest.raises(ValueError, match=r"one width. Got widths \(8, 9\)"):
        run.method.setup(run)
    with pytest.raises(ValueError, match=r"'di_mml' needs at most 2 modalities\. Got 3"):
        started("di_mml", noisy_means(3))
