"""Records and grids of runs: whole files, skipped and refused folders, resumable grids, comparisons, the commands."""

from __future__ import annotations

import csv
import json
import math
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any, cast

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mimo_sim import datasets, methods
from mimo_sim.benchmark import comparison
from mimo_sim.benchmark import grid as benchmark
from mimo_sim.cli import main
from mimo_sim.errors import NonFiniteError
from mimo_sim.plots import benchmark as bench_plots
from mimo_sim.plots import figures as plots
from mimo_sim.training import train
from tests.networks import SETTINGS, new_run, tiny, tiny_regression


@pytest.fixture(autouse=True)
def _tiny_data(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    benchmark._load.cache_clear()
    monkeypatch.setattr(
        datasets, "load", lambda name, root=None, seed=0, **settings: tiny(seed=seed)
    )
    yield
    benchmark._load.cache_clear()  # no other test finds these data under a true name


def small_plan(*names: str, seeds: int = 2, **more: Any) -> list[benchmark.Job]:
    return benchmark.plan(
        "digits", names, range(seeds), {"epochs": 2, **SETTINGS} | more.pop("settings", {}), **more
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        benchmark._load.cache_clear()
        patch.setattr(datasets, "load", lambda name, root=None, seed=0, **settings: tiny(seed=seed))
        assert benchmark.execute(small_plan("vanilla", "mimo", "mmcosine", seeds=3), out) == []
    return out


def test_a_record_says_what_was_done(tmp_path: Path) -> None:
    result = train("mimo", tiny(), epochs=2, folder=tmp_path / "run", **SETTINGS)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "config.json",
        "epochs.csv",
        "result.json",
    ]
    config, found = (
        json.loads((tmp_path / "run" / name).read_text()) for name in ("config.json", "result.json")
    )
    assert found["config"] == config
    assert (
        config["method"],
        config["hyper"]["lam"],
        config["settings"]["epochs"],
        config["dataset"],
    ) == ("mimo", result.method.hyper["lam"], 2, "tiny")
    assert found["metrics"] == result.metrics
    assert set(found) == {
        "config",
        "metrics",
        "definitions",
        "seconds",
        "data",
        "parameters",
        "versions",
        "device",
        "threads",
        "git",
    }
    assert found["versions"]["torch"] == torch.__version__
    assert found["parameters"] == sum(p.numel() for p in result.model.parameters())
    with (tmp_path / "run" / "epochs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [{key: float(value) for key, value in row.items()} for row in rows] == result.table


def test_finished_and_foreign_folders_are_refused(tmp_path: Path) -> None:
    train("vanilla", tiny(), epochs=1, folder=tmp_path, **SETTINGS)
    with pytest.raises(ValueError, match="holds a finished run"):
        train("vanilla", tiny(), epochs=1, folder=tmp_path, **SETTINGS)
    with pytest.raises(
        ValueError, match=r"another configuration: settings\.epochs is 1 there, 2 here"
    ):
        train("vanilla", tiny(), epochs=2, folder=tmp_path, **SETTINGS)


def test_a_run_that_failed_before_its_first_checkpoint_can_be_tried_otherwise(
    tmp_path: Path,
) -> None:
    with pytest.raises(NonFiniteError, match="Lower `lr`"):
        train("vanilla", tiny(), epochs=1, folder=tmp_path, **(SETTINGS | {"lr": 1e12}))
    train("vanilla", tiny(), epochs=1, folder=tmp_path, **SETTINGS)
    assert json.loads((tmp_path / "config.json").read_text())["settings"]["lr"] == SETTINGS["lr"]


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    def stop(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("vanilla", tiny(), epochs=3, folder=tmp_path, on_epoch=stop, **SETTINGS)
    with pytest.raises(
        ValueError, match=r"another configuration: settings\.lr is 0\.05 there, 0\.1 here"
    ):
        train("vanilla", tiny(), epochs=3, folder=tmp_path, **(SETTINGS | {"lr": 0.1}))


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
        match=r"method 'ogm' needs at least 2 and any number of modalities\. Got 1 \(digits\)\.",
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


def test_finished_runs_are_kept_and_other_configurations_refused(results: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in results.rglob("result.json")}
    done: list[int] = []
    assert (
        benchmark.execute(
            small_plan("vanilla", "mimo", "mmcosine", seeds=3), results, on_epochs=done.append
        )
        == []
    )
    assert sum(done) == 9 * 2
    assert before == {path: path.stat().st_mtime_ns for path in results.rglob("result.json")}
    with pytest.raises(
        ValueError, match=r"another configuration: settings\.width is 8 there, 4 here"
    ):
        benchmark.execute(small_plan("vanilla", settings={"width": 4}), results)


def test_one_failing_run_costs_no_other(tmp_path: Path) -> None:
    jobs = [*small_plan("vanilla", seeds=1, settings={"lr": 1e12}), *small_plan("mimo", seeds=1)]
    failures = benchmark.execute(jobs, tmp_path)
    assert [job.method for job, _ in failures] == ["vanilla"]
    assert failures[0][1].startswith("NonFiniteError: training diverged in epoch 0")
    assert [run.method for run in benchmark.read(tmp_path)] == ["mimo"]


def test_data_that_cannot_be_loaded_cost_no_other_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # workers load the true data
    jobs = [
        job
        for data in ({"setting": "bad"}, {})
        for job in benchmark.plan(
            "digits", ["vanilla", "mimo"], [0], {"epochs": 1, "width": 8}, data
        )
    ]
    failures = benchmark.execute(jobs, tmp_path, 2)
    assert {str(job.place) for job, _ in failures} == {
        "digits-bad/vanilla/seed0",
        "digits-bad/mimo/seed0",
    }
    assert all(message.startswith("TypeError: data set 'digits' takes") for _, message in failures)
    assert [run.method for run in benchmark.read(tmp_path)] == ["mimo", "vanilla"]


@pytest.mark.slow
def test_workers_give_the_same_results_as_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # workers load the true data
    benchmark._load.cache_clear()
    jobs = benchmark.plan(
        "digits", ["vanilla", "ogm_ge"], [0, 1], {"epochs": 1, "width": 8, "accelerator": "cpu"}
    )
    done: list[int] = []
    assert benchmark.execute(jobs, tmp_path / "two", 2, done.append) == []
    assert benchmark.execute(jobs, tmp_path / "one", 1) == []
    assert sum(done) == 4
    for job in jobs:
        first, second = (
            json.loads((tmp_path / where / job.place / "result.json").read_text())
            for where in ("one", "two")
        )
        assert first["metrics"] == second["metrics"]


# ------------------------------------------------------------------------------------------ comparisons


def test_comparisons_pair_seeds(results: Path) -> None:
    runs = benchmark.read(results)
    rows = {(row.method, row.figure): row for row in comparison.summary(runs)}
    accuracy = {(run.method, run.seed): run.result["metrics"]["test"]["accuracy"] for run in runs}
    differences = [accuracy["mimo", seed] - accuracy["vanilla", seed] for seed in range(3)]
    row = rows["mimo", "accuracy"]
    assert (row.n, row.pairs) == (3, 3)
    assert (row.difference, row.difference_half_width) == comparison.interval(differences)
    assert (row.mean, row.half_width) == comparison.interval(
        [accuracy["mimo", seed] for seed in range(3)]
    )
    assert rows["vanilla", "accuracy"].pairs == 0
    fewer = {
        (r.method, r.figure): r
        for r in comparison.summary(
            [run for run in runs if (run.method, run.seed) != ("vanilla", 1)]
        )
    }
    assert (
        fewer["mimo", "accuracy"].difference
        == comparison.interval([differences[0], differences[2]])[0]
    )


def test_tables_as_markdown_and_csv(results: Path) -> None:
    rows = comparison.summary(benchmark.read(results))
    text = comparison.markdown(rows)
    lines = text.splitlines()
    header = next(line for line in lines if line.startswith("| method"))
    assert "accuracy - vanilla" in header
    assert {"heads m1", "probe m2", "sliced m1"} <= {cell.strip() for cell in header.split("|")}
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    assert lines[lines.index(header) + 2].startswith("| vanilla | 3 |")
    assert "- probe: (d) a linear probe" in text
    parsed = list(csv.DictReader(comparison.comma_separated(rows).splitlines()))
    assert len(parsed) == len(rows)
    assert float(
        next(r for r in parsed if r["method"] == "mimo" and r["figure"] == "probe/m1")["mean"]
    ) == next(r.mean for r in rows if (r.method, r.figure) == ("mimo", "probe/m1"))


def test_either_split_can_be_summed_up(results: Path) -> None:
    runs = benchmark.read(results)
    found = {split: comparison.summary(runs, split=split) for split in benchmark.SPLITS}
    assert comparison.summary(runs) == found["test"] != found["validation"]
    for split, rows in found.items():
        stored = [
            run.result["metrics"][split]["unimodal"]["probe"]["m2"]
            for run in runs
            if run.method == "mimo"
        ]
        (row,) = (row for row in rows if (row.method, row.figure) == ("mimo", "probe/m2"))
        assert (row.split, row.mean) == (split, comparison.interval(stored)[0])
        assert comparison.markdown(rows).startswith(f"## digits: {split} split, in %")
        assert {
            r["split"] for r in csv.DictReader(comparison.comma_separated(rows).splitlines())
        } == {split}
        assert f"digits-gap{'-validation' * (split == 'validation')}" in dict(
            bench_plots.draw_all(runs, rows)
        )
    with pytest.raises(
        ValueError, match=r"`split` must be one of \('validation', 'test'\)\. Got 'train'\."
    ):
        comparison.summary(runs, split="train")


def test_losses_of_regression_are_not_shown_in_percent(tmp_path: Path) -> None:
    result = train(
        "vanilla",
        tiny_regression(),
        epochs=1,
        folder=tmp_path / "line" / "vanilla" / "seed0",
        **SETTINGS,
    )
    ((title, header, (row,)),) = comparison.tables(comparison.summary(benchmark.read(tmp_path)))
    assert "%" not in title.replace("95 %", "")
    shown = dict(zip(header, row, strict=True))
    assert float(shown["probe a"]) == pytest.approx(
        result.metrics["test"]["unimodal"]["probe"]["a"], abs=5e-4
    )
    assert float(shown["gap probe"]) == pytest.approx(
        result.metrics["test"]["gap"]["probe"], abs=5e-4
    )


def test_a_baseline_that_is_not_there_is_refused(results: Path) -> None:
    runs = benchmark.read(results)
    with pytest.raises(
        ValueError, match=r"`baseline` must be one of \('mimo', 'mmcosine', 'vanilla'\)\. Got 'agm'"
    ):
        comparison.summary(runs, "agm")
    assert comparison.summary(
        [run for run in runs if run.method != "vanilla"]
    )  # nothing to compare with, but something to show


# ------------------------------------------------------------------------------------------ figures


def look(**parts: Any) -> tuple[str, ...]:
    return tuple(map(str, parts.values()))


def a_row(method: str, figure: str, mean: float, half_width: float = 0.001) -> comparison.Row:
    return comparison.Row(
        "digits", "test", method, figure, 3, mean, half_width, 0, math.nan, math.nan
    )


def looks_of(figure: Figure) -> set[tuple[str, ...]]:
    """Colour, marker and fill of the single marks on the panel."""
    marks = [
        line
        for line in figure.axes[0].lines
        if np.size(line.get_xdata()) == 1 and line.get_markersize() == 6
    ]
    return {
        look(color=line.get_color(), marker=line.get_marker(), fill=line.get_fillstyle())
        for line in marks
    }


def refuse_cut_or_overlapping_words(figure: Figure) -> None:
    with plots.style():
        renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
        figure.canvas.draw()
        panels = [ax.get_tightbbox(renderer) for ax in figure.axes]
        legends = [legend.get_window_extent(renderer) for legend in figure.legends]
        words = [
            text.get_window_extent(renderer)
            for legend in figure.legends
            for text in legend.get_texts()
        ]
        boxes = [
            box
            for box in (
                *panels,
                *legends,
                *words,
                *(text.get_window_extent(renderer) for text in figure.texts),
            )
            if box is not None
        ]
    width, height = figure.canvas.get_width_height()
    assert all(0 <= box.x0 < box.x1 <= width and 0 <= box.y0 < box.y1 <= height for box in boxes)
    apart = [*legends, *(box for box in panels if box is not None)]
    assert not any(one.overlaps(other) for one, other in combinations(apart, 2))
    assert not any(one.overlaps(other) for one, other in combinations(words, 2))


def test_colour_and_marker_belong_to_the_method() -> None:
    every = bench_plots.looks(methods.available())
    assert len({look(**one) for one in every.values()}) == len(methods.available())
    variants = [
        f"mimo-f_star={rule}-gap={gap}" for rule in "abcdefg" for gap in ("absolute", "relative")
    ]
    more = bench_plots.looks([*variants, "opm-q_base=0.1", "mimo", "vanilla", "not_registered"])
    assert more["mimo"] == every["mimo"]
    assert more["vanilla"] == every["vanilla"]
    assert {more[name]["color"] for name in variants} == {every["mimo"]["color"]}
    assert len({look(**one) for one in (every | more).values()}) == len(every | more)


@given(
    st.dictionaries(
        st.text(max_size=3), st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1
    )
)
def test_the_front_is_what_nothing_beats(points: dict[str, tuple[float, float]]) -> None:
    def beats(one: str, other: str) -> bool:
        (a, b), (c, d) = points[one], points[other]
        return a <= c and b >= d and (a, b) != (c, d)

    best = bench_plots.front(points)
    assert not any(beats(one, name) for name in best for one in points)
    assert all(any(beats(one, name) for one in best) for name in points if name not in best)
    assert [points[name][1] for name in best] == sorted(points[name][1] for name in best)


@pytest.mark.parametrize(("half_width", "inside"), [(0.015, True), (0.2, False)])
def test_bars_stay_in_the_panel_or_the_caption_says_that_they_do_not(
    half_width: float, inside: bool
) -> None:
    rows = [
        a_row(m, f, mean, half_width)
        for i, m in enumerate(("vanilla", "mimo"))
        for f, mean in (("accuracy", 0.7 + i / 50), ("gap/probe", 0.3 - i / 50))
    ]
    figure = bench_plots.draw_gap(rows, bench_plots.looks(["vanilla", "mimo"]))
    (low, high), (caption,) = figure.axes[0].get_ylim(), figure.texts
    assert (low <= 70 - 100 * half_width and 72 + 100 * half_width <= high) == inside
    assert (
        "the horizontal and vertical ones go on beyond the panel" in caption.get_text()
    ) != inside
    assert low < 70 < 72 < high  # marks are always there
    assert high - low < 10
    refuse_cut_or_overlapping_words(figure)


def test_failed_runs_are_named_and_take_no_room() -> None:
    means = {
        "vanilla": (0.3, 0.8),
        "mimo": (0.25, 0.82),
        "ogm": (0.3, 0.71),
        **{f"mimo-lam=100-mu=0.{i}": (0.0, 0.1) for i in range(1, 7)},
    }
    rows = [
        a_row(m, figure, mean)
        for m, pair in means.items()
        for figure, mean in zip(("gap/probe", "accuracy"), pair, strict=True)
    ]
    figure = bench_plots.draw_gap(rows, bench_plots.looks([*means]))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "mimo",
        "vanilla",
        "none shown is better in both",
    ]
    assert "ogm (71.0 %)" in figure.texts[0].get_text()
    assert all(
        f"{m} (10.0 %)" in " ".join(figure.texts[0].get_text().split()) for m in means if "lam" in m
    )
    assert figure.axes[0].get_ylim()[0] > 75
    refuse_cut_or_overlapping_words(figure)


def test_many_methods_and_variants_can_be_told_apart() -> None:
    names = [
        *methods.available(),
        *(f"mimo-f_star=running_minimum-gap=relative-decay=0.{i}" for i in range(10, 20)),
    ]
    rows = [
        a_row(name, figure, 0.5 + i / 500)
        for i, name in enumerate(names)
        for figure in ("accuracy", "gap/probe")
    ]
    figure = bench_plots.draw_gap(rows, bench_plots.looks(names))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *reversed(names),
        "none shown is better in both",
    ]
    assert len(looks_of(figure)) == len(names)
    refuse_cut_or_overlapping_words(figure)


def a_grid(*names: str, method: str = "mimo", **values: list[Any]) -> list[benchmark.Finished]:
    """Runs that were never run, of every combination of values; and of other methods."""
    given = [dict(zip(values, one, strict=True)) for one in product(*values.values())]
    runs = [
        (
            "-".join([method, *(f"{k}={v}" for k, v in hyper.items())]),
            method,
            methods.get(method)().hyper | hyper,
        )
        for hyper in given
    ]
    runs += [(name, name, methods.get(name)().hyper) for name in names]
    return [
        benchmark.Finished("digits", name, 0, {"config": {"method": base, "hyper": hyper}}, Path())
        for name, base, hyper in runs
    ]


def test_grids_are_found_by_what_was_given() -> None:
    found = bench_plots.grids(
        [
            *a_grid("vanilla", "mimo", lam=[1, 10], mu=[0.1, 1]),
            *a_grid(f_star=["zero", "running_minimum", "reference"]),
        ]
    )
    assert list(found) == ["mimo-lam-mu"]  # no number varies over f_star
    assert found["mimo-lam-mu"]["mimo-lam=10-mu=0.1"] == {"lam": 10, "mu": 0.1}
    assert bench_plots.grids(a_grid("mimo", lam=[1, 10])) == {}  # two runs are no grid


def test_a_grid_is_drawn_along_its_first_number_with_a_colour_for_the_others() -> None:
    lams, mus = [100, 1, 10], [0.1, 1e-3, 1]
    runs = a_grid("vanilla", "linear_scalarization", "ogm", lam=lams, mu=mus)
    (members,) = bench_plots.grids(runs).values()
    place = {
        m: (v["lam"] / 1000 + v["mu"] / 100, 0.9 + v["lam"] / 2000) for m, v in members.items()
    } | {
        "vanilla": (0.3, 0.9),
        "linear_scalarization": (0.0, 0.99),
        "ogm": (0.0, 1.0),
    }
    rows = [
        a_row(m, figure, mean)
        for m, pair in place.items()
        for figure, mean in zip(("gap/probe", "accuracy"), pair, strict=True)
    ]
    figure = bench_plots.draw_grid(rows, members, bench_plots.looks([run.method for run in runs]))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [
        *(f"mu = {mu}" for mu in sorted(mus)),
        *(f"lam = {lam}" for lam in sorted(lams)),
        "vanilla",
        "linear_scalarization",
        labels[-1],
    ]
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]  # type: ignore[arg-type]
    for line, mu in zip(lines, sorted(mus), strict=True):
        expected = [place[f"mimo-lam={lam}-mu={mu}"] for lam in sorted(lams)]
        np.testing.assert_allclose(line.get_xydata(), 100 * np.array(expected))  # type: ignore[arg-type]
    assert len({tuple(line.get_color()) for line in lines}) == 3
    assert len(looks_of(figure)) == 9 + 2
    (ring,) = (line for line in figure.axes[0].lines if line.get_markersize() == 13)
    np.testing.assert_allclose(ring.get_xydata(), [[0.0, 99.0]])  # type: ignore[arg-type]
    refuse_cut_or_overlapping_words(figure)


