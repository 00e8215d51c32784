"""LFM."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import arrays
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mimo_sim import methods
from mimo_sim.methods.lfm import (
    contrastive_gap,
    fitted_weight,
    posterior_gap,
)
from mimo_sim.training import Settings, TrainingRun
from tests.methods.helpers import (
    entries,
    gradients,
    images_and_vectors,
    noisy_means,
    one_batch,
    same,
    set_up,
    started,
    trained,
)
from tests.methods.tiny import LOGITS, TARGET


def divergence(p: Tensor, q: Tensor) -> float:
    """KL(p || q), mean over the samples."""
    return float((p * (p / q).log()).sum(1).mean())


def test_the_numbers_of_the_released_code() -> None:
    assert float(posterior_gap([*LOGITS])) == pytest.approx(0.141738, abs=1e-6)
    assert float(F.cross_entropy(LOGITS.mean(0), TARGET)) == pytest.approx(0.649121, abs=1e-6)
    p, q = LOGITS.softmax(-1)
    middle = (p + q) / 2
    jensen_shannon = (divergence(p, middle) + divergence(q, middle)) / 2
    assert jensen_shannon == pytest.approx(0.120644, abs=1e-6)  # the other direction
    ours = (divergence(middle, p) + divergence(middle, q)) / 2
    assert float(posterior_gap([*LOGITS])) == pytest.approx(ours, rel=1e-12)


def test_the_fitted_weight_of_the_released_code() -> None:
    found = [fitted_weight(epoch) for epoch in (0, 1, 50, 100, 150, 175, 199)]
    expected = [0.204624, 0.208099, 0.436681, 0.539155, 0.821314, 0.992996, 0.915989]
    assert found == pytest.approx(expected, abs=1e-6)
    assert fitted_weight(25, 50) == pytest.approx(0.539155, abs=1e-6)
    assert (fitted_weight(1000), fitted_weight(180)) == (0, 1)


@given(arrays(float, (3, 4, 3), elements=entries))
def test_the_gap_of_posteriors_is_symmetric_and_zero_where_they_agree(values: Any) -> None:
    first, second, third = torch.from_numpy(values)
    gap = posterior_gap([first, second])
    assert gap >= 0
    torch.testing.assert_close(posterior_gap([second, first]), gap)
    assert float(posterior_gap([first, first + 1])) == pytest.approx(0, abs=1e-12)
    pairs = [gap, posterior_gap([first, third]), posterior_gap([second, third])]
    torch.testing.assert_close(posterior_gap([first, second, third]), torch.stack(pairs).mean())


def test_sure_predictions_that_disagree_have_a_finite_gap_and_gradient() -> None:
    sure = (500.0 * torch.eye(3)).requires_grad_()
    gap = posterior_gap([sure, sure.detach().flip(0)])
    gap.backward()  # type: ignore[no-untyped-call]
    assert gap.isfinite()
    assert sure.grad is not None
    assert sure.grad.isfinite().all()


def test_contrast_of_two_samples() -> None:
    h, t = torch.tensor([[3.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [5.0, 5.0]])
    cosines = torch.tensor([[1.0, math.sqrt(0.5)], [0.0, math.sqrt(0.5)]]) / 0.5
    ways = [-(s.log_softmax(1).diagonal().mean()) for s in (cosines, cosines.T)]
    expected = sum(ways) / 2
    torch.testing.assert_close(contrastive_gap([h, t], 0.5), expected)
    torch.testing.assert_close(contrastive_gap([t, h], 0.5), expected)
    torch.testing.assert_close(
        contrastive_gap([h, t, h], 0.5), (2 * expected + contrastive_gap([h, h], 0.5)) / 3
    )
    assert float(contrastive_gap([h, 7 * h], 0.01)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("match", ["contrastive", "posterior"])
@pytest.mark.parametrize("weight", ["heuristic", "fitted", 0.25])
def test_the_objective_weighs_labels_and_match(k: int, match: Any, weight: Any) -> None:
    method = methods.create("lfm", weight=weight, match=match, scale=2.0, temperature=0.3)
    run = set_up(method, noisy_means(k), epochs=4)
    run.epoch = 2
    run.method.begin_epoch(run)
    c = {"heuristic": math.exp(-1 / 3), "fitted": fitted_weight(100), 0.25: 0.25}[weight]
    out = run.method.forward_pass(run, one_batch(run))
    outputs = run.model.head_logits(out.features)
    torch.testing.assert_close(out.logits, sum(outputs) / k)
    gap = contrastive_gap(out.features, 0.3) if match == "contrastive" else posterior_gap(outputs)
    label = F.cross_entropy(out.logits, out.batch.target)
    torch.testing.assert_close(run.method.objective(run, out), 2 * (c * label + (1 - c) * gap))
    assert run.method.report() == {"class_weight": pytest.approx(c)}
    run.method.backward(run, out)
    assert not any(g.any() for g in gradients(run.model.fusion))


def test_labels_alone_are_the_loss_of_the_averaged_heads() -> None:
    run = set_up(methods.create("lfm", weight=1.0, scale=2.0), noisy_means())
    run.method.begin_epoch(run)
    batch = one_batch(run)
    run.method.backward(run, run.method.forward_pass(run, batch))
    found = gradients(run.model)
    run.model.zero_grad()
    outputs = torch.stack(run.model.head_logits(run.model.features(batch.inputs)))
    (2 * F.cross_entropy(outputs.mean(0), batch.target)).backward()  # type: ignore[no-untyped-call]
    assert same(found, gradients(run.model))


def test_the_released_form_learns_and_its_weight_grows() -> None:
    method = methods.create("lfm", weight="fitted", match="posterior", scale=2.0)
    run = trained(method, noisy_means(), epochs=6, lr=0.1)
    weights = [row["class_weight"] for row in run.table]
    assert weights == sorted(weights)
    assert run.table[-1]["validation_accuracy"] > run.table[0]["validation_accuracy"]


def test_features_of_different_lengths_cannot_be_contrasted() -> None:
    run = TrainingRun(methods.create("lfm"), noisy_means(), Settings(epochs=1))
    run.model.widths = (8, 9)
    with pytest.raises(ValueError, match=r"match='posterior' takes any. Got widths \(8, 9\)"):
        run.method.setup(run)
    methods.create("lfm", match="posterior").setup(run)


def test_what_it_is_not_defined_for_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'lfm' needs at least 2 modalities\. Got 1"):
        started("lfm", images_and_vectors(1))
    with pytest.raises(ValueError, match=r"'lfm' is defined for classification"):
        started("lfm", images_and_vectors(task="regression"))
