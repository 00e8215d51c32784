"""Rules in every engine: Gram blocks against autograd, ensembles against single runs, momentum."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim import rules
from mimo_sim._symbols import exp, largest, total
from mimo_sim.dynamics.ensemble.driver import simulate_ensemble
from mimo_sim.rules import Rule, Seen, Weights, of_network
from mimo_sim.solvers import AnySolver
from mimo_sim.testing import problems
from tests.dynamics.comparisons import FIGURE_1, METHODS, assert_identical, assert_same
from tests.dynamics.ensembles import assert_same_bytes

EVERY: list[Rule] = [
    *(rules.create(name) for name in rules.available()),
    ms.MGDA(scope="encoder"),
    ms.PCGrad(scope="encoder"),
]
WEIGHTS = ["weight_mm", "weight_uni"]
MEASURED = ["loss_mm", "excess_uni", "gap", "encoder_norm", "head_norm", "uni_head_norm"]


@pytest.mark.parametrize("rule", EVERY, ids=repr)
@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_gram_equals_autograd_while_it_learns(rule: Rule, momentum: float) -> None:
    run_settings: dict[str, Any] = {
        "steps": 150,
        "step_size": 0.05 / rule.weight_sum(2) * (1 - momentum),
        "init_scale": 0.1,
        "width": 20,
        "seed": 1,
        "weight_decay": 0.01,
        "momentum": momentum,
        "record_maps": True,
    }
    exact = ms.simulate(FIGURE_1, rule, **run_settings)
    assert exact.loss_mm[-1] < 0.8 * exact.loss_mm[0]
    reference = ms.simulate(FIGURE_1, rule, engine="autograd", **run_settings)
    assert_same(exact, reference)  # 1e-10, relative


@settings(max_examples=15)
@given(st.data())
def test_gram_equals_autograd_for_any_sizes(data: st.DataObject) -> None:
    """Losses, norms and maps. Weights of gradients that are almost parallel are ill-conditioned."""
    problem = data.draw(problems(num_modalities=st.integers(2, 3)))
    rule = data.draw(st.sampled_from(EVERY))
    run_settings: dict[str, Any] = {
        "width": data.draw(st.sampled_from((1, 3, 12))),
        "init_scale": 0.5,
        "seed": data.draw(st.integers(0, 100)),
        "steps": 15,
        "record_every": data.draw(st.sampled_from((1, 7))),
        "record_maps": True,
    }
    compared = [*MEASURED, "joint_map", "uni_map"]
    exact = ms.simulate(problem, rule, **run_settings)
    reference = ms.simulate(problem, rule, engine="autograd", **run_settings)
    assert_same(exact[compared], reference[compared])


# ------------------------ ensembles


@pytest.mark.parametrize(
    ("problem", "chosen", "momentum"),
    [
        (FIGURE_1, [ms.MGDA(), ms.MMPareto(), ms.OGM()], 0.0),
        (FIGURE_1, [ms.MMPareto()], 0.5),
        (ms.generators.random_problem((4, 2, 3), output_dim=2, seed=2), EVERY, 0.0),
        (ms.generators.random_problem((4, 2, 3), output_dim=2, seed=2), EVERY, 0.5),
    ],
    ids=["written out", "written out-momentum", "one by one", "one by one-momentum"],
)
def test_ensembles_say_what_simulate_says(
    problem: ms.LateFusionProblem, chosen: list[Rule], momentum: float
) -> None:
    run_settings: dict[str, Any] = {"step_size": 0.02, "steps": 300, "init_scale": 0.05}
    run_settings["momentum"] = momentum
    mixed: list[AnySolver] = [*chosen, ms.MIMO(2.0, 0.25), ms.Vanilla()]
    runs = simulate_ensemble(problem, mixed, record_every=50, seed=3, **run_settings)
    for i, method in enumerate(mixed):
        run = ms.simulate(problem, method, seed=3, **run_settings)
        for name in [*MEASURED, *WEIGHTS, "sigma"]:
            mine, theirs = runs[f"path_{name}"][i].values, run[name].sel(step=runs.step).values
            if name in WEIGHTS:  # later gradients become small, and their weights ill-conditioned
                mine, theirs = mine[:2], theirs[:2]
            assert (np.isnan(mine) == np.isnan(theirs)).all(), (method, name)
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-10, err_msg=name)
        assert np.isnan(runs.objective[i]) == isinstance(method, Rule)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ms.UnconvergedWarning)
            np.testing.assert_array_equal(runs.half_time[i], ms.half_times(run))


def test_hyper_parameters_belong_to_runs_and_bits_do_not_depend_on_neighbours() -> None:
    gammas = [0.5, 1.0, 2.0]
    run_settings: dict[str, Any] = {"step_size": 0.02, "steps": 100, "init_scale": 0.1}
    together = simulate_ensemble(FIGURE_1, [ms.MMPareto(gamma) for gamma in gammas], **run_settings)
    assert np.unique(together.loss_mm).size == 3
    for i, gamma in enumerate(gammas):
        alone = simulate_ensemble(FIGURE_1, ms.MMPareto(gamma), **run_settings)
        assert_same_bytes(together.isel(run=[i]), alone)


def test_a_rule_converges_by_its_residuals() -> None:
    run_settings: dict[str, Any] = {"step_size": 0.02, "steps": 6400, "init_scale": 0.1}
    done, stalled = simulate_ensemble(
        FIGURE_1, [ms.MMPareto(), ms.MGDA()], tolerance=1e-3, **run_settings
    ).status.values
    assert (done, stalled) == (1, 0)


@pytest.mark.parametrize("rule", EVERY, ids=repr)
def test_weights_are_numbers_where_gradients_vanish(rule: Rule) -> None:
    """At the saddle; without anything to learn; and where each input alone explains everything."""
    zeros = [(np.zeros((1, 2)), np.zeros((1, 2)), np.zeros((2, 1)))] * 2
    nothing = ms.LateFusionProblem([[1, 0.5], [0.5, 1]], [0.0, 0.0], 1.0)
    twins = ms.LateFusionProblem([[1, 1], [1, 1]], [1.0, 1.0], 1.0)
    for problem, initial in ((FIGURE_1, zeros), (nothing, None), (twins, None)):
        run = ms.simulate(
            problem, rule, steps=4000, step_size=0.02, init_scale=0.1, initial=initial
        )
        for name in ("encoder_norm", "loss_mm", *WEIGHTS):
            assert np.isfinite(run[name]).all(), name


# ------------------------ one's own rule


@dataclass(frozen=True)
class Handmade(Rule):
    """MIMO with heads="gradient", as a rule."""

    lam: float = 2.0
    mu: float = 0.25
    name: ClassVar[str] = "handmade"

    def weight_sum(self, num_modalities: int) -> float:
        return 1 + self.lam

    def weights(self, seen: Seen) -> Weights:
        top = largest(seen.excess)
        raw = [exp((each - top) / self.mu) for each in seen.excess]
        return of_network(1.0, [self.lam * each / total(raw) for each in raw])


def test_mimo_written_as_a_rule_is_mimo() -> None:
    run_settings: dict[str, Any] = {"step_size": 0.02, "steps": 200, "init_scale": 0.1}
    own = ms.simulate(FIGURE_1, Handmade(), **run_settings)
    mimo = ms.simulate(FIGURE_1, ms.MIMO(2.0, 0.25), **run_settings)
    for name in [*MEASURED, *WEIGHTS, "grad_norm_sq"]:
        np.testing.assert_allclose(own[name], mimo[name], rtol=1e-10, atol=1e-13, err_msg=name)


# ------------------------ momentum


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_momentum_is_that_of_the_whole_network(method: AnySolver) -> None:
    run_settings: dict[str, Any] = {
        "steps": 150,
        "step_size": 0.01,
        "init_scale": 0.1,
        "width": 20,
        "weight_decay": 0.02,
        "momentum": 0.8,
    }
    exact = ms.simulate(FIGURE_1, method, **run_settings)
    assert exact.loss_mm[-1] < 0.8 * exact.loss_mm[0]
    assert_same(exact, ms.simulate(FIGURE_1, method, engine="autograd", **run_settings))


def test_momentum_takes_effect_and_zero_is_plain_descent() -> None:
    run_settings: dict[str, Any] = {"steps": 50, "step_size": 0.02, "init_scale": 0.1}
    plain = ms.simulate(FIGURE_1, ms.Vanilla(), **run_settings)
    assert_identical(plain, ms.simulate(FIGURE_1, ms.Vanilla(), momentum=0.0, **run_settings))
    pushed = ms.simulate(FIGURE_1, ms.Vanilla(), momentum=0.5, **run_settings)
    assert pushed.loss_mm[-1] < plain.loss_mm[-1]
    assert pushed.attrs["momentum"] == 0.5
    assert_identical(pushed, ms.rerun(pushed))


# ------------------------ records and refusals


@pytest.mark.parametrize(
    "rule",
    [
        ms.MGDA(scope="encoder"),
        ms.GBlending((0.2, 0.3, 0.5)),
        ms.OGM(np.float32(0.5)),  # type: ignore[arg-type]
        ms.LinearScalarization((np.int64(1), 2)),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_a_run_of_a_rule_is_repeated_from_its_attributes(rule: Rule) -> None:
    run = ms.simulate(FIGURE_1, rule, steps=20, step_size=0.02, momentum=0.3)
    assert run.attrs["method"] == rule.name
    assert rules.create(rule.name).hyper().keys() == json.loads(run.attrs["hyper"]).keys()
    assert_identical(run, ms.rerun(run))
    assert np.isnan(run.objective).all()
    assert np.isnan(run.sigma).all()


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"method": "mgda"}, TypeError, "`method` must be mimo_sim.Vanilla.* or a rule"),
    ({"method": ms.LinearScalarization((1.0, 2.0, 3.0))}, ValueError, "`weight` must hold one"),
    ({"engine": "flow"}, ValueError, "`engine` must be one of"),
    ({"momentum": 1.0}, ValueError, r"`momentum` must be in \[0, 1\)"),
    ({"momentum": -0.1}, ValueError, "`momentum` must be finite and >= 0"),
    ({"method": ms.Vanilla(), "engine": "flow", "momentum": 0.5}, ValueError, "discrete steps"),
    ({"engine": "autograd", "width": float("inf")}, ValueError, "`width` must be finite"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD, ids=[str(each) for each, *_ in BAD])
def test_bad_input_is_named(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments: dict[str, Any] = {"method": ms.MGDA(), "steps": 1} | change
    with pytest.raises(error, match=message):
        ms.simulate(FIGURE_1, arguments.pop("method"), **arguments)


def test_other_simulations_refuse_rules() -> None:
    with pytest.raises(TypeError, match="rules are simulated in late fusion only"):
        ms.dynamics.simulate_early(FIGURE_1, ms.MGDA(), steps=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`weight` must hold one number per modality"):
        simulate_ensemble(FIGURE_1, ms.LinearScalarization((1.0, 2.0, 3.0)), steps=1)


def test_a_diverging_rule_says_which_step_is_safe() -> None:
    with pytest.raises(ms.DivergenceError, match="default_step_size"):
        ms.simulate(FIGURE_1, ms.MMPareto(), step_size=5.0, steps=100, init_scale=0.5)