def test_figures_show_every_method(results: Path) -> None:
    runs = benchmark.read(results)
    figures = dict(bench_plots.draw_all(runs, comparison.summary(runs)))
    assert set(figures) == {"digits-gap", "digits-epochs"}
    (legend,) = figures["digits-gap"].legends
    assert {text.get_text() for text in legend.get_texts()} == {
        "none shown is better in both",
        "vanilla",
        "mimo",
        "mmcosine",
    }
    panels = {
        ax.get_title("left"): len(ax.lines) for ax in figures["digits-epochs"].axes
    }  # vanilla and mimo by default; vanilla has no heads, and no weights
    assert panels == {
        "(a) joint": 2,
        "(b) alone: own heads": 2,
        "(c) alone: split joint head": 4,
        r"(d) weights $\sigma_k$": 2,
    }
    total = sum(line.get_ydata() for line in figures["digits-epochs"].axes[-1].lines)  # type: ignore[misc]
    assert total == pytest.approx([1.0, 1.0])
    for figure in figures.values():
        refuse_cut_or_overlapping_words(figure)
    with pytest.raises(ValueError, match="`curves` must name methods among"):
        list(bench_plots.draw_all(runs, comparison.summary(runs), ["agm"]))


def test_a_grid_has_its_own_figure_and_its_best_run_is_among_the_curves(tmp_path: Path) -> None:
    assert (
        benchmark.execute(
            small_plan("vanilla", "mimo", "ogm", seeds=1, grid={"mimo.lam": [1, 2, 300]}), tmp_path
        )
        == []
    )
    runs = benchmark.read(tmp_path)
    figures = dict(bench_plots.draw_all(runs, comparison.summary(runs)))
    assert set(figures) == {"digits-gap", "digits-mimo-lam", "digits-epochs"}
    shown = " ".join(
        text.get_text()
        for text in (*figures["digits-gap"].legends[0].get_texts(), *figures["digits-gap"].texts)
    )
    assert ("vanilla" in shown, "ogm" in shown, "mimo" in shown) == (True, True, False)
    best = max(
        (run for run in runs if "mimo" in run.method),
        key=lambda run: run.result["metrics"]["validation"]["accuracy"],
    ).method
    assert [text.get_text() for text in figures["digits-epochs"].legends[0].get_texts()] == [
        "vanilla",
        best,
    ]
    without = [run for run in runs if run.method != "ogm"]
    assert set(dict(bench_plots.draw_all(without, comparison.summary(without)))) == {
        "digits-mimo-lam",
        "digits-epochs",
    }


