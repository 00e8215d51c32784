"""MGDA, PCGrad, CAGrad and MMPareto: weights of gradients, and the steps that they give."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor, nn

from mimo_sim import methods
from mimo_sim.methods._gramians import block_gramian
from mimo_sim.methods.cagrad import cagrad_weights
from mimo_sim.methods.mgda import MGDA, min_norm_weights
from mimo_sim.methods.mmpareto import mmpareto_weights
from mimo_sim.methods.pcgrad import pcgrad_weights
from mimo_sim.training import TrainingRun
from tests.methods.helpers import (
    entries,
    gram_of,
    noisy_means,
    set_up,
)

WEIGHTINGS: dict[str, Any] = {
    "mgda": min_norm_weights,
    "pcgrad": pcgrad_weights,
    "cagrad": cagrad_weights,
    "mmpareto": mmpareto_weights,
}


def gradient_rows(m: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(float, (m, 5), elements=entries)


def explicit_gradients(run: TrainingRun, model: nn.Module, loss: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(
        loss, list(model.parameters()), retain_graph=True, allow_unused=True
    )
    return [
        torch.zeros_like(p) if g is None else g
        for p, g in zip(model.parameters(), found, strict=True)
    ]


@given(st.integers(2, 5).flatmap(gradient_rows))
def test_least_norm_is_a_common_descent_direction(rows: np.ndarray) -> None:
    weights = min_norm_weights(gram_of(rows)).numpy()
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1, rel=1e-12)
    v = weights @ rows
    # v . g_m >= |v|^2 for all m is necessary and sufficient for the least norm. The slack is
    # rounding of the squares in the Gramian.
    assert (rows @ v >= v @ v - 1e-5 * (rows * rows).sum(1).max()).all()
    assert v @ v <= (rows * rows).sum(1).min() * (1 + 1e-9) + 1e-9


@given(gradient_rows(2))
def test_least_norm_of_two_agrees_with_torchjd(rows: np.ndarray) -> None:
    from torchjd.aggregation import MGDAWeighting

    gram = gram_of(rows)
    theirs = MGDAWeighting(epsilon=1e-9, max_iters=3)(gram).numpy() @ rows
    np.testing.assert_allclose(
        min_norm_weights(gram).numpy() @ rows, theirs, atol=1e-6 * np.abs(rows).max(initial=1)
    )


def test_least_norm_of_orthogonal_and_opposite_gradients() -> None:
    orthogonal = min_norm_weights(torch.diag(torch.tensor([1.0, 9.0], dtype=torch.float64)))
    assert orthogonal.tolist() == pytest.approx([0.9, 0.1], rel=1e-12)
    opposite = np.array([[1.0, 2.0], [-1.0, -2.0]])
    assert np.abs(min_norm_weights(gram_of(opposite)).numpy() @ opposite).max() == 0


@pytest.mark.parametrize(
    "rows",
    [
        np.ones((3, 2)),
        np.zeros((3, 2)),
        np.array([[1.0, 0], [0, 0], [0, 2]]),
        np.array([[1.0, 0], [1, 0], [-1, 0]]),
    ],
)
def test_least_norm_of_three_dependent_gradients(rows: np.ndarray) -> None:
    v = min_norm_weights(gram_of(rows)).numpy() @ rows
    expected = np.ones(2) if rows.all() else np.zeros(2)
    np.testing.assert_allclose(v, expected, atol=1e-6)


@given(gradient_rows(2))
def test_projection_of_two_agrees_with_torchjd_and_never_conflicts(rows: np.ndarray) -> None:
    from torchjd.aggregation import PCGradWeighting

    gram = gram_of(rows)
    weights = pcgrad_weights(gram)
    torch.testing.assert_close(weights, PCGradWeighting()(gram), rtol=1e-9, atol=0)
    assert (rows @ (weights.numpy() @ rows) >= -1e-9 * (rows * rows).sum()).all()
    if gram[0, 1] >= 0:
        assert weights.tolist() == [1, 1]


def project(rows: np.ndarray, order: tuple[tuple[int, ...], ...]) -> np.ndarray:
    total = np.zeros(rows.shape[1])
    for i, others in enumerate(order):
        g = rows[i].copy()
        for j in others:
            if g @ rows[j] < 0:
                g -= g @ rows[j] / (rows[j] @ rows[j]) * rows[j]
        total += g
    return total


@given(gradient_rows(3), st.integers(0, 99))
def test_projection_of_three_is_that_of_some_order(rows: np.ndarray, seed: int) -> None:
    orders = itertools.product(
        *([*itertools.permutations([j for j in range(3) if j != i])] for i in range(3))
    )
    possible = np.array([project(rows, order) for order in orders])
    found = pcgrad_weights(gram_of(rows), torch.Generator().manual_seed(seed)).numpy() @ rows
    assert np.abs(possible - found).max(axis=1).min() <= 1e-6 * np.abs(rows).max(initial=1)


def test_projection_draws_every_order_and_only_from_its_generator() -> None:
    rows = np.array([[1.0, 0, 0], [-1, 1, 0], [-1, -0.5, 1]])
    before = torch.get_rng_state()
    generator = torch.Generator().manual_seed(0)
    seen = {tuple(np.round(pcgrad_weights(gram_of(rows), generator).numpy(), 9)) for _ in range(60)}
    orders = itertools.product(
        *([*itertools.permutations([j for j in range(3) if j != i])] for i in range(3))
    )
    assert len(seen) == len({tuple(np.round(project(rows, order), 9)) for order in orders}) > 1
    assert torch.equal(before, torch.get_rng_state())


@given(gradient_rows(2), st.floats(0, 0.99))
def test_conflict_averse_direction_is_optimal(rows: np.ndarray, c: float) -> None:
    gram = gram_of(rows)
    g0 = rows.mean(0)
    radius = c * np.linalg.norm(g0)
    d = cagrad_weights(gram, c).numpy() @ rows
    size = np.linalg.norm(rows) + 1e-12
    assert np.linalg.norm(d - g0) <= radius * (1 + 1e-6) + 1e-9
    w = np.linspace(0, 1, 1001)[:, None]
    mixed = w * rows[0] + (1 - w) * rows[1]
    dual = (
        mixed @ g0 + radius * np.linalg.norm(mixed, axis=1)
    ).min()  # strong duality: the best worst-case improvement
    assert (rows @ d).min() >= dual - 1e-6 * size**2


def test_conflict_averse_special_cases() -> None:
    one = torch.eye(2, dtype=torch.float64)
    assert cagrad_weights(one, 0.5).tolist() == pytest.approx([0.75, 0.75], rel=1e-12)
    assert cagrad_weights(one, 0).tolist() == [0.5, 0.5]
    unequal = np.array([[3.0, 0], [-1, 0]])  # g0 = (1, 0): as near to zero as the ball allows
    assert cagrad_weights(gram_of(unequal), 0.5).numpy() @ unequal == pytest.approx(
        [0.5, 0], rel=1e-12
    )
    vanished = np.array([[2.0, 0], [0, 0]])
    assert cagrad_weights(gram_of(vanished), 0.5).numpy() @ vanished == pytest.approx(
        [1, 0], rel=1e-12
    )  # the live gradient is kept


@given(gradient_rows(2), st.floats(0.1, 3))
def test_mmpareto_keeps_direction_and_length(rows: np.ndarray, gamma: float) -> None:
    u, g = rows
    gram = gram_of(rows)
    weights = mmpareto_weights(gram, gamma)
    assert torch.isfinite(weights).all()
    d = weights.numpy() @ rows
    if u @ g > 0:
        assert weights.tolist() == [gamma, gamma]
        return
    assert np.linalg.norm(d) >= gamma * np.linalg.norm(u + g) * (1 - 1e-6)
    v = min_norm_weights(gram).numpy() @ rows
    if v @ v > 1e-5 * (rows * rows).sum():
        assert min(d @ u, d @ g) >= 0
        assert d @ v == pytest.approx(np.linalg.norm(d) * np.linalg.norm(v), rel=1e-9)


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize(
    "rows",
    [
        ((0, 0), (0, 0)),
        ((1, 2), (0, 0)),
        ((0, 0), (1, 2)),
        ((1, 2), (1, 2)),
        ((1, 2), (-1, -2)),
        ((1, 2), (-2, -4)),
        ((1, 0), (-1e-12, 1)),
    ],
)
def test_degenerate_gradients_give_finite_directions(name: str, rows: Any) -> None:
    weights = WEIGHTINGS[name](gram_of(np.array(rows, float)))
    assert torch.isfinite(weights).all()
    live = [row for row in rows if any(row)]
    if len(live) == 1 and name != "mgda":  # a vanished gradient must not stop the other
        factor = {"mmpareto": 1.5, "pcgrad": 1.0, "cagrad": 0.5}[name]
        np.testing.assert_allclose(
            weights.numpy() @ np.array(rows, float), factor * np.array(live[0], float), rtol=1e-9
        )


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_weights_come_in_batches(name: str) -> None:
    rows = np.random.default_rng(1).standard_normal((4, 2, 5))
    grams = torch.from_numpy(rows @ rows.transpose(0, 2, 1))
    torch.testing.assert_close(
        WEIGHTINGS[name](grams),
        torch.stack([WEIGHTINGS[name](gram) for gram in grams]),
        rtol=1e-12,
        atol=0,
    )


@pytest.mark.parametrize("modalities", [2, 3])
@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        ("mmpareto", {"gamma": 1.2}),
        ("mgda", {}),
        ("mgda", {"scope": "global"}),
        ("pcgrad", {}),
        ("pcgrad", {"scope": "global"}),
        ("cagrad", {"rescale": "none"}),
    ],
)
def test_a_step_weighs_the_true_gradients(
    name: str, hyper: dict[str, Any], modalities: int
) -> None:
    run = set_up(methods.create(name, **hyper), noisy_means(modalities))
    batch = next(iter(run.batches()))
    state = run.generator.get_state()
    out = run.method.forward_pass(run, batch)
    joint = explicit_gradients(run, run.model, out.loss)
    own = [explicit_gradients(run, run.model, loss) for loss in out.head_losses]
    run.method.backward(run, out)
    names = [key for key, _ in run.model.named_parameters()]
    flat = np.array(
        [
            np.concatenate(
                [
                    g.numpy().ravel()
                    for key, g in zip(names, parts, strict=True)
                    if key.startswith("encoders")
                ]
            )
            for parts in (joint, *own)
        ]
    )
    run.generator.set_state(state)
    for i, (key, parameter) in enumerate(run.model.named_parameters()):
        if key.startswith("fusion"):
            expected = joint[i]
        elif key.startswith("heads"):
            expected = own[int(key.split(".")[1])][i]
        else:
            k = int(key.split(".")[1])
            inside = [j for j, other in enumerate(names) if other.startswith(f"encoders.{k}.")]
            pair = np.array(
                [
                    np.concatenate([parts[j].numpy().ravel() for j in inside])
                    for parts in (joint, own[k])
                ],
                float,
            )
            rows = flat.astype(float) if hyper.get("scope") == "global" else pair
            run.generator.set_state(state)
            gram = gram_of(rows)
            weight = (
                pcgrad_weights(gram, run.generator)
                if name == "pcgrad"
                else mmpareto_weights(gram, 1.2)
                if name == "mmpareto"
                else WEIGHTINGS[name](gram)
            )
            expected = (
                weight[0] * joint[i]
                + weight[1 + k if hyper.get("scope") == "global" else 1] * own[k][i]
            )
        torch.testing.assert_close(parameter.grad, expected.float(), rtol=1e-4, atol=1e-7)


def test_the_global_gramian_is_that_of_concatenated_gradients() -> None:
    rng = np.random.default_rng(0)
    sizes = (4, 5, 3)
    pairs = [rng.standard_normal((2, n)) for n in sizes]
    rows = np.zeros((4, sum(sizes)))
    rows[0] = np.concatenate([pair[0] for pair in pairs])
    for k, place in enumerate(np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])):
        rows[k + 1, place] = pairs[k][1]
    torch.testing.assert_close(
        block_gramian(torch.stack([gram_of(pair) for pair in pairs])), gram_of(rows)
    )


def test_without_conflict_mmpareto_and_pcgrad_are_linear_scalarization() -> None:
    reference = methods.create("linear_scalarization")
    runs = [
        set_up(method, noisy_means(noise=0.1))
        for method in (reference, methods.create("mmpareto", gamma=1.0), methods.create("pcgrad"))
    ]
    for run in runs:
        for block, head in zip(run.model.weight_blocks(), run.model.heads, strict=True):
            head.weight.data.copy_(
                block.detach()
            )  # the joint and the uni-modal losses now want the same of the encoders
        for batch in list(run.batches())[:3]:
            run.method.step(run, batch)
    for run in runs[1:]:
        assert run.method.report() == {"weight_joint": [1, 1], "weight_unimodal": [1, 1]}
        for a, b in zip(run.model.parameters(), runs[0].model.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_mgda_normalisation_undoes_a_change_of_scale() -> None:
    gram = gram_of(np.array([[1.0, 2, 0], [100, -50, 30]]))
    losses = torch.tensor([0.5, 2.0], dtype=torch.float64)
    s = torch.tensor([1.0, 7.0], dtype=torch.float64)
    method = MGDA(normalisation="l2")
    torch.testing.assert_close(
        method.weights(gram * s[:, None] * s, losses) * s, method.weights(gram, losses)
    )
    by_loss = MGDA(normalisation="loss").weights(gram, losses)
    assert (by_loss * losses).sum() == pytest.approx(1)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_a_stack_of_gramians_is_weighed_one_by_one(m: int) -> None:
    rows = torch.randn(5, 3, m, 6, generator=torch.Generator().manual_seed(m), dtype=torch.float64)
    grams = rows @ rows.mT
    found = min_norm_weights(grams)
    assert found.shape == (5, 3, m)
    for i in range(5):
        for j in range(3):
            torch.testing.assert_close(found[i, j], min_norm_weights(grams[i, j]))
