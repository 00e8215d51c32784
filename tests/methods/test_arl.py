"""ARL."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mimo_sim import methods
from mimo_sim.methods.arl import asymmetric_weights, certainty, dependence
from tests.methods.helpers import (
    entries,
    gradients,
    noisy_means,
    one_batch,
    same,
    same_state,
    set_up,
    started,
    trained,
)
from tests.methods.tiny import LOGITS


@given(arrays(float, (2, 4, 3), elements=entries.map(lambda x: x + 0.1)), st.floats(0, 20))
def test_weights_are_weights_and_change_places_with_the_modalities(
    outputs: Any, temperature: float
) -> None:
    u = torch.from_numpy(outputs)
    omega = asymmetric_weights(u, temperature)
    assert omega.sum().item() == pytest.approx(1)
    torch.testing.assert_close(asymmetric_weights(u.flip(0), temperature), omega.flip(0))
    assert asymmetric_weights(u, 0.0).tolist() == [0.5, 0.5]


def test_a_certain_modality_has_a_bounded_weight() -> None:
    sure = 500.0 * torch.eye(3, dtype=torch.float64)
    shares = certainty(torch.stack([sure, torch.zeros_like(sure)]))
    assert shares.tolist() == pytest.approx([1 / 1.3, 0.3 / 1.3])  # 1 / 0.3 against 1


def test_a_less_used_modality_takes_larger_steps() -> None:
    u = torch.stack([LOGITS[0], 0.5 * LOGITS[0]])
    omega = asymmetric_weights(torch.stack([LOGITS[0], LOGITS[0].flip(1)]), 8.0)
    assert omega.tolist() == pytest.approx([0.5, 0.5])
    assert dependence(u).tolist() == pytest.approx([2 / 3, 1 / 3])


def test_unimodal_outputs_are_the_joint_one_with_the_other_feature_at_zero() -> None:
    run = set_up(methods.create("arl"), noisy_means())
    first, second = run.model.features(one_batch(run).inputs)
    zero = torch.zeros_like(first)
    found = run.method.unimodal_outputs(run.model, [first, second])
    torch.testing.assert_close(found[0], run.model.fuse([first, zero]))
    torch.testing.assert_close(found[1], run.model.fuse([zero, second]))


@pytest.mark.parametrize("factors", ["asymmetric", "symmetric"])
def test_encoders_are_scaled_by_one_plus_omega(factors: Any) -> None:
    run = set_up(methods.create("arl", warm_up=0, clip=None, factors=factors), noisy_means())
    out = run.method.forward_pass(run, one_batch(run))
    u = run.method.unimodal_outputs(run.model, out.features)
    losses = torch.stack([run.loss_function(each, out.batch.target) for each in u])
    objective = run.method.objective(run, out)
    torch.testing.assert_close(objective, out.loss + 4 * losses.sum())
    run.backward(objective)
    raw = [gradients(encoder) for encoder in run.model.encoders]
    fusion = gradients(run.model.fusion)
    run.method.gradients(run, out)
    omega = asymmetric_weights(torch.stack(u), 8.0).tolist()
    assert run.method.report()["omega"] == pytest.approx(omega)
    expected = omega if factors == "asymmetric" else [0.5, 0.5]
    for encoder, own, weight in zip(run.model.encoders, raw, expected, strict=True):
        for mine, g in zip(gradients(encoder), own, strict=True):
            torch.testing.assert_close(mine, (1 + weight) * g)
    assert same(fusion, gradients(run.model.fusion))


@pytest.mark.parametrize(("gamma", "used"), [(4.0, 1.0), (0.25, 0.25)])
def test_in_the_first_epochs_gamma_is_at_most_one_and_nothing_is_scaled(
    gamma: float, used: float
) -> None:
    run = set_up(methods.create("arl", gamma=gamma, warm_up=1, clip=None), noisy_means())
    out = run.method.forward_pass(run, one_batch(run))
    objective = run.method.objective(run, out)
    torch.testing.assert_close(objective, out.loss + used * out.head_losses.sum())
    run.backward(objective)
    before = gradients(run.model)
    run.method.gradients(run, out)
    assert same(before, gradients(run.model))
    assert not run.method.report()


def test_the_norm_of_the_gradient_is_clipped() -> None:
    run = set_up(methods.create("arl", clip=1e-3), noisy_means())
    run.method.step(run, one_batch(run))
    norm = torch.stack([g.norm() for g in gradients(run.model)]).norm()
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def test_without_uni_modal_losses_and_scaling_it_is_joint_training() -> None:
    off = trained(methods.create("arl", gamma=0.0, warm_up=3, clip=None), noisy_means())
    assert same_state(off.model, trained(methods.create("vanilla"), noisy_means()).model)
    on = trained(methods.create("arl", gamma=0.0, warm_up=2, clip=None), noisy_means())
    assert not same_state(on.model, off.model)


def test_three_modalities_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'arl' needs at most 2 modalities\. Got 3"):
        started("arl", noisy_means(3))
