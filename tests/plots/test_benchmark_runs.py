"""The figures of finished runs: which are drawn, and their curves over epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from matplotlib.figure import Figure

from mimo_sim import benchmark, plots
from tests.benchmark.runs import small_plan
from tests.plots.marks import legend_words, refuse_cut_or_overlapping_words

pytestmark = pytest.mark.usefixtures("tiny_data")


def draw(
    runs: Sequence[benchmark.FinishedRun], curves: Sequence[str] | None = None
) -> dict[str, Figure]:
    return dict(plots.draw_benchmark(runs, benchmark.summary(runs), curves))


def test_figures_show_every_method(results: Path) -> None:
    runs = benchmark.read(results)
    figures = draw(runs)
    assert set(figures) == {"digits-gap", "digits-epochs"}
    gap, epochs = figures["digits-gap"], figures["digits-epochs"]
    assert len(gap.legends) == 1
    front = "none shown is better in both"
    assert set(legend_words(gap)) == {"vanilla", "mimo", "mmcosine", front}
    # by default vanilla and mimo; vanilla has no heads of its own, and no weights
    assert {ax.get_title("left"): len(ax.lines) for ax in epochs.axes} == {
        "(a) joint": 2,
        "(b) alone: own heads": 2,
        "(c) alone: split joint head": 4,
        r"(d) weights $\sigma_k$": 2,
    }
    weights = [np.asarray(line.get_ydata()) for line in epochs.axes[-1].lines]
    assert np.sum(weights, axis=0) == pytest.approx([1.0, 1.0])
    for figure in figures.values():
        refuse_cut_or_overlapping_words(figure)
    with pytest.raises(ValueError, match="`curves` must name methods among"):
        draw(runs, ["agm"])


def test_a_grid_has_its_own_figure_and_its_best_run_is_among_the_curves(tmp_path: Path) -> None:
    jobs = small_plan("vanilla", "mimo", "ogm", seeds=1, grid={"mimo.lam": [1, 2, 300]})
    assert benchmark.execute(jobs, tmp_path) == []
    runs = benchmark.read(tmp_path)
    figures = draw(runs)
    assert set(figures) == {"digits-gap", "digits-mimo-lam", "digits-epochs"}
    gap = figures["digits-gap"]
    words = " ".join([*legend_words(gap), *(text.get_text() for text in gap.texts)])
    assert "vanilla" in words
    assert "ogm" in words
    assert "mimo" not in words
    accuracy = {run.method: run.metrics("validation")["accuracy"] for run in runs}
    best = max((name for name in accuracy if "mimo" in name), key=accuracy.__getitem__)
    assert legend_words(figures["digits-epochs"]) == ["vanilla", best]
    without = [run for run in runs if run.method != "ogm"]
    assert set(draw(without)) == {"digits-mimo-lam", "digits-epochs"}


def test_probes_during_training_are_the_one_definition(tmp_path: Path) -> None:
    settings = {"epochs": 4, "probe_every": 2}
    long = {"f_star": "running_minimum", "heads": "gradient", "gap": "relative", "normalise": True}
    jobs = [
        *small_plan("vanilla", "mimo", seeds=1, settings=settings),
        *small_plan("mimo", seeds=1, settings=settings, hyper=long, grid={"decay": [0.9, 0.95]}),
    ]
    assert benchmark.execute(jobs, tmp_path) == []
    runs = benchmark.read(tmp_path)
    figure = draw(runs)["digits-epochs"]
    assert [ax.get_title("left") for ax in figure.axes] == [
        "(a) joint",
        "(b) alone: linear probe",
        r"(c) weights $\sigma_k$",
    ]
    of_vanilla = figure.axes[1].lines[:2]
    assert len({line.get_linestyle() for line in of_vanilla}) == 2  # dashes of each modality
    (vanilla,) = (run for run in runs if run.method == "vanilla")
    for line, name in zip(of_vanilla, ("m1", "m2"), strict=True):
        probed = vanilla.table()[f"validation_probe_accuracy_{name}"]
        expected = [[2, 100 * probed[1]], [4, 100 * probed[3]]]
        np.testing.assert_allclose(np.asarray(line.get_xydata()), expected)
    refuse_cut_or_overlapping_words(figure)


def test_a_variant_stands_in_for_a_method_that_was_not_run(results: Path) -> None:
    runs = [
        replace(run, method="mimo-mu=7") if run.method == "mimo" else run
        for run in benchmark.read(results)
    ]
    assert legend_words(draw(runs)["digits-epochs"]) == ["vanilla", "mimo-mu=7"]


def test_curves_are_chosen_by_their_names_or_the_first_part_of_them(results: Path) -> None:
    runs = [
        replace(run, method="mimo-mu=7") if run.method == "mimo" else run
        for run in benchmark.read(results)
    ]
    for asked in (["mimo"], ["mimo-mu"], ["mimo-mu=7"]):
        figures = draw(runs, asked)
        assert legend_words(figures["-".join(["digits", "epochs", *asked])]) == ["mimo-mu=7"]


def test_equal_curves_show_their_marks_side_by_side(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["mimo", "mimo-mu=7"]
    runs = [run for run in benchmark.read(results) if run.method == "mimo"]
    twins = [replace(run, method=name) for run in runs for name in names]
    rising = {"validation_accuracy": [0.1 * epoch for epoch in range(24)]}
    monkeypatch.setattr(benchmark.FinishedRun, "table", lambda _: rising)
    figure = plots.draw_epochs(twins, names, plots.method_looks(names))
    marked = []
    for line in figure.axes[0].lines:
        first, every = cast("tuple[int, int]", line.get_markevery())
        marked.append(set(range(first, 24, every)))
    assert len(marked) == 2
    assert marked[0].isdisjoint(marked[1])
