"""The pictures of the lessons: axes are labelled, no text lies on another, and they are true."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import mimo_sim as ms
from mimo_sim import course
from tests.plots.texts import refuse_overlapping_texts

PROBLEM = ms.generators.superficial_preference(names=("A", "B"))
REPORT = ms.theory.superficial_preference(PROBLEM)
SETTINGS: dict[str, Any] = {"step_size": 1e-3, "steps": 30_000, "init_scale": 1e-9}


@pytest.fixture(scope="module")
def joint() -> xr.Dataset:
    return ms.simulate(PROBLEM, ms.Vanilla(heads="plain"), record_every=10, **SETTINGS)


@pytest.fixture(scope="module")
def mimo() -> xr.Dataset:
    return ms.simulate(PROBLEM, ms.MIMO(), record_every=10, **SETTINGS)


@pytest.fixture(scope="module")
def sweep() -> xr.Dataset:
    return course.sweep_penalties(PROBLEM, [0.5, 0.8, 1.25, 2.0], step_size=1e-3, steps=30_000)


def plot(ax: Any) -> None:
    ax.plot([0, 1], [0, 1])
    ax.set(xlabel="x", ylabel="y")


EVIDENCE = SimpleNamespace(plot=plot, verdict="holds", words="because")
CLAIMS = [
    SimpleNamespace(topic=topic, recorded=verdict)
    for topic in ("1 Toy", "2 Penalty")
    for verdict in ("holds", "refuted", "needs data")
]

DRAWN: dict[str, Callable[[xr.Dataset, xr.Dataset, xr.Dataset], Figure]] = {
    "conditions": lambda joint, mimo, sweep: course.draw_conditions(REPORT),
    "waiting": lambda joint, mimo, sweep: course.draw_waiting(
        joint, ms.theory.learning_times(PROBLEM, 1e-9), REPORT.correlation
    ),
    "smoothing": lambda joint, mimo, sweep: course.draw_smoothing(),
    "race": lambda joint, mimo, sweep: course.draw_race(joint, mimo, last_step=6000),
    "weights": lambda joint, mimo, sweep: course.draw_weights(mimo, last_step=6000),
    "sweep": lambda joint, mimo, sweep: course.draw_sweep(sweep),
    "plateau": lambda joint, mimo, sweep: course.draw_plateau({0.0: joint, 10.0: mimo}, 0.1),
    "chattering": lambda joint, mimo, sweep: course.draw_chattering(
        {"calm": mimo, "not calm": mimo}, [np.full(50, 1e-12), np.geomspace(1e-12, 1, 50)]
    ),
    "accuracies": lambda joint, mimo, sweep: course.draw_accuracies(
        {"joint training": np.full((5, 4), 0.5).tolist(), "MIMO": np.full((5, 4), 0.7).tolist()}
    ),
    "answers": lambda joint, mimo, sweep: course.draw_answers(
        {"joint": [0.8, 0.1, 0.8], "alone": [np.nan, 0.3, 0.8]}, chance=0.02
    ),
    "ledger": lambda joint, mimo, sweep: course.draw_ledger(CLAIMS),
    "bounds": lambda joint, mimo, sweep: course.draw_bounds(EVIDENCE, {0.3: mimo}, 0.0),
    "objectives": lambda joint, mimo, sweep: course.draw_objectives({1.0: mimo}, 0.0),
    "sign": lambda joint, mimo, sweep: course.draw_sign(EVIDENCE, joint, 8.0, 12.0),
    "minima": lambda joint, mimo, sweep: course.draw_minima(
        np.linspace(1, 0.5, 9), {"all 64": np.full(9, 0.5)}, EVIDENCE
    ),
    "ratios": lambda joint, mimo, sweep: course.draw_ratios(
        {"said": (20.0, np.nan, np.nan), "measured": (8.0, 7.0, 9.0)}, "ratio"
    ),
    "evidence": lambda joint, mimo, sweep: course.draw_evidence(
        {"sound": SimpleNamespace(evidence=EVIDENCE), "faulty": SimpleNamespace(evidence=EVIDENCE)}
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_axes_are_labelled_and_texts_do_not_overlap(
    name: str, joint: xr.Dataset, mimo: xr.Dataset, sweep: xr.Dataset
) -> None:
    figure = DRAWN[name](joint, mimo, sweep)
    refuse_overlapping_texts(figure)
    grid = np.array(figure.axes, dtype=object)
    if name == "ledger":  # one mark is one claim; the topics stand beside the lines
        assert len(grid[0].get_yticklabels()) == 2
        return
    for ax in grid:
        shown = ax.xaxis.get_ticklabels() and ax.xaxis.get_tick_params().get("labelbottom", True)
        assert ax.get_xlabel() or not shown or ax.get_xticklabels()[0].get_text(), name
    assert any(ax.get_ylabel() for ax in grid) or name == "ratios"


def test_every_drawing_of_the_lessons_is_tested_here() -> None:
    elsewhere = {"draw_network", "draw_words", "draw_digits", "draw_halves", "draw_probes"}
    drawings = {name for name in course.__all__ if name.startswith("draw_")}
    assert {f"draw_{name}" for name in DRAWN} == drawings - elsewhere


def test_the_race_shows_the_runs(joint: xr.Dataset, mimo: xr.Dataset) -> None:
    figure = course.draw_race(joint, mimo, last_step=6000)
    left, right = figure.axes[:2]
    for ax, run in ((left, joint), (right, mimo)):
        for k, line in enumerate(ax.lines):
            np.testing.assert_array_equal(line.get_ydata(), run.encoder_norm[:, k])
    assert left.lines[0].get_linestyle() != left.lines[1].get_linestyle()  # not by colour alone


def test_the_bound_of_theorem_1_is_that_of_the_steps_taken(mimo: xr.Dataset) -> None:
    bound, least = course.bound_of_theorem1(mimo, 0.0)
    assert bound[0] == 2 * mimo.objective.values[0] / (1e-3 * 10)
    assert least[-1] == mimo.grad_norm_sq.values[:-1].min()


def test_a_sweep_measures_what_single_runs_do(sweep: xr.Dataset) -> None:
    threshold = ms.theory.order_threshold(PROBLEM, 0.01)
    assert sweep.attrs["threshold"] == threshold
    run = ms.simulate(PROBLEM, ms.MIMO(lam=2 * threshold), record_every=10, **SETTINGS)
    np.testing.assert_array_equal(sweep.half_time.sel(factor=2.0), ms.half_times(run))
    # growth is read from steps of 1e-3, whose error is of order step size times rate
    np.testing.assert_allclose(sweep.rate, sweep.law, rtol=0.02)


def test_a_sweep_needs_a_threshold() -> None:
    fair = ms.generators.scalar_pair(2.0, 0.0)
    with pytest.raises(ValueError, match="`problem` must have a positive, finite order threshold"):
        course.sweep_penalties(fair, [1.0])
    with pytest.raises(ValueError, match="factors"):
        course.sweep_penalties(PROBLEM, [-1.0], steps=100)
    with pytest.raises(ValueError, match="Got a threshold of inf"):
        course.sweep_penalties(PROBLEM, [1.0], mu=100.0)


def test_the_plateau_is_what_is_left_over() -> None:
    assert course.plateau_height(PROBLEM) == pytest.approx(0, abs=1e-12)
    problem = ms.generators.random_problem((2, 3), 4, "none")
    own = np.zeros((2, 5))
    for k, best in enumerate(problem.unimodal_maps):
        own[k, problem.features(k)] = best[0]
    tried = [
        0.5
        * (
            problem.y_second_moment
            - 2 * row @ problem.cross_moment[0]
            + row @ problem.input_moment @ row
        )
        for a in np.linspace(-2, 2, 81)
        for b in np.linspace(-2, 2, 81)
        for row in [np.array([a, b]) @ own]
    ]
    height = course.plateau_height(problem) + problem.joint_optimum
    assert height <= min(tried)  # no multiples of the maps do better
    assert height == pytest.approx(min(tried), rel=0.02)  # and the grid comes close
    several = ms.generators.random_problem((2, 2), 0, output_dim=2)
    with pytest.raises(ValueError, match=r"one output \(m = 1\). Got output_dim=2"):
        course.plateau_height(several)
