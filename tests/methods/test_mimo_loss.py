"""ms.MIMOLoss in your own loop: its formula, its weights, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import mimo_sim as ms
from mimo_sim.methods import MIMOLoss
from mimo_sim.methods._losses import cross_entropy
from mimo_sim.networks.late import LateFusion
from tests.methods.helpers import gradients, leaves

losses_of = st.lists(st.floats(0.0, 20.0), min_size=1, max_size=4)


@given(losses_of, st.floats(0.0, 100.0), st.floats(1e-3, 10.0), st.data())
def test_mimo_is_its_formula_and_its_gradient_the_weights(
    values: list[float], lam: float, mu: float, data: st.DataObject
) -> None:
    f_star = data.draw(st.lists(st.floats(0.0, 5.0), min_size=len(values), max_size=len(values)))
    joint, losses = leaves(values)
    loss = MIMOLoss(lam=lam, mu=mu, f_star=f_star)(joint, losses)
    gaps = losses.detach() - torch.tensor(f_star, dtype=torch.float64)
    assert loss.ndim == 0
    torch.testing.assert_close(
        loss.detach(), joint.detach() + lam * mu * torch.logsumexp(gaps / mu, 0)
    )
    loss.backward()
    if lam:
        torch.testing.assert_close(
            losses.grad, lam * torch.softmax(gaps / mu, 0), rtol=1e-9, atol=1e-12 * lam
        )
    assert joint.grad == 1


@given(losses_of, st.floats(-3.0, 3.0))
def test_weights_do_not_see_a_common_shift(values: list[float], shift: float) -> None:
    found = []
    for offset in (0.0, shift):
        joint, losses = leaves(values)
        MIMOLoss(f_star=offset)(joint, losses + offset).backward()
        found.append(losses.grad)
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-12)


def test_equal_gaps_share_and_a_large_mu_is_linear_scalarization() -> None:
    joint, losses = leaves([3.0, 1.0, 2.0])
    MIMOLoss(lam=6.0, f_star=[2.5, 0.5, 1.5])(joint, losses).backward()
    torch.testing.assert_close(losses.grad, torch.full_like(losses, 2.0))
    losses.grad = None
    MIMOLoss(lam=6.0, mu=1e9, f_star="zero")(joint, losses).backward()
    torch.testing.assert_close(losses.grad, torch.full_like(losses, 2.0))


def test_the_smallest_mu_does_not_overflow() -> None:
    joint, losses = (torch.tensor(x, requires_grad=True) for x in (0.1, [0.8, 0.5]))
    loss = MIMOLoss(lam=1.0, mu=1e-3, f_star="zero")(joint, losses)
    loss.backward()
    assert loss.item() == pytest.approx(0.9)
    assert losses.grad is not None
    assert losses.grad.tolist() == pytest.approx([1.0, 0.0])


def test_a_sequence_of_losses_is_as_good_as_a_tensor() -> None:
    joint, losses = leaves([0.3, 0.9])
    assert torch.equal(MIMOLoss()(joint, losses), MIMOLoss()(joint, [losses[0], losses[1]]))


def test_the_running_minimum_is_the_papers() -> None:
    mimo = MIMOLoss(lam=1.0, mu=0.1, f_star="running_minimum", decay=0.0)
    seen = [[2.0, 3.0], [1.0, 3.5], [1.5, 2.5], [0.5, 4.0]]
    best = [math.inf, math.inf]
    for values in seen:
        joint, losses = leaves(values)
        mimo(joint, losses).backward()
        best = [min(pair) for pair in zip(best, values, strict=True)]
        expected = torch.softmax(
            (losses.detach() - torch.tensor(best, dtype=torch.float64)) / 0.1, 0
        )
        torch.testing.assert_close(losses.grad, expected)
    assert mimo.report()["f_star"] == best


def test_gaps_come_from_averages_and_gradients_from_the_batch() -> None:
    mimo = MIMOLoss(lam=2.0, mu=0.1, f_star=[0.2, 0.4], decay=0.9)
    average = None
    for values in ([2.0, 1.0], [1.0, 1.5], [0.9, 0.2]):
        joint, losses = leaves(values)
        loss = mimo(joint, losses)
        loss.backward()
        average = np.array(values) if average is None else 0.9 * average + 0.1 * np.array(values)
        gaps = average - [0.2, 0.4]
        assert losses.grad is not None
        np.testing.assert_allclose(
            losses.grad, 2 * ms.objective.sigma_weights(gaps, 0.1), rtol=1e-12
        )
        assert loss.item() == pytest.approx(
            ms.objective.mimo_objective(1.5, gaps, 2.0, 0.1), rel=1e-12
        )


def test_the_normalised_form_is_the_objective_over_one_plus_lam_over_k() -> None:
    joint, losses = leaves([2.0, 1.0, 3.0])
    plain, normalised = (
        MIMOLoss(lam=6.0, f_star="zero", normalise=on)(joint, losses) for on in (False, True)
    )
    torch.testing.assert_close(normalised, plain / 3)


def test_relative_gaps_are_fractions_of_the_first_losses() -> None:
    mimo = MIMOLoss(lam=3.0, mu=0.1, f_star="zero", decay=0.0, gap="relative")
    mimo(*leaves([2.0, 4.0]))
    joint, losses = leaves([1.0, 2.2])
    loss = mimo(joint, losses)
    loss.backward()
    gaps = np.array([1.0 / 2, 2.2 / 4])
    assert loss.item() == pytest.approx(
        1.5 + 3.0 * 3.0 * ms.objective.smoothed_maximum(gaps, 0.1)
    )  # lam times the mean first loss
    assert losses.grad is not None
    np.testing.assert_allclose(losses.grad, 9.0 * ms.objective.sigma_weights(gaps, 0.1) / [2, 4])


@pytest.mark.parametrize("heads", ["gradient", "plain"])
def test_a_first_loss_of_zero_is_no_unit_for_relative_gaps(heads: Any) -> None:
    """The fraction is that of the first loss that is not zero; until then of the others' mean."""
    mimo = MIMOLoss(lam=3.0, mu=0.1, f_star="zero", decay=0.0, gap="relative", heads=heads)
    scales = [[2.0, 2.0, 4.0 / 2], [2.0, 1.0, 2.0], [2.0, 1.0, 2.0]]
    for values, scale in zip(
        [[2.0, 0.0, 0.0], [1.0, 1.0, 2.0], [1.0, 0.0, 3.0]], scales, strict=True
    ):
        mimo.gate([torch.zeros(1, 1)] * 3)
        joint, losses = leaves(values)
        loss = mimo(joint, losses)
        loss.backward()
        gaps = np.array(values) / scale
        mean = float(np.mean(scale))
        expected = 1.5 + 3.0 * mean * ms.objective.smoothed_maximum(gaps, 0.1)
        assert loss.item() == pytest.approx(expected)
        assert losses.grad is not None
        if heads == "gradient":
            weights = 3.0 * mean * ms.objective.sigma_weights(gaps, 0.1) / scale
            np.testing.assert_allclose(losses.grad, weights)
    assert np.isfinite(mimo.report()["mu"])