def test_probes_during_training_are_the_one_definition(tmp_path: Path) -> None:
    settings = {"epochs": 4, "probe_every": 2}
    long = {"f_star": "running_minimum", "heads": "gradient", "gap": "relative", "normalise": True}
    jobs = [
        *small_plan("vanilla", "mimo", seeds=1, settings=settings),
        *small_plan("mimo", seeds=1, settings=settings, hyper=long, grid={"decay": [0.9, 0.95]}),
    ]
    assert benchmark.execute(jobs, tmp_path) == []
    runs = benchmark.read(tmp_path)
    _, figure = list(bench_plots.draw_all(runs, comparison.summary(runs)))[-1]
    assert [ax.get_title("left") for ax in figure.axes] == [
        "(a) joint",
        "(b) alone: linear probe",
        r"(c) weights $\sigma_k$",
    ]
    mine = {line.get_linestyle(): line for line in figure.axes[1].lines[:2]}
    assert len(mine) == 2  # a dash for each modality
    for line, name in zip(figure.axes[1].lines[:2], ("m1", "m2"), strict=True):
        (vanilla,) = (run for run in runs if run.method == "vanilla")
        column = vanilla.table()[f"validation_probe_accuracy_{name}"]
        np.testing.assert_allclose(line.get_xydata(), [[2, 100 * column[1]], [4, 100 * column[3]]])  # type: ignore[arg-type]
    refuse_cut_or_overlapping_words(figure)


