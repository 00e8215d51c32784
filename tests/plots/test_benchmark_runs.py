"""The figures of finished runs: which are drawn, and their curves over epochs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from mimo_sim import benchmark, plots
from mimo_sim.benchmark import comparison
from tests.benchmark.runs import small_plan
from tests.plots.marks import refuse_cut_or_overlapping_words

pytestmark = pytest.mark.usefixtures("tiny_data")


def test_figures_show_every_method(results: Path) -> None:
    runs = benchmark.read(results)
    figures = dict(plots.draw_benchmark(runs, comparison.summary(runs)))
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
        list(plots.draw_benchmark(runs, comparison.summary(runs), ["agm"]))


def test_a_grid_has_its_own_figure_and_its_best_run_is_among_the_curves(tmp_path: Path) -> None:
    assert (
        benchmark.execute(
            small_plan("vanilla", "mimo", "ogm", seeds=1, grid={"mimo.lam": [1, 2, 300]}), tmp_path
        )
        == []
    )
    runs = benchmark.read(tmp_path)
    figures = dict(plots.draw_benchmark(runs, comparison.summary(runs)))
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
    assert set(dict(plots.draw_benchmark(without, comparison.summary(without)))) == {
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
    _, figure = list(plots.draw_benchmark(runs, comparison.summary(runs)))[-1]
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


def test_a_variant_stands_in_for_a_method_that_was_not_run(results: Path) -> None:
    runs = [
        replace(run, method="mimo-mu=7") if run.method == "mimo" else run
        for run in benchmark.read(results)
    ]
    figure = dict(plots.draw_benchmark(runs, comparison.summary(runs)))["digits-epochs"]
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
    figure = plots.draw_epochs(
        twins, ["mimo", "mimo-mu=7"], plots.method_looks(["mimo", "mimo-mu=7"])
    )
    marked = [
        {*range(24)[slice(first, None, every)]}
        for line in figure.axes[0].lines
        for first, every in [cast("tuple[int, int]", line.get_markevery())]
    ]
    assert len(marked) == 2
    assert not marked[0] & marked[1]