def test_relative_gaps_of_first_losses_that_are_all_zero() -> None:
    mimo = MIMOLoss(gap="relative")
    joint, losses = leaves([0.0, 0.0])
    loss = mimo(joint, losses)
    loss.backward()
    assert loss.item() == pytest.approx(1.5 + 2 * 0.1 * math.log(2))
    assert losses.grad is not None
    assert losses.grad.tolist() == [1.0, 1.0]


@given(losses_of, st.floats(0.1, 2.0))
def test_adaptive_mu_bounds_the_weights(values: list[float], fraction: float) -> None:
    joint, losses = leaves(values)
    mimo = MIMOLoss(lam=1.0, mu=1e-3, f_star="zero", adaptive_mu=fraction)
    mimo(joint, losses).backward()
    assert losses.grad is not None
    assert losses.grad.min() >= losses.grad.max() * math.exp(-1 / fraction) * (1 - 1e-9)
    assert mimo.report()["mu"] == pytest.approx(max(1e-3, fraction * max(values)))


def test_adaptive_mu_is_that_of_the_losses_that_are_known() -> None:
    joint, losses = leaves([math.nan, 1.0])
    mimo = MIMOLoss(lam=1.0, mu=1e-3, f_star="zero", adaptive_mu=0.5)
    mimo(joint, losses)
    assert mimo.report()["mu"] == 0.5
    assert mimo.report()["sigma"] == [0, 1]


@pytest.mark.parametrize("normalise", [False, True])
def test_plain_heads_follow_their_own_loss_while_encoders_follow_the_objective(
    normalise: bool,
) -> None:
    torch.manual_seed(0)
    model = LateFusion([nn.Linear(5, 4), nn.Linear(3, 4)], [4, 4], 3)
    inputs, target = [torch.randn(8, 5), torch.randn(8, 3)], torch.arange(8) % 3
    found: dict[str, Any] = {}
    for heads in ("gradient", "plain"):
        mimo = MIMOLoss(lam=4.0, mu=0.3, f_star="zero", heads=heads, normalise=normalise)
        features = model.features(inputs)
        fed = mimo.gate(features) if heads == "plain" else features
        losses = torch.stack([cross_entropy(v, target) for v in model.head_logits(fed)])
        loss = mimo(cross_entropy(model.fuse(features), target), losses)
        model.zero_grad()
        loss.backward()
        found[heads] = (
            loss.detach(),
            gradients(model.encoders),
            gradients(model.fusion),
            gradients(model.heads),
        )
    torch.testing.assert_close(found["plain"][:3], found["gradient"][:3])
    sigma = torch.softmax(losses.detach() / 0.3, 0) * 4 / (3 if normalise else 1)
    scaled = [g * sigma[k] for k, head in enumerate(model.heads) for g in gradients(head)]
    torch.testing.assert_close(scaled, found["gradient"][3])