def test_joint_training_and_a_grid_are_drawn_however_poor_they_are() -> None:
    means = {
        "vanilla": (0.3, 0.3),
        "mimo-lam=1": (0.25, 0.5),
        "mimo-lam=2": (0.2, 0.82),
        "mimo-lam=9": (0.2, 0.1),
        "ogm": (0.3, 0.31),
        "opm": (0.3, 0.2),
    }
    rows = [
        a_row(m, figure, mean)
        for m, pair in means.items()
        for figure, mean in zip(("gap/probe", "accuracy"), pair, strict=True)
    ]
    assert bench_plots.near(rows, means) == ["vanilla", "mimo-lam=1", "mimo-lam=2", "ogm"]
    grid = {name: {"lam": float(name[-1])} for name in means if "lam" in name}
    figure = bench_plots.draw_grid(rows, grid, bench_plots.looks([*means]))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "lam = 1.0",
        "lam = 2.0",
        "vanilla",
        "none shown is better in both",
    ]
    assert "mimo-lam=9 (10.0 %)" in figure.texts[0].get_text()
    refuse_cut_or_overlapping_words(figure)


def test_a_variant_stands_in_for_a_method_that_was_not_run(results: Path) -> None:
    runs = [
        replace(run, method="mimo-mu=7") if run.method == "mimo" else run
        for run in benchmark.read(results)
    ]
    figure = dict(bench_plots.draw_all(runs, comparison.summary(runs)))["digits-epochs"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["vanilla", "mimo-mu=7"]


def test_equal_curves_show_their_marks_side_by_side(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = benchmark.read(results)
    twins = [
        replace(run, method=name)
        for run in runs
        if run.method == "mimo"
        for name in ("mimo", "mimo-mu=7")
    ]
    monkeypatch.setattr(
        benchmark.Finished,
        "table",
        lambda _: {"validation_accuracy": [0.1 * epoch for epoch in range(24)]},
    )
    figure = bench_plots.draw_epochs(
        twins, ["mimo", "mimo-mu=7"], bench_plots.looks(["mimo", "mimo-mu=7"])
    )
    marked = [
        {*range(24)[slice(first, None, every)]}
        for line in figure.axes[0].lines
        for first, every in [cast("tuple[int, int]", line.get_markevery())]
    ]
    assert len(marked) == 2
    assert not marked[0] & marked[1]


def test_losses_have_digits_enough_to_differ() -> None:
    assert comparison._cell(0.00012345, 0.0000067, percent=False) == "0.0001234 ± 0.0000067"
    assert comparison._cell(-0.00000213, math.nan, percent=False, sign=True) == "-0.0000021"
    assert comparison._cell(1.5, 0.25, percent=False) == "1.500 ± 0.250"
    assert comparison._cell(0.5, 0.001, percent=True) == "50.0 ± 0.1"


# ------------------------------------------------------------------------------------------ folders that are not as they were written


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no finished run"):
        benchmark.read(tmp_path)


def test_two_runs_of_one_seed_are_never_taken_for_one(results: Path, tmp_path: Path) -> None:
    for name in "ab":
        shutil.copytree(results, tmp_path / name)
    with pytest.raises(
        ValueError,
        match=r"a/digits/mimo/seed0 and .*b/digits/mimo/seed0 are the same data set, method and seed",
    ):
        benchmark.read(tmp_path)


def test_runs_of_one_method_differ_in_their_seed_only(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "digits" / "mimo" / "seed1" / "result.json"
    content = json.loads(path.read_text())
    content["config"]["settings"]["epochs"] = 7
    path.write_text(json.dumps(content))
    with pytest.raises(
        ValueError,
        match=r"seed0 and .*seed1 are not of one experiment: settings\.epochs is 2 there, 7 here",
    ):
        benchmark.read(tmp_path)


def test_methods_that_were_not_trained_alike_are_named(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert comparison.unlike(benchmark.read(results)) == []
    shutil.copytree(results, tmp_path, dirs_exist_ok=True)
    assert (
        benchmark.execute(small_plan("unimodal", seeds=2, settings={"epochs": 1}), tmp_path) == []
    )
    runs = benchmark.read(tmp_path)
    assert comparison.unlike(runs) == [
        "digits: not trained alike, epochs is 2 for mimo, mmcosine, vanilla; 1 for unimodal"
    ]
    assert comparison.notes(runs)[-1] == comparison.unlike(runs)[0]
    assert (
        command(monkeypatch, "compare", str(tmp_path), "--out", str(tmp_path / "tables"), "--quiet")
        == 0
    )
    assert (
        (tmp_path / "tables" / "table.md")
        .read_text()
        .endswith(f"\n- {comparison.unlike(runs)[0]}\n")
    )


@pytest.mark.parametrize("content", ["", "{bad", "[]", "{}", "\x00"])
@pytest.mark.parametrize("name", ["result.json", "config.json"])
def test_damaged_files_are_named_with_what_to_do(
    name: str, content: str, results: Path, tmp_path: Path
) -> None:
    shutil.copytree(results, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "digits" / "mimo" / "seed1" / name
    path.write_text(content)
    jobs = small_plan("vanilla", "mimo", "mmcosine", seeds=3)
    if name == "config.json":
        with pytest.raises(
            ValueError,
            match=r"mimo/seed1(/config\.json is damaged .* Delete the folder| holds a run of another configuration)",
        ):
            benchmark.execute(jobs, tmp_path)
        return
    with pytest.raises(
        ValueError, match=r"mimo/seed1/result\.json is damaged .* Delete the folder"
    ):
        benchmark.read(tmp_path)
    if content != "{}":  # an object without entries is found when it is read
        with pytest.raises(
            ValueError, match=r"mimo/seed1/result\.json is damaged .* Delete the folder"
        ):
            benchmark.execute(jobs, tmp_path)


@pytest.mark.parametrize("content", ["", None])
def test_a_damaged_table_is_named(content: str | None, results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "digits" / "mimo" / "seed1" / "epochs.csv"
    path.unlink() if content is None else path.write_text(content)
    (run,) = (run for run in benchmark.read(tmp_path) if (run.method, run.seed) == ("mimo", 1))
    with pytest.raises(ValueError, match=r"mimo/seed1/epochs\.csv is damaged .* Delete the folder"):
        run.table()


def test_names_come_from_the_true_folders_and_other_folders_are_left_alone(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(results, tmp_path, dirs_exist_ok=True)
    shutil.copytree(
        tmp_path / "digits" / "mimo" / "seed1", tmp_path / "digits" / "mimo" / "seed1_old"
    )
    monkeypatch.chdir(tmp_path / "digits" / "mimo")
    assert {(run.dataset, run.method, run.seed) for run in benchmark.read(".")} == {
        ("digits", "mimo", seed) for seed in range(3)
    }


# ------------------------------------------------------------------------------------------ the commands


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mimo-sim", "bench", *arguments])
    monkeypatch.setenv("COLUMNS", "250")
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_bench_list_names_methods_and_data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "list") == 0
    shown = capsys.readouterr().out
    for word in ("mimo", "lam=", "gradient", "vanilla", "digits", "avmnist"):
        assert word in shown


def test_bench_run_and_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = "r"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r" / "digits" / "old" / "seed0").mkdir(parents=True)
    (tmp_path / "r" / "digits" / "old" / "seed0" / "result.json").write_text(
        "{bad"
    )  # somebody else's
    arguments = [
        "run",
        "--method",
        "vanilla",
        "--method",
        "mimo",
        "--grid",
        "lam=1,10",
        "--set",
        "mu=0.5",
        "--seeds",
        "2",
        "--epochs",
        "2",
    ]
    arguments += ["--width", "8", "--jobs", "1", "--out", out, "--accelerator", "cpu"]
    assert command(monkeypatch, *arguments) == 0
    assert "6 runs in" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "r" / "digits").iterdir()} == {
        "old",
        "vanilla",
        "mimo-mu=0.5-lam=1",
        "mimo-mu=0.5-lam=10",
    }
    assert command(monkeypatch, *arguments) == 0
    assert "0 runs in" in (shown := capsys.readouterr().out)
    assert "mimo-mu=0.5-lam=10" in shown
    assert command(monkeypatch, "compare", out, "--out", str(tmp_path / "c")) == 2
    assert "old/seed0/result.json is damaged" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "r" / "digits" / "old")
    assert command(monkeypatch, "compare", out, "--out", str(tmp_path / "c")) == 0
    assert {path.name for path in (tmp_path / "c").iterdir()} == {
        "table.md",
        "table.csv",
        *(f"digits-{figure}.{suffix}" for figure in ("gap", "epochs") for suffix in ("png", "svg")),
    }
    assert (
        command(monkeypatch, "compare", out, "--out", str(tmp_path / "c"), "--split", "validation")
        == 0
    )
    assert "digits: validation split" in capsys.readouterr().out
    assert (
        (tmp_path / "c" / "table-validation.md")
        .read_text()
        .startswith("## digits: validation split")
    )
    assert (tmp_path / "c" / "table.md").read_text().startswith("## digits: test split")
    assert (tmp_path / "c" / "digits-gap-validation.png").is_file()
    assert command(monkeypatch, "compare", out, "--split", "train") == 2
    assert "`split` must be one of ('validation', 'test'). Got 'train'." in capsys.readouterr().err
    assert command(monkeypatch, *arguments, "--lr", "0.5") == 2
    assert "another configuration: settings.lr is 0.01 there, 0.5 here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--method", "nothing"], "`method` must be one of"),
        (["run", "--set", "lam"], "`--set` must be key=value"),
        (["run", "--seeds", "0"], "`--seeds` must be >= 1"),
        (["run", "--first-seed", "-1"], "`--first-seed` must be >= 0. Got -1."),
        (["run", "--preset", "tpu"], "`preset` must be one of"),
        (
            ["run", "--dataset", "synthetic", "--method", "ogm"],
            "method 'ogm' is defined for classification. Got regression (synthetic).",
        ),
        (["run", "--jobs", "0"], "`jobs` must be >= 1"),
        (
            ["run", "--data", "noise=[1,2]"],
            "`--data` takes one number or word for each key. Got noise=[1, 2].",
        ),
        (["run", "--data", "seed=3"], "`--data` must not have seed"),
        (
            ["run", "--dataset", "avmnist", "--setting", "A", "--data", "setting=B"],
            "`--data` must not have setting",
        ),
        (["compare", "/nonexistent"], "no finished run"),
    ],
)
def test_bad_commands_end_with_a_sentence(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert (
        command(
            monkeypatch, *arguments, *(["--out", str(tmp_path)] if arguments[0] == "run" else [])
        )
        == 2
    )
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error


def test_all_methods_run_on_regression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        datasets, "load", lambda name, root=None, seed=0, **settings: tiny_regression()
    )
    arguments = [
        "run",
        "--dataset",
        "synthetic",
        "--method",
        "all",
        "--epochs",
        "1",
        "--width",
        "8",
        "--jobs",
        "1",
        "--accelerator",
        "cpu",
    ]
    assert command(monkeypatch, *arguments, "--out", str(tmp_path)) == 0
    (line,) = (
        line
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("left out, not defined for synthetic: ")
    )
    left_out = line.partition(": ")[2].split(", ")
    assert left_out == [name for name in methods.available() if methods.get(name).needs_classes]
    assert {path.name for path in (tmp_path / "synthetic").iterdir()} == set(
        methods.available()
    ) - {*left_out}


