"""CGGM."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mimo_sim import methods
from mimo_sim.methods.cggm import balance, misdirection
from tests.methods.helpers import (
    body,
    fitted,
    gradients,
    images_and_vectors,
    noisy_means,
    one_batch,
    same,
    same_state,
    set_up,
    started,
    trained,
)


def test_balance_of_the_released_code() -> None:
    gains = torch.tensor([0.3, 0.35], dtype=torch.float64) - torch.tensor([0.2, 0.3]).double()
    assert balance(gains).tolist() == pytest.approx([1 / 3, 2 / 3], abs=1e-6)
    assert balance(torch.zeros(3, dtype=torch.float64)).tolist() == [1, 1, 1]


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=4), st.booleans())
def test_balance_is_small_for_what_improves_most(gains: list[float], bounded: bool) -> None:
    k = len(gains)
    found = balance(torch.tensor(gains, dtype=torch.float64), bounded)
    assert found.sum().item() == pytest.approx(k - 1, abs=1e-4)
    assert found.argmin() == int(torch.tensor(gains).argmax())
    equal = balance(torch.full((k,), gains[0], dtype=torch.float64), bounded)
    assert equal.tolist() == pytest.approx([(k - 1) / k] * k, abs=1e-5)


def test_balance_has_bounds_only_where_they_are_asked_for() -> None:
    gains = torch.tensor([0.3, -0.29], dtype=torch.float64)
    assert balance(gains).tolist() == pytest.approx([-29, 30], rel=1e-4)
    assert balance(gains, bounded=True).tolist() == [0, 1]


def test_misdirection() -> None:
    up, right = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]])
    weights = torch.tensor([0.25, 0.75])
    assert float(misdirection([up, up], [up, up], weights)) == pytest.approx(0)
    assert float(misdirection([up, up], [up, right], weights)) == pytest.approx(0.75 / 2)
    assert float(misdirection([up, up], [-up, right], weights)) == pytest.approx((0.5 + 0.75) / 2)
    assert float(misdirection([up], [2 * up], torch.tensor([-1.0]))) == pytest.approx(2)


def test_directions_are_the_gradients_of_the_weights() -> None:
    run = set_up(methods.create("cggm"), noisy_means(3))
    out = run.method.forward_pass(run, one_batch(run))
    run.method.objective(run, out)
    own, joint = run.method.directions(out)
    other = copy.deepcopy(run.model)
    features = [h.detach() for h in other.features(out.batch.inputs)]
    F.cross_entropy(other.fuse(features), out.batch.target).backward()  # type: ignore[no-untyped-call]
    for v in other.head_logits(features):
        F.cross_entropy(v, out.batch.target).backward()  # type: ignore[no-untyped-call]
    for mine, head in zip(own, other.heads, strict=True):
        torch.testing.assert_close(mine, head.weight.grad)
        assert not mine.requires_grad
    blocks = torch.split(other.fusion.weight.grad, other.widths, dim=1)
    for mine, block in zip(joint, blocks, strict=True):
        torch.testing.assert_close(mine, block)


@pytest.mark.parametrize("direction", ["gradients", "weights"])
def test_the_direction_term_turns_the_fusion_layer_to_the_classifiers(direction: Any) -> None:
    run = set_up(methods.create("cggm", direction=direction, lam=1.0), noisy_means())
    run.method.coefficients.fill_(1.0)
    out = run.method.forward_pass(run, one_batch(run))
    run.method.objective(run, out)
    own, joint = run.method.directions(out)
    term = misdirection(own, joint, run.method.coefficients)
    parameters = [run.model.fusion.weight, *run.model.encoders.parameters()]
    slope = torch.autograd.grad(term, parameters, allow_unused=True)
    moved = [g is not None and bool(g.abs().sum() > 0) for g in slope]
    assert moved[0]
    assert any(moved[1:]) == (direction == "gradients")  # weights do not depend on encoders
    with torch.no_grad():
        for parameter, g in zip(parameters, slope, strict=True):
            if g is not None:
                parameter -= 1e-2 * g / g.norm()
    after = run.method.forward_pass(run, out.batch)
    run.method.objective(run, after)
    own, joint = run.method.directions(after)
    assert misdirection(own, joint, run.method.coefficients) < term


def test_classifiers_never_move_an_encoder() -> None:
    run = set_up(methods.create("cggm", lam=0.0), noisy_means())
    out = run.method.forward_pass(run, one_batch(run))
    run.method.backward(run, out)
    found = gradients(run.model.encoders)
    assert all(head.weight.grad.abs().sum() > 0 for head in run.model.heads)
    plain = run.model.encoders
    plain.zero_grad()
    run.loss_function(run.model(out.batch.inputs), out.batch.target).backward()
    assert same(found, gradients(plain))


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("memory", [0.0, 0.5])
def test_encoders_are_scaled_by_the_growth_of_accuracy(k: int, memory: float) -> None:
    run = set_up(methods.create("cggm", rho=0.5, clip=None, memory=memory), noisy_means(k))
    before = torch.linspace(0.05, 0.1, k)
    run.method.scores.copy_(before)
    out = run.method.forward_pass(run, one_batch(run))
    run.method.backward(run, out)
    raw = [gradients(encoder) for encoder in run.model.encoders]
    fusion = gradients(run.model.fusion)
    run.method.gradients(run, out)
    right = [v.argmax(1) == out.batch.target for v in run.model.head_logits(out.features)]
    now = torch.stack([each.float().mean() for each in right])
    gains = (1 - memory) * (now - before)
    factors = 0.5 * (gains.sum() - gains) / gains.sum()
    for encoder, own, factor in zip(run.model.encoders, raw, factors, strict=True):
        for mine, g in zip(gradients(encoder), own, strict=True):
            torch.testing.assert_close(mine, factor * g, rtol=1e-4, atol=1e-6)
    assert same(fusion, gradients(run.model.fusion))
    torch.testing.assert_close(run.method.scores, before + gains)


def test_the_norm_of_encoders_and_fusion_layer_is_clipped() -> None:
    run = set_up(methods.create("cggm", clip=1e-3), noisy_means())
    out = run.method.step(run, one_batch(run))
    trained_parts = [*run.model.encoders.parameters(), *run.model.fusion.parameters()]
    norm = torch.stack([p.grad.norm() for p in trained_parts]).norm()
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)
    assert all(head.weight.grad.norm() > 1e-3 for head in run.model.heads)
    assert out.head_losses.shape == (2,)


def test_coefficients_of_one_are_joint_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_half(gains: Tensor, bounded: bool) -> Tensor:
        return torch.full_like(gains, 0.5)

    monkeypatch.setattr("mimo_sim.methods.cggm.balance", one_half)
    run = fitted("cggm", rho=2.0, lam=0.0, clip=None)
    assert same(body(run), body(fitted("vanilla")))


def test_outside_its_window_it_is_joint_training() -> None:
    off = trained(methods.create("cggm", window=(7, 9)), noisy_means())
    assert same_state(off.model, trained(methods.create("vanilla"), noisy_means()).model)
    assert not off.method.report()


def test_in_regression_the_score_is_minus_the_loss() -> None:
    run = started("cggm", images_and_vectors(task="regression"))
    out = run.method.step(run, one_batch(run))
    torch.testing.assert_close(run.method.scores, -out.head_losses.detach())
    line = fitted("cggm", images_and_vectors(task="regression"), epochs=4, bounded=True)
    assert line.table[-1]["train_loss"] < line.table[0]["train_loss"]


def test_one_modality_has_nothing_to_balance() -> None:
    with pytest.raises(ValueError, match=r"'cggm' needs at least 2 modalities\. Got 1"):
        started("cggm", images_and_vectors(1))
