"""Rules against their definitions on vectors, and against the methods for networks."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

import mimo_sim as ms
from mimo_sim import rules
from mimo_sim.methods.cagrad import cagrad_weights
from mimo_sim.methods.mgda import min_norm_weights
from mimo_sim.methods.mmpareto import mmpareto_weights
from mimo_sim.methods.pcgrad import pcgrad_weights
from mimo_sim.rules import Rule, Seen
from mimo_sim.rules._base import lines

EVERY: list[Rule] = [
    *(rules.create(name) for name in rules.available()),
    ms.MGDA(scope="encoder"),
    ms.PCGrad(scope="encoder"),
    ms.CAGrad(c=0.0),
    ms.CAGrad(c=0.9, rescale="none"),
    ms.OGM(alpha=0.0),
    ms.GradNorm(alpha=0.0),
]


def drawn(seed: int, K: int = 2) -> tuple[Seen, list[np.ndarray]]:
    """What a rule sees, and K + 1 gradients with these products.

    Of f_mm: all V, all W. Of f_k: U_k, W_k.
    """
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-1, 1, 4)
    v, u, a, b = (s * rng.standard_normal((K, 3)) for s in scale)  # by V, by U, by W of both
    seen = Seen(
        excess_mm=rng.uniform(0.1, 2),
        optimum_mm=rng.uniform(0, 1),
        start=3.0,
        excess=list(rng.uniform(0.1, 2, K)),
        optimum=list(rng.uniform(0, 1, K)),
        explained=list(rng.uniform(-0.5, 2, K)),
        joint_head=(v * v).sum(1),
        joint=(a * a).sum(1),
        cross=(a * b).sum(1),
        own=(b * b).sum(1),
        own_head=(u * u).sum(1),
    )
    nothing = np.zeros((K, 3))
    gradients = [np.concatenate([v, nothing, a]).ravel()]
    for k in range(K):
        here = np.eye(K)[k][:, None]
        gradients.append(np.concatenate([nothing, here * u, here * b]).ravel())
    return seen, gradients


SEEDS = st.integers(0, 10_000)


# ------------------------ over the network


@given(SEEDS, st.integers(1, 4))
def test_mgda_finds_the_shortest_convex_combination(seed: int, K: int) -> None:
    """The condition of optimality: no gradient has a smaller product with it than its square."""
    seen, gradients = drawn(seed, K)
    found = ms.MGDA().weights(seen)
    alpha = np.array([found.joint_head, *found.uni])
    assert (alpha >= 0).all()
    assert math.isclose(alpha.sum(), 1)
    shortest = alpha @ np.array(gradients)
    square = shortest @ shortest
    assert (np.array(gradients) @ shortest >= square * (1 - 1e-9)).all()
    exact = min_norm_weights(torch.tensor(np.array(gradients) @ np.array(gradients).T))
    other = exact.numpy() @ np.array(gradients)
    np.testing.assert_allclose(square, other @ other, rtol=1e-6)


@given(SEEDS, st.integers(1, 4))
def test_pcgrad_is_the_sum_of_projected_gradients(seed: int, K: int) -> None:
    seen, gradients = drawn(seed, K)
    order = [*range(1, K + 1), 0]  # the joint gradient last
    expected = np.zeros_like(gradients[0])
    for i, one in enumerate(gradients):
        left = one.copy()
        for j in order:
            against = left @ gradients[j]
            if j != i and against < 0:
                left -= against / (gradients[j] @ gradients[j]) * gradients[j]
        expected += left
    found = ms.PCGrad().weights(seen)
    combined = np.array([found.joint_head, *found.uni]) @ np.array(gradients)
    np.testing.assert_allclose(combined, expected, rtol=1e-9, atol=1e-9)


@given(SEEDS, st.floats(0.05, 2))
def test_stch_is_the_gradient_of_its_objective(seed: int, mu: float) -> None:
    seen, _ = drawn(seed)
    gaps = torch.tensor([seen.excess_mm, *seen.excess], requires_grad=True)
    torch.autograd.backward(mu * torch.logsumexp(gaps / mu, 0))
    found = ms.STCH(mu=mu).weights(seen)
    assert gaps.grad is not None
    np.testing.assert_allclose([found.joint_head, *found.uni], gaps.grad, rtol=1e-10, atol=1e-14)


@given(SEEDS, st.floats(0, 2))
def test_gradnorm_makes_weighted_gradients_as_long_as_their_losses_ask(
    seed: int, alpha: float
) -> None:
    seen, gradients = drawn(seed)
    found = ms.GradNorm(alpha=alpha).weights(seen)
    weights = np.array([found.joint_head, *found.uni])
    shared = [gradient[-6:] for gradient in gradients]  # the encoders
    length = weights * [np.linalg.norm(each) for each in shared]
    losses = np.array(
        [
            seen.optimum_mm + seen.excess_mm,
            *np.add(seen.optimum, seen.excess),
        ]
    )
    target = (losses / seen.start) ** alpha
    np.testing.assert_allclose(length / length[0], target / target[0], rtol=1e-10)
    assert math.isclose(weights.sum(), 3)


@given(SEEDS)
def test_blending_weighs_by_what_each_branch_gains(seed: int) -> None:
    seen, gradients = drawn(seed)
    found = ms.GBlending().weights(seen)
    gains = np.array([gradient @ gradient for gradient in gradients])
    np.testing.assert_allclose([found.joint_head, *found.uni], gains / gains.sum(), rtol=1e-10)


@given(SEEDS, st.just(0.0) | st.floats(1e-3, 3))  # where a score is 0, any of them is a full stop
def test_ogm_holds_back_the_better_modality(seed: int, alpha: float) -> None:
    seen, _ = drawn(seed)
    first, second = (max(each, 1e-30) for each in seen.explained)
    kappa = ms.OGM(alpha=alpha).weights(seen).joint
    better = 0 if first > second else 1
    ratio = max(first, second) / min(first, second)
    if ratio > 1:
        assert math.isclose(kappa[better], 1 - math.tanh(alpha * ratio), abs_tol=1e-12)
    assert kappa[1 - better] == 1.0


# ------------------------ per encoder, as the methods for networks


@pytest.mark.parametrize(
    ("rule", "of_network"),
    [
        (ms.MGDA(scope="encoder"), min_norm_weights),
        (ms.PCGrad(scope="encoder"), pcgrad_weights),
        (ms.CAGrad(c=0.4), lambda gram: cagrad_weights(gram, 0.4) / 1.16),
        (ms.CAGrad(c=0.7, rescale="none"), lambda gram: cagrad_weights(gram, 0.7)),
        (ms.MMPareto(gamma=1.2), lambda gram: mmpareto_weights(gram, 1.2)),
    ],
    ids=["mgda", "pcgrad", "cagrad", "cagrad, not rescaled", "mmpareto"],
)
@given(seed=SEEDS)
def test_encoder_rules_are_those_of_networks(rule: Rule, of_network: Any, seed: int) -> None:
    seen, _ = drawn(seed)
    found = rule.weights(seen)
    for k in range(2):
        gram = [[seen.joint[k], seen.cross[k]], [seen.cross[k], seen.own[k]]]
        expected = of_network(torch.tensor(gram, dtype=torch.float64)).numpy()
        np.testing.assert_allclose([found.joint[k], found.uni[k]], expected, rtol=1e-9, atol=1e-12)
    assert found.joint_head == 1.0
    assert list(found.uni_head) == [1.0, 1.0]


@given(SEEDS)
def test_cagrad_minimises_what_it_says(seed: int) -> None:
    """Its direction is g_0 plus the ball's radius along the g_w that minimises the dual."""
    seen, _ = drawn(seed)
    u, cross, g = seen.joint[0], seen.cross[0], seen.own[0]
    gram = np.array([[u, cross], [cross, g]])
    mean, c = np.array([0.5, 0.5]), 0.5

    def dual(w: Any) -> float:
        pair = np.array([w[0], 1 - w[0]])
        return float(
            pair @ gram @ mean + c * math.sqrt(mean @ gram @ mean) * math.sqrt(pair @ gram @ pair)
        )

    best = min(dual(each) for each in np.linspace(0, 1, 201)[:, None])
    best = min(best, float(minimize(dual, [0.5], bounds=[(0, 1)]).fun))
    found = ms.CAGrad(c=c, rescale="none").weights(seen)
    pair = np.array([found.joint[0], found.uni[0]]) - mean
    assert dual([pair[0] / pair.sum()]) <= best + 1e-7 * abs(best)