def test_a_grid_may_hold_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [
        "run",
        "--method",
        "ogm",
        "--grid",
        "window=[0,0],none,[0,1]",
        "--epochs",
        "1",
        "--jobs",
        "1",
        "--out",
        str(tmp_path),
    ]
    assert command(monkeypatch, *arguments) == 0
    assert [run.result["config"]["hyper"]["window"] for run in benchmark.read(tmp_path)] == [
        None,
        [0, 0],
        [0, 1],
    ]


def test_one_reason_is_given_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "run",
        "--method",
        "vanilla",
        "--seeds",
        "3",
        "--lr",
        "1e12",
        "--epochs",
        "1",
        "--jobs",
        "1",
        "--accelerator",
        "cpu",
    ]
    assert command(monkeypatch, *arguments, "--out", str(tmp_path)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "mimo-sim: error: digits/vanilla/seed0 and 2 more: NonFiniteError: training diverged in epoch 0"
    )


def test_seeds_may_begin_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [
        "run",
        "--method",
        "vanilla",
        "--seeds",
        "2",
        "--epochs",
        "1",
        "--jobs",
        "1",
        "--out",
        str(tmp_path),
    ]
    assert command(monkeypatch, *arguments, "--first-seed", "8") == 0
    assert {
        (run.seed, run.result["config"]["settings"]["seed"]) for run in benchmark.read(tmp_path)
    } == {(8, 8), (9, 9)}


