"""Accuracy against modality gap: marks that can be told apart, bars and words that have room."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from mimo_sim import benchmark, methods, plots
from mimo_sim.benchmark.wording import method_words
from tests.plots.marks import (
    a_grid,
    as_words,
    legend_words,
    looks_of,
    note_of,
    refuse_cut_or_overlapping_words,
    rows_at,
)

FRONT = "none named is better in both"
PLACES = st.dictionaries(
    st.text(max_size=3), st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1
)


def test_colour_and_marker_belong_to_the_method() -> None:
    every = plots.method_looks(methods.available())
    assert len({as_words(look) for look in every.values()}) == len(methods.available())
    variants = [
        f"mimo-f_star={rule}-gap={gap}" for rule in "abcdefg" for gap in ("absolute", "relative")
    ]
    more = plots.method_looks([*variants, "opm-q_base=0.1", "mimo", "vanilla", "not_registered"])
    assert more["mimo"] == every["mimo"]
    assert more["vanilla"] == every["vanilla"]
    assert {more[name]["color"] for name in variants} == {every["mimo"]["color"]}
    both = every | more
    assert len({as_words(look) for look in both.values()}) == len(both)


@given(PLACES)
def test_the_front_is_what_nothing_beats(places: dict[str, tuple[float, float]]) -> None:
    def beats(one: str, other: str) -> bool:
        (gap, accuracy), (other_gap, other_accuracy) = places[one], places[other]
        as_good = gap <= other_gap and accuracy >= other_accuracy
        return as_good and places[one] != places[other]

    best = plots.pareto_front(places)
    assert not any(beats(one, name) for name in best for one in places)
    assert all(any(beats(one, name) for one in best) for name in places if name not in best)
    accuracies = [places[name][1] for name in best]
    assert accuracies == sorted(accuracies)


@pytest.mark.parametrize(("half_width", "inside"), [(0.015, True), (0.2, False)])
def test_bars_stay_in_the_panel_or_the_note_says_that_they_do_not(
    half_width: float, inside: bool
) -> None:
    places = {"vanilla": (0.3, 0.7), "mimo": (0.28, 0.72)}
    figure = plots.draw_gap(rows_at(places, half_width), plots.method_looks([*places]))
    low, high = figure.axes[0].get_ylim()
    assert (low <= 70 - 100 * half_width and 72 + 100 * half_width <= high) == inside
    cut = "the horizontal and vertical ones go on beyond the panel"
    assert (cut in note_of(figure)) != inside
    assert low < 70 < 72 < high  # marks are always there
    assert high - low < 10
    refuse_cut_or_overlapping_words(figure)


def test_failed_runs_are_named_and_take_no_room() -> None:
    failed = [f"mimo-lam=100-mu=0.{i}" for i in range(1, 7)]
    words = [f"MIMO, λ = 100, μ = 0.{i}" for i in range(1, 7)]
    places = {"vanilla": (0.3, 0.8), "mimo": (0.25, 0.82), "ogm": (0.3, 0.71)}
    places |= dict.fromkeys(failed, (0.0, 0.1))
    figure = plots.draw_gap(rows_at(places), plots.method_looks([*places]))
    assert legend_words(figure) == ["MIMO", "joint training", FRONT]
    assert "OGM (71.0 %)" in note_of(figure)
    for name in words:
        assert f"{name} (10.0 %)" in note_of(figure)
    assert figure.axes[0].get_ylim()[0] > 75
    refuse_cut_or_overlapping_words(figure)


def test_many_methods_and_variants_can_be_told_apart() -> None:
    variants = [f"mimo-f_star=running_minimum-gap=relative-decay=0.{i}" for i in range(10, 20)]
    names = [*methods.available(), *variants]
    places = {name: (0.5 + i / 500, 0.5 + i / 500) for i, name in enumerate(names)}
    figure = plots.draw_gap(rows_at(places), plots.method_looks(names))
    assert len(figure.legends) == 1
    assert legend_words(figure) == [*map(method_words, reversed(names)), FRONT]
    assert len(looks_of(figure)) == len(names)
    refuse_cut_or_overlapping_words(figure)


def test_at_most_those_that_are_named_have_marks_and_the_others_are_dots() -> None:
    places = {name: (0.3 + i / 500, 0.8 + i / 900) for i, name in enumerate(methods.available())}
    places |= {"cml": (0.3, 0.1)}
    named = ["vanilla", "mimo", "umt"]
    figure = plots.draw_gap(rows_at(places), plots.method_looks([*places]), named)
    others = len(places) - len(named) - 1
    words = ["joint training", "UMT", "MIMO", FRONT, f"{others} other methods"]
    assert sorted(legend_words(figure)) == sorted(words)
    assert len(looks_of(figure)) == len(named)
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "."]
    assert len(dots) == others
    assert "over 10 points below the best: 1 other method" in note_of(figure)
    refuse_cut_or_overlapping_words(figure)


def test_joint_training_and_a_grid_are_drawn_however_poor_they_are() -> None:
    places = {
        "vanilla": (0.3, 0.3),
        "mimo-lam=1": (0.25, 0.5),
        "mimo-lam=2": (0.2, 0.82),
        "mimo-lam=9": (0.2, 0.1),
        "ogm": (0.3, 0.31),
        "opm": (0.3, 0.2),
    }
    rows = rows_at(places)
    assert plots.worth_drawing(rows, places) == ["vanilla", "mimo-lam=1", "mimo-lam=2", "ogm"]
    grid = {name: {"lam": float(name[-1])} for name in places if "lam" in name}
    figure = plots.draw_grid(rows, grid, plots.method_looks([*places]))
    assert legend_words(figure) == ["λ = 1", "λ = 2", "joint training", FRONT]
    assert "MIMO, λ = 9 (10.0 %)" in note_of(figure)
    refuse_cut_or_overlapping_words(figure)


def test_grids_are_found_by_what_was_given() -> None:
    numbers = a_grid("vanilla", "mimo", lam=[1, 10], mu=[0.1, 1])
    words = a_grid(f_star=["zero", "running_minimum", "reference"])
    found = benchmark.find_grids([*numbers, *words])
    assert list(found) == ["mimo-lam-mu"]  # no number varies over f_star
    assert found["mimo-lam-mu"]["mimo-lam=10-mu=0.1"] == {"lam": 10, "mu": 0.1}
    assert benchmark.find_grids(a_grid("mimo", lam=[1, 10])) == {}  # two runs are no grid


def test_a_grid_is_drawn_along_its_first_number_with_a_colour_for_the_others() -> None:
    runs = a_grid("vanilla", "linear_scalarization", "ogm", lam=[100, 1, 10], mu=[0.1, 1e-3, 1])
    lams, mus = [1, 10, 100], [1e-3, 0.1, 1]
    (grid,) = benchmark.find_grids(runs).values()
    places = {
        name: (values["lam"] / 1000 + values["mu"] / 100, 0.9 + values["lam"] / 2000)
        for name, values in grid.items()
    }
    places |= {"vanilla": (0.3, 0.9), "linear_scalarization": (0.0, 0.99), "ogm": (0.0, 1.0)}
    looks = plots.method_looks([run.method for run in runs])
    figure = plots.draw_grid(rows_at(places), grid, looks)
    assert legend_words(figure) == [
        *(f"μ = {mu}" for mu in mus),
        *(f"λ = {lam}" for lam in lams),
        "joint training",
        "linear scalarization",
        FRONT,
    ]
    drawn = figure.axes[0].lines
    lines = [line for line in drawn if np.size(line.get_xdata()) == 3]
    for line, mu in zip(lines, mus, strict=True):
        expected = 100 * np.array([places[f"mimo-lam={lam}-mu={mu}"] for lam in lams])
        np.testing.assert_allclose(np.asarray(line.get_xydata()), expected)
    assert len({tuple(line.get_color()) for line in lines}) == 3
    assert len(looks_of(figure)) == 9 + 2
    (ring,) = (line for line in drawn if line.get_markersize() == 13)
    np.testing.assert_allclose(np.asarray(ring.get_xydata()), [[0.0, 99.0]])
    refuse_cut_or_overlapping_words(figure)
