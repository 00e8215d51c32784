"""Plans of jobs: which method gets which hyper-parameter, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mimo_sim import benchmark, datasets, methods
from mimo_sim.training import train
from tests.benchmark.runs import small_plan
from tests.networks import SETTINGS, new_run, tiny_regression

pytestmark = pytest.mark.usefixtures("tiny_data")


def late() -> list[str]:
    """The methods that are defined for late fusion."""
    return [name for name in methods.available() if methods.get(name).default_fusion() == "late"]


def test_plans_give_hyper_parameters_to_the_methods_that_take_them() -> None:
    grid = {"mimo.lam": [1, 10], "mu": [0.1, 1.0]}
    jobs = small_plan("vanilla", "mimo", grid=grid, hyper={"gap": "relative"}, seeds=1)
    assert [str(job.place) for job in jobs] == [
        "digits/vanilla/seed0",
        "digits/mimo-gap=relative-lam=1-mu=0.1/seed0",
        "digits/mimo-gap=relative-lam=1-mu=1.0/seed0",
        "digits/mimo-gap=relative-lam=10-mu=0.1/seed0",
        "digits/mimo-gap=relative-lam=10-mu=1.0/seed0",
    ]
    assert jobs[1].config["hyper"]["gap"] == "relative"
    every = small_plan("all", seeds=1)
    assert {job.method for job in every} == set(late())


def test_all_means_all_that_are_defined_for_regression() -> None:
    jobs = benchmark.plan("synthetic", ["all"], [0], {"epochs": 1})
    chosen, every = {job.method for job in jobs}, set(late())
    assert {"vanilla", "mimo", "unimodal", "mgda"} <= chosen
    assert chosen == {name for name in every if not methods.get(name).needs_classes}
    assert chosen < every
    words = r"method 'ogm' is defined for classification\. Got regression \(synthetic\)\."
    with pytest.raises(ValueError, match=words):
        benchmark.plan("synthetic", ["all", "ogm"], [0], {"epochs": 1})


def test_all_means_all_that_are_defined_for_one_modality(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = replace(datasets.get("digits"), modalities={"top": (40,)})
    monkeypatch.setattr(datasets, "get", lambda name: record)
    chosen = {job.method for job in small_plan("all", seeds=1)}
    every = set(late())
    assert chosen == {name for name in every if methods.get(name).min_modalities == 1}
    assert chosen < every
    words = r"method 'ogm' needs at least 2 modalities\. Got 1 \(digits\)\."
    with pytest.raises(ValueError, match=words):
        small_plan("ogm")


@pytest.mark.parametrize("name", methods.available())
def test_a_run_refuses_regression_exactly_where_the_plan_does(name: str) -> None:
    fusion = methods.get(name).default_fusion()
    if name in benchmark.refused_methods("synthetic", fusion):
        words = rf"method '{name}' is defined for classification\. Got regression \(line\)\."
        with pytest.raises(ValueError, match=words):
            new_run(methods.create(name), tiny_regression(), fusion=fusion)
    else:
        assert len(train(name, tiny_regression(), epochs=1, fusion=fusion, **SETTINGS).table)


@pytest.mark.parametrize(
    ("names", "more", "words"),
    [
        (["vanilla"], {"hyper": {"lam": 1}}, r"'lam': none of the methods \('vanilla',\) takes it"),
        (["vanilla"], {"hyper": {"hyper": 3}}, "none of the methods"),
        (["mimo", "opm"], {"hyper": {"lam": 1}}, "'lam': mimo and opm take it: write mimo.lam"),
        (["mimo"], {"hyper": {"lam": -1}}, "`lam` must be"),
        (["mimo"], {"hyper": {"normalise": 1}}, "`normalise` must be one of"),
        (["mimo"], {"hyper": {"lam": 3}, "grid": {"lam": [1, 10]}}, "'lam' is given twice"),
        (
            ["mimo"],
            {"hyper": {"lam": 3, "mimo.lam": 2}},
            "'mimo' is given twice, among 'lam', 'mimo.lam'",
        ),
        (
            ["mimo"],
            {"grid": {"lam": [1, 2, 1.0]}},
            r"the grid of hyper-parameter 'lam' has a value twice. Got \[1, 2, 1.0\]",
        ),
        (["mimmo"], {}, "`method` must be one of"),
        (["mimo"], {"settings": {"lr": 0}}, "`lr` must be"),
    ],
)
def test_bad_plans_are_refused_before_anything_runs(
    names: list[str], more: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        small_plan(*names, **more)


def test_presets_know_the_data_sets() -> None:
    assert datasets.get("avmnist").preset("cpu") == (
        {"train_size": 5000, "validation_size": 1000, "test_size": 2000},
        {"epochs": 12},
    )
    assert datasets.get("synthetic").preset("cpu") == ({}, {"epochs": 30})
    with pytest.raises(ValueError, match="`preset` must be one of"):
        datasets.get("avmnist").preset("gpu")