def test_a_diverging_run_ends_with_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        command(
            monkeypatch,
            "run",
            "--method",
            "vanilla",
            "--lr",
            "1e12",
            "--epochs",
            "1",
            "--jobs",
            "1",
            "--out",
            str(tmp_path),
            "--accelerator",
            "cpu",
        )
        == 2
    )
    assert (
        "digits/vanilla/seed0: NonFiniteError: training diverged in epoch 0"
        in capsys.readouterr().err
    )


def test_without_a_setting_the_default_one_is_named_in_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[benchmark.Job] = []

    def note(jobs: list[benchmark.Job], *_: Any) -> list[Any]:
        seen.extend(jobs)
        return []

    monkeypatch.setattr(benchmark, "execute", note)
    assert (
        command(
            monkeypatch,
            "run",
            "--dataset",
            "avmnist",
            "--method",
            "vanilla",
            "--out",
            str(tmp_path),
            "--quiet",
        )
        == 0
    )
    assert (
        command(
            monkeypatch,
            "run",
            "--dataset",
            "digits",
            "--method",
            "vanilla",
            "--out",
            str(tmp_path),
            "--quiet",
        )
        == 0
    )
    assert [(str(job.place), job.data.get("setting")) for job in seen] == [
        ("avmnist-A/vanilla/seed0", "A"),
        ("digits/vanilla/seed0", None),
    ]
