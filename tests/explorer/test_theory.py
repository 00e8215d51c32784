"""The closed forms in the page against `ms.theory`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mimo_sim as ms
from mimo_sim.theory.mimo import initial_sigma
from tests.explorer import v8

SETTINGS = [each for each in v8.random_settings(90, seed=3) if not each["vanilla"]]
TIES = [
    v8.FIGURE_1 | {"contrast": 1.0},
    v8.FIGURE_1 | {"contrast": 1.0, "explained": 1.0},
    v8.FIGURE_1 | {"contrast": 1.0, "explained": 1.0, "rho": 0.5},
    v8.FIGURE_1 | {"contrast": 3.0, "explained": 1 / 9, "rho": -0.9},  # B must turn round
]


def page_and_python(settings: dict[str, Any]) -> tuple[dict[str, Any], ms.LateFusionProblem, Any]:
    return v8.call("makeProblem", settings), v8.problem(settings), v8.solver(settings)


def close(here: Any, there: Any) -> None:
    np.testing.assert_allclose(v8.numbers(here), np.array(there, dtype=float), rtol=1e-9)


@pytest.mark.parametrize("number", range(0, 60, 20))
def test_the_problem_has_the_moments_that_the_sliders_say(number: int) -> None:
    for settings in SETTINGS[number : number + 20]:
        page, problem, _ = page_and_python(settings)
        close(page["moment"], problem.input_moment)
        close(page["cross"], problem.cross_moment[0])
        close(page["joint"], problem.joint_map[0])
        close(page["alone"], np.ravel(problem.unimodal_maps))
        close(page["optima"], problem.unimodal_optima)
        assert problem.joint_optimum == pytest.approx(0.0, abs=1e-12)
        report = ms.theory.superficial_preference(problem)
        close(page["cross"][0] / page["cross"][1], settings["contrast"])
        close(report.explained[1] / report.explained[0], settings["explained"])


@pytest.mark.parametrize("settings", [*SETTINGS, *TIES], ids=lambda each: f"{each['contrast']:.3g}")
def test_every_closed_form_is_that_of_the_package(settings: dict[str, Any]) -> None:
    page, problem, solver = page_and_python(settings)
    mimo = v8.call("mimoOf", settings)
    scale, lam, mu, heads = (settings[name] for name in ("scale", "lam", "mu", "heads"))
    theory = ms.theory

    report = theory.superficial_preference(problem)
    found = v8.call("preference", page)
    assert found["holds"] == report.holds
    if settings not in TIES:  # in a tie rounding decides which is called the first
        assert (found["first"], found["most"]) == (report.first_learned, report.most_explaining)
        close(v8.call("mimoLearningTimes", page, lam), theory.mimo_learning_times(problem, lam))
        close(v8.call("mimoLearningTimes", page, 0), theory.mimo_learning_times(problem, 0))
    close(v8.call("learningTimes", page, scale), theory.learning_times(problem, scale))
    close(v8.call("learningTimes", page), theory.learning_times(problem))
    close(v8.call("initialSigma", page, mimo), initial_sigma(problem, mu, solver.f_star))
    rates = theory.growth_rates(problem, lam, mu, heads=heads, f_star=solver.f_star)
    close(v8.call("growthRates", page, mimo), rates)
    for smoothing in (mu, 0.0):
        threshold = theory.order_threshold(problem, smoothing, heads=heads)
        close(v8.call("orderThreshold", page, smoothing, heads), threshold)
    joint = theory.final_encoder_norms(problem, ms.Vanilla())
    close(v8.call("finalEncoderNorms", page, 0), joint)
    both = theory.final_encoder_norms(problem, ms.MIMO(lam, mu))
    close(v8.call("finalEncoderNorms", page, lam), both)
    for one, other in ((mimo, solver), (VANILLA, ms.Vanilla(heads="plain"))):
        start = 3 * scale**2
        curvature = theory.smoothness(problem, other, init_norm_squared=start)
        close(v8.call("smoothness", page, one, scale), curvature)
    close(
        v8.call("chatteringThreshold", page, lam, mu), theory.chattering_threshold(problem, lam, mu)
    )


VANILLA = {"name": "vanilla", "lam": 0, "mu": 1, "rule": "exact", "heads": "plain"}


def test_the_drawn_times_are_those_of_figure_1() -> None:
    predicted = v8.call("predict", v8.call("makeProblem", v8.FIGURE_1), v8.FIGURE_1)
    problem = v8.problem(v8.FIGURE_1)
    eta, unit = v8.FIGURE_1["eta"], np.log(1e9)
    close(predicted["vanilla"]["times"], ms.theory.learning_times(problem, 1e-9) / eta)
    close(predicted["mimo"]["times"], ms.theory.mimo_learning_times(problem, 10.0) * unit / eta)
    assert predicted["vanilla"]["plateau"] == pytest.approx(0.64)
    assert predicted["threshold"] == pytest.approx(2.0156, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "known"),
    [
        ({"rule": "zero"}, [True, False]),  # A grows fastest; nothing is known of B
        ({"rule": "exact", "heads": "plain"}, [False, True]),
        ({"contrast": 1.0, "explained": 1.0}, [True, True]),  # no gap leads: both at one rate
    ],
)
def test_a_time_is_drawn_only_where_a_law_covers_it(
    change: dict[str, Any], known: list[bool]
) -> None:
    settings = v8.FIGURE_1 | change
    times = v8.call("emergence", v8.call("makeProblem", settings), v8.call("mimoOf", settings))
    assert np.isfinite(v8.numbers(times)).tolist() == known
    solver = v8.solver(settings)
    rates = ms.theory.growth_rates(
        v8.problem(settings),
        solver.lam,
        solver.mu,
        heads=settings["heads"],
        f_star=settings["rule"],
    )
    close(v8.numbers(times)[known], 1 / rates[known])
