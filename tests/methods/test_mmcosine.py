"""MMCosine."""

from __future__ import annotations

import pytest
import torch

from mimo_sim.methods import mmcosine
from tests.methods.helpers import (
    fitted,
    images_and_vectors,
    one_batch,
    started,
)


@pytest.mark.parametrize("k", [2, 3])
def test_mmcosine_is_its_formula(k: int) -> None:
    run = started("mmcosine", images_and_vectors(k), scale=7.0)
    features = run.model.features(one_batch(run).inputs)
    expected = sum(
        7.0 * torch.nn.functional.cosine_similarity(h[:, None], w[None], dim=-1)
        for h, w in zip(features, run.model.weight_blocks(), strict=True)
    )
    output = run.method.fuse(run.model, features)
    torch.testing.assert_close(output, expected)
    parts = run.method.unimodal_outputs(run.model, features)
    assert parts is not None
    torch.testing.assert_close(sum(parts), output)
    assert output.abs().max() <= 7.0 * k * (1 + 1e-6)


def test_mmcosine_does_not_see_sizes() -> None:
    torch.manual_seed(0)
    h, w = torch.randn(5, 4), torch.randn(3, 4)
    sizes, scales = torch.rand(5, 1) + 0.1, torch.rand(3, 1) * 10 + 0.1
    torch.testing.assert_close(
        mmcosine.cosine_logits(h * sizes, w * scales, 10.0), mmcosine.cosine_logits(h, w, 10.0)
    )


def test_mmcosine_survives_a_zero_feature() -> None:
    h, w = torch.zeros(2, 4, requires_grad=True), torch.ones(3, 4)
    logits = mmcosine.cosine_logits(h, w, 10.0)
    torch.autograd.backward(logits.sum())
    assert not logits.any()
    assert h.grad is not None
    assert h.grad.isfinite().all()
    assert h.grad.abs().max() <= 10.0 * 3 / mmcosine.LEAST_NORM


def test_mmcosine_does_not_use_the_bias() -> None:
    run = fitted("mmcosine")
    before = run.method.fuse(run.model, run.encode(run.validation).features)
    with torch.no_grad():
        run.model.fusion.bias.add_(5)
    assert torch.equal(before, run.method.fuse(run.model, run.encode(run.validation).features))
