"""AMSS and AMSS+."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mimo_sim import methods
from mimo_sim.methods.amss import (
    correction,
    drawn,
    importances,
    kept_shares,
    label_entropy,
    significance,
)
from tests.methods.helpers import (
    gradients,
    noisy_means,
    one_batch,
    same,
    same_state,
    set_up,
    started,
    trained,
)
from tests.methods.tiny import FEATURES, LOGITS, TARGET


@pytest.mark.parametrize("form", ["entropy", "released"])
def test_the_numbers_of_the_released_code(form: Any) -> None:
    losses = torch.stack([F.cross_entropy(a, TARGET) for a in LOGITS])
    found = significance(losses, list(FEATURES), label_entropy(TARGET, 3, form))
    assert found.tolist() == pytest.approx([0.660991, 0.040437], abs=1e-6)
    assert kept_shares(found, 0.2).tolist() == pytest.approx([0.1, 0.9])
    certain = significance(torch.zeros(2), list(FEATURES), torch.tensor(0.5))  # numerator 1
    assert 1 / float(certain[0]) == pytest.approx(1.162028, abs=1e-6)


def test_entropies_of_labels() -> None:
    target = torch.tensor([0, 0, 0, 2])  # frequencies 3/4, 0, 1/4
    exact = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert float(label_entropy(target, 3)) == pytest.approx(exact)
    total = math.exp(0.75) + 1 + math.exp(0.25)
    expected = -(0.75 * (0.75 - math.log(total)) + 0.25 * (0.25 - math.log(total)))
    assert float(label_entropy(target, 9, "released")) == pytest.approx(expected)


def test_the_weaker_modality_keeps_more() -> None:
    shares = kept_shares(torch.tensor([0.4, 0.3]), 0.2)
    e = [math.exp(0.3 / 0.2), math.exp(0.4 / 0.2)]
    assert shares.tolist() == pytest.approx([x / sum(e) for x in e])
    for odd in ([0.4, 0.0], [-1.0, 0.3], [math.nan, 0.3], [math.inf, 0.3], [math.inf, math.inf]):
        assert kept_shares(torch.tensor(odd), 0.2).tolist() == [0.5, 0.5]


def test_importances() -> None:
    g, w = torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    assert importances(g, w, "squared").tolist() == [25, 1]
    assert importances(g, w, "root").tolist() == [5, 1]
    found = importances(g, w, "relative")
    assert float(found[0]) == 5
    assert found.isfinite().all()


@given(st.integers(1, 12), st.integers(0, 12), st.integers(0, 99))
def test_as_many_are_drawn_as_were_asked_for(n: int, count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    importance = torch.rand(3, n, generator=generator)
    mask = drawn(importance, torch.tensor(float(count)), generator)
    assert mask.sum(1).tolist() == [min(n, count)] * 3


def test_draws_are_those_of_a_multinomial_without_replacement() -> None:
    """Of (1, 2, 5) two are drawn: the chance of a pair is the sum over its two orders."""
    generator = torch.Generator().manual_seed(0)
    p = torch.tensor([1.0, 2.0, 5.0, 0.0])
    times = 20_000
    mask = drawn(p.expand(times, 4), torch.tensor(2.0), generator)
    q = (p / 8).tolist()
    expected = [
        sum(q[i] * q[j] * (1 / (1 - q[i]) + 1 / (1 - q[j])) for j in range(3) if j != i)
        for i in range(3)
    ]
    assert sum(expected) == pytest.approx(2)
    for share, chance in zip(mask.float().mean(0).tolist(), [*expected, 0.0], strict=True):
        assert share == pytest.approx(chance, abs=5 * 0.5 / math.sqrt(times))


def test_correction() -> None:
    found = correction(torch.tensor([[1.0, 3.0], [0.0, 0.0]]))
    assert found[0].tolist() == pytest.approx([1 / 0.75, 1 / 1.25])
    assert found[1].tolist() == [2, 2]


def masked_step(name: str, **hyper: Any) -> tuple[Any, list[list[Tensor]], Tensor]:
    """A run after one backward pass and the masks, the gradients before, and the shares."""
    run = set_up(methods.create(name, **hyper), noisy_means(2, (1, 8, 8)), width=10)
    run.generator.manual_seed(0)
    out = run.method.forward_pass(run, one_batch(run))
    run.method.backward(run, out)
    parts = [*run.model.encoders, run.model.fusion]
    before = [gradients(part) for part in parts]
    run.method.gradients(run, out)
    losses = torch.stack([run.loss_function(a, out.batch.target) for a in out.sliced])
    entropy = label_entropy(out.batch.target, 3)
    features = [h.detach() for h in out.features]
    return run, before, kept_shares(significance(losses, features, entropy), 0.2)


def test_a_step_trains_the_shares_of_channels_and_of_fusion_weights() -> None:
    run, before, shares = masked_step("amss")
    assert run.method.report()["trained_share"] == pytest.approx(shares.tolist())
    parts = [*run.model.encoders, run.model.fusion]
    some = False
    for k in range(2):
        for weight, g in zip(gradients(parts[k]), before[k], strict=True):
            if g.ndim == 1:
                assert torch.equal(weight, g)
                continue
            alive = weight.flatten(1).abs().sum(1) > 0
            nonzero = int((g.flatten(1).abs().sum(1) > 0).sum())
            count = math.ceil(float(shares[k] * len(g)))
            assert int(alive.sum()) == min(count, nonzero)
            assert torch.equal(weight[alive], g[alive])
            some = some or count < nonzero
    assert some
    weight, g = gradients(run.model.fusion)[0], before[2][0]
    for k, (block, own) in enumerate(zip(weight.chunk(2, 1), g.chunk(2, 1), strict=True)):
        count = math.floor(float(shares[k] * 10))
        most = (own != 0).sum(1)
        assert (block != 0).sum(1).tolist() == most.clamp_max(count).tolist()
        assert torch.equal(block[block != 0], own[block != 0])
    assert torch.equal(gradients(run.model.fusion)[1], before[2][1])


@pytest.mark.parametrize("scale", ["mean", "released"])
def test_amss_plus_corrects_what_amss_keeps(scale: Any) -> None:
    plain, before, shares = masked_step("amss")
    plus, _, _ = masked_step("amss_plus", scale=scale)
    for k in range(2):
        kept, found = gradients(plain.model.encoders[k]), gradients(plus.model.encoders[k])
        for mine, corrected, g in zip(kept, found, before[k], strict=True):
            if g.ndim > 1:
                i = g.flatten(1).square().sum(1)
                factor = 1 / (i / i.sum() + 1 / len(g))
                if scale == "mean":
                    factor = factor / math.ceil(float(shares[k] * len(g)))
                expected = mine.flatten(1) * factor[:, None]
                torch.testing.assert_close(corrected.flatten(1), expected)


@pytest.mark.parametrize("name", ["amss", "amss_plus"])
def test_outside_its_window_it_is_joint_training(name: str) -> None:
    off = trained(methods.create(name, window=(7, 9)), noisy_means())
    assert same_state(off.model, trained(methods.create("vanilla"), noisy_means()).model)
    assert not off.method.report()


def test_shares_of_one_are_joint_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def everything(significances: Tensor, temperature: float) -> Tensor:
        return torch.ones(2)

    monkeypatch.setattr("mimo_sim.methods.amss.kept_shares", everything)
    whole = trained(methods.create("amss"), noisy_means())
    assert same_state(whole.model, trained(methods.create("vanilla"), noisy_means()).model)


def test_a_mask_is_drawn_anew_in_every_step() -> None:
    run, _, _ = masked_step("amss")
    first = gradients(run.model)
    out = run.method.forward_pass(run, one_batch(run))
    run.optimizer.zero_grad()
    run.method.backward(run, out)
    run.method.gradients(run, out)
    assert not same(first, gradients(run.model))


@pytest.mark.parametrize("name", ["amss", "amss_plus"])
def test_three_modalities_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"'{name}' needs at most 2 modalities\. Got 3"):
        started(name, noisy_means(3))
