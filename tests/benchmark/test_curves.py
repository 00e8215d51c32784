"""Which runs a figure shows, and records as a table of numbers: by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mimo_sim.benchmark import curves
from mimo_sim.benchmark.diagnosis import learning_times
from mimo_sim.benchmark.packed import Contents
from mimo_sim.benchmark.records import FinishedRun
from mimo_sim.benchmark.tidy import COLUMNS, epochs_frame


def runs(scores: Mapping[str, float], figure: str = "accuracy") -> list[FinishedRun]:
    """Two seeds of each method, whose mean validation figure is this."""
    return [
        FinishedRun(
            "coins", name, seed, {"metrics": {"validation": {figure: score + shift}}}, Path()
        )
        for seed, shift in ((0, -0.3), (1, 0.3))
        for name, score in scores.items()
    ]


def test_the_usual_curves_come_first_and_the_best_of_every_grid_follows() -> None:
    grid = {"mimo-lam=1": 0.6, "mimo-lam=2": 0.8, "mimo-lam=3": 0.7}
    given = runs({"agm": 0.99, "unimodal": 0.1, "mimo": 0.5, "vanilla": 0.4} | grid)
    grids: Any = {"mimo": dict.fromkeys(grid, 0)}
    assert curves.default_curves(given, grids) == ["vanilla", "mimo", "unimodal", "mimo-lam=2"]
    loss = runs({"vanilla": 0.4, "mimo": 0.5} | grid, "mse")  # here a small one is good
    assert curves.default_curves(loss, grids) == ["vanilla", "mimo", "mimo-lam=1"]


def test_variants_outside_of_grids_stand_in_for_a_method_and_the_best_of_mimo_is_shown() -> None:
    given = runs({"linear_scalarization-weight=2": 0.1, "mimo": 0.5, "mimo-mu=1": 0.3})
    assert curves.default_curves(given, {}) == [
        "linear_scalarization-weight=2",
        "mimo",
        "mimo-mu=1",
    ]
    given = runs({"mimo": 0.5, "mimo-mu=1": 0.3, "mimo-mu=2": 0.4})
    assert curves.default_curves(given, {}) == ["mimo", "mimo-mu=2"]
    assert curves.default_curves(runs({"agm": 0.5, "cml": 0.7}), {}) == ["agm", "cml"]


def test_the_main_methods_are_the_usual_ones_and_the_best_others() -> None:
    given = runs({"agm": 0.2, "cml": 0.9, "mimo": 0.1, "pmr": 0.5, "vanilla": 0.3})
    assert curves.main_methods(given) == ["vanilla", "mimo", "cml", "pmr", "agm"]
    assert curves.main_methods(given, 3) == ["vanilla", "mimo", "cml"]
    assert curves.MOST_NAMED == 12
    assert curves.validation_score({"validation": {"accuracy": 0.7, "mse": 9.0}}) == 0.7
    assert curves.validation_score({"validation": {"mse": 0.2}}) == -0.2


def test_curves_that_are_asked_for_have_their_variants() -> None:
    given = runs({"mimo": 0.1, "mimo-lam=2": 0.2, "mimo-lam=2-mu=1": 0.3, "mimoo": 0.4})
    assert curves.asked_curves(given, ["mimo"]) == ["mimo", "mimo-lam=2", "mimo-lam=2-mu=1"]
    assert curves.asked_curves(given, ["mimo-lam"]) == ["mimo-lam=2", "mimo-lam=2-mu=1"]
    assert curves.asked_curves(given, ["agm", "mimo-lam=2", "mimo-lam=2"]) == [
        "mimo-lam=2",
        "mimo-lam=2-mu=1",
    ]
    curves.refuse_unknown_curves(given, ["mimo", "mimo-lam"])
    with pytest.raises(ValueError, match=r"`curves` must name methods among .*Got 'agm'\."):
        curves.refuse_unknown_curves(given, ["mimo", "agm"])


def test_one_row_for_every_number_of_every_epoch() -> None:
    cells = [
        {"train_loss": "0.5", "encoder_norm_a": "1.0", "encoder_norm_big_a": "2.0"},
        {"train_loss": "0.25", "encoder_norm_a": "", "encoder_norm_big_a": "4.0"},
    ]
    result = {"data": {"modalities": ["a", "big_a"]}}
    packed = Contents("coins", "mimo", 3, {}, cells, result)
    frame = epochs_frame([FinishedRun("coins", "mimo", 3, result, Path(), packed)])
    assert tuple(frame.columns) == COLUMNS
    assert [tuple(row) for row in frame.to_numpy()] == [
        ("coins", "mimo", 3, 1, "train_loss", "joint", 0.5),
        ("coins", "mimo", 3, 2, "train_loss", "joint", 0.25),
        ("coins", "mimo", 3, 1, "encoder_norm", "a", 1.0),
        ("coins", "mimo", 3, 1, "encoder_norm", "big_a", 2.0),
        ("coins", "mimo", 3, 2, "encoder_norm", "big_a", 4.0),
    ]


def test_a_tenth_of_the_largest_rise_is_enough_to_be_learned() -> None:
    table = {"v_a": [0.0, 0.0, 1.0], "v_b": [0.0, 0.1, 0.1], "v_c": [0.0, 0.0999, 0.0999]}
    found = learning_times(table, ["a", "b", "c"], "v")
    assert found == pytest.approx({"a": 2.0, "b": 1.0, "c": 3.0})
    assert learning_times({"v_a": [0.5, 0.5 + 1e-9]}, ["a"], "v") == pytest.approx({"a": 1.0})
    for bad in ([1.0], [0.0, float("nan")], [0.0, float("inf")], [1.0, 1.0]):
        assert learning_times({"v_a": bad}, ["a"], "v") is None
    # Values beyond start and largest value count as none and all of the way.
    assert learning_times({"v_a": [-1.0, 2.0]}, ["a"], "v", start=0.0) == {"a": 1.0}
