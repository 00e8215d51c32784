"""Growth rates and time ratios under rules, against simulation; and what is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim import theory
from mimo_sim.rules import Rule, Seen, Weights, of_network
from mimo_sim.studies.race import ratio_pair
from paper_checks.rule_growth import ALLOWED, measurable, measured_rates
from tests.theory.shared import FIGURE_1

SCALARS = ms.testing.problems(dims=1, output_dim=1, num_modalities=2)
# MGDA and the rules per encoder are measured by claims of the ledger.
RULES: list[Rule] = [
    ms.LinearScalarization(0.5),
    ms.LinearScalarization((2.0, 0.25)),
    ms.PCGrad(),
    ms.GradNorm(),
    ms.GradNorm(alpha=0.0),
    ms.STCH(mu=0.3),
    ms.GBlending((0.2, 0.3, 0.5)),
]


@pytest.mark.parametrize("rule", RULES, ids=repr)
@settings(max_examples=15)
@given(problem=SCALARS)
def test_encoders_grow_at_the_rates_of_the_law(rule: Rule, problem: ms.LateFusionProblem) -> None:
    assume(measurable(problem))
    law = theory.rule_growth_rates(problem, rule)
    grown = law > law.max() / 3  # the slower ones had no time for their mode to be alone
    np.testing.assert_allclose(measured_rates(problem, rule)[grown], law[grown], rtol=ALLOWED)


@pytest.mark.parametrize("ratio", [1.3, 1.6, 2.5, 4.0])
def test_ogm_holds_both_modalities_at_one_rate(ratio: float) -> None:
    """Below a ratio of 1.73 by flipping: then the rate is a mean, known to a part of the step."""
    problem = ratio_pair(ratio, 1.5, 0.3)
    law = theory.rule_growth_rates(problem, ms.OGM())
    assert law[0] == law[1] <= theory.correlations(problem).min()
    flipping = ratio**-2 > 1 - math.tanh(0.8)
    found = measured_rates(problem, ms.OGM())
    np.testing.assert_allclose(found, law, rtol=5e-3 if flipping else ALLOWED)


def test_blending_widens_the_gap_of_the_rates() -> None:
    problem = ratio_pair(2.0, 1.5, 0.0)
    law = theory.rule_growth_rates(problem, ms.GBlending())
    assert math.isclose(law[0] / law[1], 2 * math.sqrt(2), rel_tol=1e-12)
    np.testing.assert_allclose(measured_rates(problem, ms.GBlending()), law, rtol=ALLOWED)


def test_laws_hold_for_many_inputs_and_outputs() -> None:
    problem = ms.generators.random_problem((3, 4), output_dim=2, seed=1)
    for rule in (ms.MGDA(), ms.GradNorm(), ms.MMPareto()):
        np.testing.assert_allclose(
            measured_rates(problem, rule), theory.rule_growth_rates(problem, rule), rtol=1e-4
        )


def test_equal_correlations_have_closed_forms() -> None:
    """x = w / p is 2 for MGDA and 2^(1/4) for GradNorm when K = 2."""
    problem = ratio_pair(1.0, 1.5, 0.0)
    c = theory.correlations(problem)
    x = 2 ** (1 / 4)
    np.testing.assert_allclose(
        theory.rule_growth_rates(problem, ms.MGDA()), c * math.sqrt(5) / 5, rtol=1e-9
    )
    np.testing.assert_allclose(
        theory.rule_growth_rates(problem, ms.GradNorm()),
        3 * c * math.sqrt(1 + x * x) / (1 + 2 * x),
        rtol=1e-9,
    )


@given(st.floats(1.1, 5), st.floats(0.5, 4), st.floats(-0.9, 0.9))
def test_scalarization_shortens_the_wait_exactly_when_a_has_taken_from_b(
    louder: float, more: float, rho: float
) -> None:
    problem = ratio_pair(louder, more, rho)
    left = abs(1 - rho / math.sqrt(more))  # |D| / |C_B|
    assume(abs(left - 1) > 1e-6 and left > 1e-6 and rho < math.sqrt(more))
    summed, joint = theory.scalarization_time_ratio(problem), theory.time_ratio(problem)
    assert summed > 1
    assert (summed < joint) == (left < 1)
    assert math.isclose(theory.scalarization_time_ratio(problem, 1e-9), joint, rel_tol=1e-6)


@dataclass(frozen=True)
class Unknown(Rule):
    """A rule that theory has no law for."""

    def weight_sum(self, num_modalities: int) -> float:
        return 2.0

    def weights(self, seen: Seen) -> Weights:
        return of_network(2.0, [0.0 for _ in seen.modalities])


BAD: list[tuple[Any, str]] = [
    (lambda: theory.rule_growth_rates(FIGURE_1, Unknown()), "No law is known for the rule"),
    (
        lambda: theory.rule_growth_rates(
            ms.LateFusionProblem([[1, 0], [0, 1]], [1, 0], 1.0), ms.MGDA()
        ),
        "Every modality must correlate with the target",
    ),
    (
        lambda: theory.rule_growth_rates(ms.generators.random_problem((1, 1, 1), seed=1), ms.OGM()),
        "OGM's growth is known for two modalities. Got num_modalities=3",
    ),
    (
        lambda: theory.rule_growth_rates(FIGURE_1, ms.LinearScalarization((1.0, 1.0, 1.0))),
        "`weight` must hold one number per modality",
    ),
    (lambda: theory.scalarization_time_ratio(FIGURE_1, 0.0), "`weight` must be finite and > 0"),
    (
        lambda: theory.scalarization_time_ratio(ms.generators.random_problem((1, 1, 1), seed=1)),
        "num_modalities=3",
    ),
]


@pytest.mark.parametrize(("ask", "words"), BAD, ids=[words for _, words in BAD])
def test_what_no_law_covers_is_refused(ask: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ask()


@pytest.mark.parametrize("rule", [ms.MGDA(), ms.OGM(), ms.STCH()], ids=repr)
def test_summary_and_default_steps_know_rules(rule: Rule) -> None:
    said = theory.summary(FIGURE_1, rule)
    assert said["growth_rates"] == theory.rule_growth_rates(FIGURE_1, rule).tolist()
    assert said["default_step_size"] == theory.default_step_size(FIGURE_1, rule) > 0
    assert theory.summary(FIGURE_1, Unknown())["growth_rates"] is None


def test_steps_shrink_with_the_weights_and_with_mu() -> None:
    def step(rule: Rule) -> float:
        return theory.default_step_size(FIGURE_1, rule)

    assert math.isclose(step(ms.MMPareto(gamma=2.0)), step(ms.MMPareto(gamma=1.0)) / 2)
    assert step(ms.STCH(mu=0.01)) < step(ms.STCH(mu=0.1)) < step(ms.MGDA())