def test_the_report_averages_over_the_epoch() -> None:
    mimo = MIMOLoss(f_star="zero", decay=0.0, mu=0.5)
    mimo.begin_epoch()
    for values in ([1.0, 2.0], [2.0, 2.0]):
        mimo(*leaves(values))
    expected = (torch.softmax(torch.tensor([2.0, 4.0]), 0) + 0.5) / 2
    assert mimo.report()["sigma"] == pytest.approx(expected.tolist())
    assert mimo.report()["mu"] == pytest.approx(0.5)
    mimo.begin_epoch()
    assert mimo.report()["sigma"] == [0.0, 0.0]


def test_the_report_is_an_epoch_mean_where_only_the_end_of_an_epoch_is_told() -> None:
    mimo = MIMOLoss(f_star="zero", decay=0.0, mu=0.5)
    for epoch in ([[9.0, 1.0], [8.0, 1.0]], [[1.0, 2.0], [2.0, 2.0], [1.0, 1.0]]):
        for values in epoch:
            mimo(*leaves(values))
        mimo.end_epoch()
        losses = torch.tensor(epoch, dtype=torch.float64)
        expected = torch.softmax(losses / 0.5, 1).mean(0)
        assert mimo.report()["sigma"] == pytest.approx(expected.tolist())
        assert mimo.report()["mu"] == pytest.approx(0.5)
        loaded = MIMOLoss(f_star="zero", decay=0.0, mu=0.5)
        loaded.load_state_dict(mimo.state_dict())
        assert loaded.report() == mimo.report()
        mimo = loaded


def test_integer_losses_are_refused() -> None:
    with pytest.raises(
        TypeError,
        match=r"must be floating point tensors\. Got torch\.float32 and torch\.int64",
    ):
        MIMOLoss()(torch.tensor(1.0), torch.tensor([1, 2]))


def test_a_refused_call_leaves_nothing_behind() -> None:
    mimo = MIMOLoss(f_star=[0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="`f_star` must hold one number per modality"):
        mimo(torch.tensor(1.0), torch.tensor([1.0, 2.0]))
    assert mimo(torch.tensor(1.0), torch.tensor([1.0, 2.0, 3.0])).isfinite()


def test_misuse_is_explained() -> None:
    joint, losses = leaves([1.0, 2.0])
    with pytest.raises(TypeError, match=r"`loss_mm` must be a tensor \(\)\. Got 1\.0"):
        MIMOLoss()(1.0, losses)
    with pytest.raises(ValueError, match=r"K tensors \(\)\. Got shapes \[\(\), \(2,\)\]"):
        MIMOLoss()(joint, [joint, losses])
    with pytest.raises(ValueError, match=r"heads='plain' needs `mimo.gate\(features\)`"):
        MIMOLoss(heads="plain")(joint, losses)
    with pytest.raises(ValueError, match=r"Got shapes \(\) and \(\)"):
        MIMOLoss()(joint, joint)
    for wrong in ([], [1.0, 2.0]):
        with pytest.raises(
            TypeError, match=r"`losses_uni` must be a tensor \(K,\) or K tensors \(\)\. Got \["
        ):
            MIMOLoss()(joint, wrong)
    mimo, ended = MIMOLoss(), MIMOLoss(f_star="validation")
    mimo(joint, losses)
    ended(joint, losses)
    with pytest.raises(ValueError, match=r"\(K,\) with K=2\. Got shapes \(\) and \(1,\)"):
        mimo(joint, losses[:1])
    with pytest.raises(ValueError, match="f_star='validation' needs the trainer's run"):
        ended.end_epoch()
    with pytest.raises(ValueError, match="f_star='reference' needs the trainer's run"):
        MIMOLoss(f_star="reference").begin_epoch()
    with pytest.raises(ValueError, match="f_star='reference' needs the trainer's run"):
        MIMOLoss(f_star="reference")(joint, losses)


def test_where_no_loss_is_finite_no_modality_has_a_weight() -> None:
    mimo = MIMOLoss()
    joint, losses = leaves([math.inf, math.inf])
    mimo(joint, losses)
    assert mimo.report()["sigma"] == [0.0, 0.0]


def test_the_gate_has_the_precision_of_the_first_features() -> None:
    generator = torch.Generator().manual_seed(0)
    double = torch.randn(8, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    single = torch.randn(8, 4, generator=generator, requires_grad=True)
    mimo = MIMOLoss(lam=1.7, mu=0.3, heads="plain", f_star="zero")
    losses = [h.double().square().mean() for h in mimo.gate([double, single])]
    mimo(torch.tensor(1.0, dtype=torch.float64), losses).backward()
    sigma = mimo.report()["sigma"][0]
    assert double.grad is not None
    torch.testing.assert_close(
        double.grad, 1.7 * sigma * 2 * double.detach() / 32, rtol=1e-12, atol=0.0
    )


def test_the_state_follows_the_losses_to_their_device() -> None:
    """To one without data here, on which nothing can be looked at."""
    mimo = MIMOLoss(f_star="epoch_minimum")
    for _ in range(2):
        value = mimo(torch.zeros((), device="meta"), torch.zeros(3, device="meta"))
    assert value.device.type == mimo.smoothed.device.type == mimo.f_star.value.device.type == "meta"
    assert value.shape == ()