# ------------------------ all of them


@pytest.mark.parametrize("rule", EVERY, ids=repr)
@given(seed=SEEDS, K=st.integers(2, 4))
def test_compiled_lines_equal_the_rule(rule: Rule, seed: int, K: int) -> None:
    seen, _ = drawn(seed, K)
    found = rule.weights(seen)
    program, _ = lines(rule.structure(), K)
    scope: dict[str, Any] = {"sqrt": math.sqrt, "exp": math.exp}
    for name, value in vars(seen).items():
        if np.ndim(value):
            scope |= {f"seen_{name}{k}": float(each) for k, each in enumerate(value)}
        else:
            scope[f"seen_{name}"] = float(value)
    scope |= {f"parameter{i}": value for i, value in enumerate(rule.parameters())}
    exec("\n".join(program), scope)
    for name in ("joint", "uni", "uni_head"):
        made = [scope[f"weight_{name}{k}"] for k in range(K)]
        np.testing.assert_allclose(made, np.array(getattr(found, name), dtype=float), rtol=1e-12)
    assert math.isclose(scope["weight_joint_head"], found.joint_head, rel_tol=1e-12)


@pytest.mark.parametrize("rule", EVERY, ids=repr)
def test_rules_are_frozen_values(rule: Rule) -> None:
    assert pickle.loads(pickle.dumps(rule)) == rule == replace(rule)
    assert hash(rule) == hash(replace(rule))
    assert rule.structure().num_parameters == len(rule.parameters())
    assert rules.create(rule.name, **rule.hyper()) == rule
    assert rule.about
    assert rule.weight_sum(2) > 0
    with pytest.raises(AttributeError):
        rule.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError, match="is a solver of the toy"):
        rule(1.0)


