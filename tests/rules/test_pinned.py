"""Weights of the rules have not changed by mistake (:mod:`tests.pinned`), at any scale."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import mimo_sim as ms
from mimo_sim.rules import Rule, Seen, Weights
from mimo_sim.rules._base import lines
from tests.pinned import Case, difference, kept, plain
from tests.rules.test_rules import EVERY, drawn

RELATIVE = 1e-9
# Compiled code divides by zero as NumPy's numbers do.
pytestmark = pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")
PRODUCTS = ("joint_head", "joint", "cross", "own", "own_head")
# Of two modalities only.
PAIRS: list[Rule] = [ms.GBlending((0.2, 0.3, 0.5)), ms.LinearScalarization((0.4, 2.0))]


def at_scale(seen: Seen, scale: float) -> Seen:
    """The same gradients in other units."""
    changed = {name: [scale * np.float64(x) for x in getattr(seen, name)] for name in PRODUCTS}
    return Seen(**(vars(seen) | changed))


def degenerate(seen: Seen) -> list[Seen]:
    """No gradient, one gradient, equal ones, opposite ones, and one that is the other in part."""
    one = [np.float64(x) for x in seen.joint]
    zero = [np.float64(0.0)] * len(one)
    cases = []
    for joint, cross, own in (
        (zero, zero, zero),
        (zero, zero, one),
        (one, zero, zero),
        (one, one, one),
        (one, [-x for x in one], one),
        (one, [x / 2 for x in one], [x / 4 for x in one]),
        (one, [-2 * x for x in one], [4 * x for x in one]),
    ):
        cases.append(Seen(**(vars(seen) | {"joint": joint, "cross": cross, "own": own})))
    return cases


def numbers(rule: Rule) -> dict[str, Any]:
    sizes = [2] if rule in PAIRS else [2, 3]
    found: dict[str, Any] = {
        "sums": [rule.weight_sum(K) for K in sizes],
        "parameters": rule.parameters(),
        "reads": [sorted(lines(rule.structure(), K)[1]) for K in sizes],
    }
    for K in sizes:
        for seed in range(3):
            seen, _ = drawn(seed, K)
            found[f"K={K}, {seed}"] = values(rule.weights(seen))
        for i, special in enumerate(degenerate(drawn(7, K)[0])):
            found[f"K={K}, special {i}"] = values(rule.weights(special))
    return found


def values(weights: Weights) -> list[Any]:
    return [np.asarray(each, dtype=float) for each in weights]


CASES: dict[str, Case] = {repr(rule): functools.partial(numbers, rule) for rule in EVERY + PAIRS}
PINNED = kept("rules/pinned")


@pytest.mark.parametrize("case", PINNED)
def test_a_rule_weighs_as_it_did(case: str) -> None:
    assert case in CASES, "renew the file: python -m tests.pinned"
    assert not difference(PINNED[case], plain(CASES[case]()), RELATIVE)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
@pytest.mark.parametrize(
    "rule", [rule for rule in EVERY if not isinstance(rule, ms.STCH)], ids=repr
)
def test_the_unit_of_the_gradients_does_not_matter(rule: Rule, scale: float) -> None:
    for seed in range(5):
        seen, _ = drawn(seed, 2)
        for case in (seen, *degenerate(seen)[2:]):
            mine, theirs = rule.weights(at_scale(case, scale)), rule.weights(case)
            for one, other in zip(values(mine), values(theirs), strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_the_last_given_weight_is_that_of_the_joint_loss() -> None:
    found = ms.GBlending((0.2, 0.3, 0.5)).weights(drawn(0)[0])
    assert found == ([0.5, 0.5], (0.2, 0.3), (0.2, 0.3), 0.5)


def test_ends_of_the_ranges_are_allowed() -> None:
    for rule in (
        ms.CAGrad(c=0.0),
        ms.CAGrad(c=1 - 1e-9),
        ms.OGM(alpha=0.0),
        ms.GradNorm(alpha=0.0),
        ms.LinearScalarization(0.0),
        ms.LinearScalarization((0.0, 0.0)),
        ms.GBlending((0.0, 0.0, 0.0)),
        ms.MMPareto(gamma=1e-9),
        ms.STCH(mu=1e-9),
    ):
        rule.check_modalities(2)
    ms.GBlending().check_modalities(7)
    ms.OGM().check_modalities(3)
