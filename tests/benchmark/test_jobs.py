"""Grids of runs as plans: who gets which hyper-parameter, and what is refused before anything runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mimo_sim import benchmark, datasets, methods
from mimo_sim.training import train
from tests.benchmark.runs import small_plan
from tests.networks import SETTINGS, new_run, tiny_regression

pytestmark = pytest.mark.usefixtures("tiny_data")


def test_plans_give_hyper_parameters_to_the_methods_that_take_them() -> None:
    jobs = small_plan(
        "vanilla",
        "mimo",
        grid={"mimo.lam": [1, 10], "mu": [0.1, 1.0]},
        hyper={"gap": "relative"},
        seeds=1,
    )
    assert [str(job.place) for job in jobs] == [
        "digits/vanilla/seed0",
        *(
            f"digits/mimo-gap=relative-lam={lam}-mu={mu}/seed0"
            for lam in (1, 10)
            for mu in (0.1, 1.0)
        ),
    ]
    assert jobs[1].config["hyper"]["gap"] == "relative"
    every = small_plan("all", seeds=1)
    assert {job.method for job in every} == set(methods.available())


def test_all_means_all_that_are_defined_for_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    line = {job.method for job in benchmark.plan("synthetic", ["all"], [0], {"epochs": 1})}
    assert {"vanilla", "mimo", "unimodal", "mgda"} <= line
    assert (
        line
        == {name for name in methods.available() if not methods.get(name).needs_classes}
        < set(methods.available())
    )
    with pytest.raises(
        ValueError,
        match=r"method 'ogm' is defined for classification\. Got regression \(synthetic\)\.",
    ):
        benchmark.plan("synthetic", ["all", "ogm"], [0], {"epochs": 1})
    one = replace(datasets.get("digits"), modalities={"top": (40,)})
    monkeypatch.setattr(datasets, "get", lambda name: one)
    few = {job.method for job in small_plan("all", seeds=1)}
    assert (
        few
        == {name for name in methods.available() if methods.get(name).min_modalities == 1}
        < set(methods.available())
    )
    with pytest.raises(
        ValueError,
        match=r"method 'ogm' needs at least 2 modalities\. Got 1 \(digits\)\.",
    ):
        small_plan("ogm")


@pytest.mark.parametrize("name", methods.available())
def test_a_run_refuses_regression_exactly_where_the_plan_does(name: str) -> None:
    if name in benchmark.unfit("synthetic"):
        with pytest.raises(
            ValueError,
            match=rf"method '{name}' is defined for classification\. Got regression \(line\)\.",
        ):
            new_run(methods.create(name), tiny_regression())
    else:
        assert len(train(name, tiny_regression(), epochs=1, **SETTINGS).table)


@pytest.mark.parametrize(
    ("names", "more", "error", "words"),
    [
        (
            ["vanilla"],
            {"hyper": {"lam": 1}},
            ValueError,
            r"'lam': none of the methods \('vanilla',\) takes it",
        ),
        (
            ["mimo", "opm"],
            {"hyper": {"lam": 1}},
            ValueError,
            "'lam': mimo and opm take it: write mimo.lam",
        ),
        (["mimo"], {"hyper": {"lam": -1}}, ValueError, "`lam` must be"),
        (
            ["mimo"],
            {"hyper": {"lam": 3}, "grid": {"lam": [1, 10]}},
            ValueError,
            "'lam' is given twice",
        ),
        (
            ["mimo"],
            {"hyper": {"lam": 3, "mimo.lam": 2}},
            ValueError,
            "'mimo' is given twice, among 'lam', 'mimo.lam'",
        ),
        (["mimmo"], {}, ValueError, "`method` must be one of"),
        (["mimo"], {"settings": {"lr": 0}}, ValueError, "`lr` must be"),
        (
            ["mimo"],
            {"grid": {"lam": [1, 2, 1.0]}},
            ValueError,
            r"the grid of hyper-parameter 'lam' has a value twice. Got \[1, 2, 1.0\]",
        ),
        (["mimo"], {"hyper": {"normalise": 1}}, ValueError, "`normalise` must be one of"),
        (["vanilla"], {"hyper": {"hyper": 3}}, ValueError, "none of the methods"),
    ],
)
def test_bad_plans_are_refused_before_anything_runs(
    names: list[str], more: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        small_plan(*names, **more)


def test_presets_know_the_data_sets() -> None:
    assert benchmark.preset("cpu", "avmnist") == (
        {"train_size": 5000, "validation_size": 1000, "test_size": 2000},
        {"epochs": 12},
    )
    assert benchmark.preset("cpu", "synthetic") == ({}, {"epochs": 30})
    with pytest.raises(ValueError, match="`preset` must be one of"):
        benchmark.preset("gpu", "avmnist")