BAD: list[tuple[Any, type[Exception], str]] = [
    (lambda: ms.LinearScalarization(-1.0), ValueError, "`weight` must be finite and >= 0"),
    (lambda: ms.LinearScalarization((1.0, math.nan)), ValueError, "`weight`"),
    (lambda: ms.LinearScalarization("one"), TypeError, "`weight` must be a number"),  # type: ignore[arg-type]
    (lambda: ms.MGDA("whole"), ValueError, "`scope` must be one of"),  # type: ignore[arg-type]
    (lambda: ms.PCGrad("encoders"), ValueError, "`scope`.*Did you mean 'encoder'"),  # type: ignore[arg-type]
    (lambda: ms.CAGrad(c=1.0), ValueError, r"`c` must be in \[0, 1\)"),
    (lambda: ms.CAGrad(rescale="c3"), ValueError, "`rescale` must be one of"),  # type: ignore[arg-type]
    (lambda: ms.MMPareto(gamma=0.0), ValueError, "`gamma` must be finite and > 0"),
    (lambda: ms.OGM(alpha=-0.1), ValueError, "`alpha`"),
    (lambda: ms.GradNorm(alpha=math.inf), ValueError, "`alpha`"),
    (lambda: ms.STCH(mu=0.0), ValueError, "`mu` must be finite and > 0"),
    (lambda: ms.GBlending(0.5), TypeError, r"`given` must be K \+ 1 numbers or None"),  # type: ignore[arg-type]
    (lambda: ms.GBlending((0.5, -1.0)), ValueError, "`given` must be finite and >= 0"),
    (lambda: rules.create("mgd"), ValueError, "`rule` must be one of .* Did you mean 'mgda'"),
    (lambda: rules.create("mgda", scop="x"), TypeError, "hyper-parameters .* Did you mean 'scope'"),
    (
        lambda: ms.LinearScalarization((1.0, 2.0, 3.0)).check_modalities(2),
        ValueError,
        r"`weight` must hold one number per modality \(2\)",
    ),
    (
        lambda: ms.GBlending((0.5, 0.5)).check_modalities(2),
        ValueError,
        r"`given` must hold K \+ 1 = 3 numbers",
    ),
    (lambda: ms.OGM().check_modalities(1), ValueError, "`OGM` .* needs two or more. Got 1"),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD, ids=[words for *_, words in BAD])
def test_bad_hyper_parameters_are_named(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
