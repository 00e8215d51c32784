"""PMR."""

from __future__ import annotations

import pytest
import torch

from mimo_sim import methods
from mimo_sim.methods.pmr import help_weights
from tests.methods.helpers import (
    noisy_means,
    set_up,
)


def test_help_goes_to_the_slower_modality() -> None:
    assert help_weights(torch.tensor([4.0, 2.0]), 0.7, "step").tolist() == pytest.approx([0, 0.7])
    assert help_weights(torch.tensor([2.0, 2.0]), 0.7, "step").tolist() == [0, 0]
    assert help_weights(torch.tensor([3.0, 2.0, 1.0]), 1.0, "clip").tolist() == pytest.approx(
        [0, 0.5, 1]
    )


def test_prototypes_are_class_means_and_missing_classes_keep_theirs() -> None:
    run = set_up(methods.create("pmr", momentum=0.25), noisy_means(classes=3), batch_size=48)
    run.method.begin_epoch(run)
    run.model.eval()
    with torch.no_grad():
        features = run.model.features(run.inputs(run.train, torch.arange(48)).inputs)
    means = torch.stack([features[0][run.train.target == c].mean(0) for c in range(3)])
    torch.testing.assert_close(run.method.prototypes_0, means)
    first = run.method.prototypes_0.clone()
    run.train = run.train.take(torch.arange(48)[run.train.target != 1])
    with torch.no_grad():
        run.model.encoders[0].body[-2].bias.add_(1)
    run.method.begin_epoch(run)
    assert torch.equal(run.method.prototypes_0[1], first[1])
    with torch.no_grad():
        moved = run.model.features(run.inputs(run.train, torch.arange(len(run.train))).inputs)[0]
    expected = 0.25 * first[0] + 0.75 * moved[run.train.target == 0].mean(0)
    torch.testing.assert_close(run.method.prototypes_0[0], expected)


def test_a_class_without_prototype_counts_for_nothing() -> None:
    run = set_up(methods.create("pmr"), noisy_means())
    run.train = run.train.take(torch.arange(48)[run.train.target != 2])
    run.method.begin_epoch(run)
    assert run.method.known.tolist() == [True, True, False]
    whole = set_up(methods.create("pmr"), noisy_means())
    out = run.method.forward_pass(run, next(iter(whole.batches())))
    objective = run.method.objective(run, out)
    objective.backward()
    assert torch.isfinite(objective)
    assert all(torch.isfinite(p.grad).all() for p in run.model.encoders.parameters())
    assert max(run.method.report()["prototype_weight"]) == 1


def test_a_batch_with_one_known_class_has_the_mean_over_its_samples() -> None:
    """Also where that is one sample, or none at all."""
    run = set_up(methods.create("pmr"), noisy_means())
    keep = torch.arange(48)[run.train.target != 2]
    unknown = torch.arange(48)[run.train.target == 2]
    rows = [unknown[:4], torch.cat([unknown[:3], keep[:1]])]
    batches = [run.inputs(run.train, each) for each in rows]
    run.train = run.train.take(keep)
    run.method.begin_epoch(run)
    run.method.alpha = 1.0
    none, one = (run.method.forward_pass(run, batch) for batch in batches)
    assert run.method.objective(run, none).item() == pytest.approx(none.loss.item(), rel=1e-6)
    added = (run.method.objective(run, one) - one.loss).item()
    label = int(batches[1].target[-1])
    near = [-torch.cdist(h[-1:], run.method.prototypes(k)[:2]) for k, h in enumerate(one.features)]
    each = [torch.nn.functional.cross_entropy(z, torch.tensor([label])).item() for z in near]
    weighted = sum(w * x for w, x in zip(run.method.weights.tolist(), each, strict=True))
    assert added == pytest.approx(weighted, rel=1e-5)


def test_it_acts_inside_its_window_only_and_with_a_weight_only() -> None:
    run = set_up(methods.create("pmr", window=(1, 2)), noisy_means())
    acting = []
    for run.epoch in range(4):
        acting.append(run.method.acts(run))
    assert acting == [False, True, True, False]
    run.epoch = 1
    run.method.alpha = 0.0
    assert not run.method.acts(run)


def test_prototypes_are_means_over_the_samples_of_all_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two processes, of which the other one sees nothing: all sums and counts are halved."""
    prototypes = []
    for share in (1.0, 0.5):
        run = set_up(methods.create("pmr"), noisy_means(classes=3), batch_size=48)
        one_of_each = [int((run.train.target == c).nonzero()[0]) for c in range(3)]
        run.train = run.train.take(torch.tensor(one_of_each))
        monkeypatch.setattr(run, "mean", lambda values, share=share: share * values)
        run.method.begin_epoch(run)
        prototypes.append(run.method.prototypes_0.clone())
    torch.testing.assert_close(*prototypes)
