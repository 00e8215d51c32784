"""The figures of finished runs: which are drawn, and their curves over epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from mimo_sim import benchmark, plots
from mimo_sim.benchmark.wording import method_words
from tests.benchmark.runs import small_plan
from tests.plots.marks import legend_words, refuse_cut_or_overlapping_words

pytestmark = pytest.mark.usefixtures("tiny_data")


def draw(
    runs: Sequence[benchmark.FinishedRun], curves: Sequence[str] | None = None
) -> dict[str, Figure]:
    return dict(plots.draw_benchmark(runs, benchmark.summary(runs), curves))


def titles(figure: Figure) -> list[str]:
    return [ax.get_title("left") for ax in figure.axes if ax.axison]


def test_figures_show_every_method(results: Path) -> None:
    runs = benchmark.read(results)
    figures = draw(runs)
    assert set(figures) == {"digits-gap", "digits-epochs", "digits-trajectories"}
    gap, epochs = figures["digits-gap"], figures["digits-epochs"]
    assert len(gap.legends) == 1
    front = "none named is better in both"
    assert set(legend_words(gap)) == {"joint training", "MIMO", "MMCosine", front}
    # by default vanilla and mimo; vanilla has no heads of its own, and no weights
    curves = {ax.get_title("left"): len(ax.lines) for ax in epochs.axes}
    alone = {f"{name}: own heads": 1 for name in ("m1", "m2")}
    split = {f"{name}: split joint head": 2 for name in ("m1", "m2")}
    weights = {rf"{name}: weight $\sigma_k$": 1 for name in ("m1", "m2")}
    joint = {"joint accuracy (%)": 2, "joint training accuracy (%)": 2, "joint loss": 2}
    assert curves == alone | split | weights | joint
    for figure in figures.values():
        refuse_cut_or_overlapping_words(figure)
    with pytest.raises(ValueError, match="`curves` must name methods among"):
        draw(runs, ["agm"])


def test_curves_are_means_over_seeds_in_a_band_from_the_least_to_the_largest(
    results: Path,
) -> None:
    runs = benchmark.read(results)
    figures = draw(runs)
    for figure, title, column, factor in (
        ("digits-epochs", "m2: split joint head", "validation_sliced_accuracy_m2", 100),
        ("digits-trajectories", "joint training", "encoder_norm_m1", 1),
    ):
        of_vanilla = [run.table()[column] for run in runs if run.method == "vanilla"]
        expected = factor * np.array(of_vanilla)
        (ax,) = (ax for ax in figures[figure].axes if ax.get_title("left") == title)
        line, band = ax.lines[0], ax.collections[0]
        np.testing.assert_allclose(np.asarray(line.get_xdata()), [1, 2])
        np.testing.assert_allclose(np.asarray(line.get_ydata()), expected.mean(0))
        heights = np.asarray(band.get_paths()[0].vertices)[:, 1]
        for ends in (expected.min(0), expected.max(0)):
            for end in ends:
                assert np.isclose(heights, end).any()


def test_norms_stand_above_losses_and_old_records_have_no_norms(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = benchmark.read(results)
    figure = draw(runs)["digits-trajectories"]
    assert titles(figure) == ["joint training", "MIMO", "", ""]
    labels = [ax.get_ylabel() for ax in figure.axes]
    assert labels == ["encoder norm", "", "validation loss", ""]
    meanings = [ax.get_title("right") for ax in figure.axes[2:]]
    assert meanings == ["alone: split joint head", "alone: own heads"]
    assert [len(ax.lines) for ax in figure.axes] == [2, 2, 3, 3]
    table = benchmark.FinishedRun.table
    monkeypatch.setattr(
        benchmark.FinishedRun,
        "table",
        lambda run: {key: value for key, value in table(run).items() if "norm" not in key},
    )
    assert len(draw(runs)["digits-trajectories"].axes) == 2


def test_a_grid_has_its_own_figure_and_its_best_run_is_among_the_curves(tmp_path: Path) -> None:
    jobs = small_plan("vanilla", "mimo", "ogm", seeds=1, grid={"mimo.lam": [1, 2, 300]})
    assert benchmark.execute(jobs, tmp_path) == []
    runs = benchmark.read(tmp_path)
    figures = draw(runs)
    assert set(figures) == {
        "digits-gap",
        "digits-mimo-lam",
        "digits-epochs",
        "digits-trajectories",
    }
    gap = figures["digits-gap"]
    words = " ".join([*legend_words(gap), *(text.get_text() for text in gap.texts)])
    assert "joint training" in words
    assert "OGM" in words
    assert "MIMO" not in words
    accuracy = {run.method: run.metrics("validation")["accuracy"] for run in runs}
    best = max((name for name in accuracy if "mimo" in name), key=accuracy.__getitem__)
    assert legend_words(figures["digits-epochs"]) == ["joint training", method_words(best)]
    without = [run for run in runs if run.method != "ogm"]
    assert set(draw(without)) == {
        "digits-mimo-lam",
        "digits-epochs",
        "digits-trajectories",
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
    figure = draw(runs)["digits-epochs"]
    assert titles(figure) == [
        "joint accuracy (%)",
        "m1: linear probe",
        "m2: linear probe",
        "joint training accuracy (%)",
        r"m1: weight $\sigma_k$",
        r"m2: weight $\sigma_k$",
    ]
    (vanilla,) = (run for run in runs if run.method == "vanilla")
    for ax, name in zip(figure.axes[1:3], ("m1", "m2"), strict=True):
        line = ax.lines[0]
        probed = vanilla.table()[f"validation_probe_accuracy_{name}"]
        expected = [[2, 100 * probed[1]], [4, 100 * probed[3]]]
        np.testing.assert_allclose(np.asarray(line.get_xydata()), expected)
    refuse_cut_or_overlapping_words(figure)


def test_a_variant_stands_in_for_a_method_that_was_not_run(results: Path) -> None:
    runs = [
        replace(run, method="mimo-mu=7") if run.method == "mimo" else run
        for run in benchmark.read(results)
    ]
    assert legend_words(draw(runs)["digits-epochs"]) == [
        "joint training",
        "MIMO, μ = 7",
    ]


def test_curves_are_chosen_by_their_names_or_the_first_part_of_them(results: Path) -> None:
    runs = [
        replace(run, method="mimo-mu=7") if run.method == "mimo" else run
        for run in benchmark.read(results)
    ]
    for asked in (["mimo"], ["mimo-mu"], ["mimo-mu=7"]):
        figures = draw(runs, asked)
        assert legend_words(figures["-".join(["digits", "epochs", *asked])]) == ["MIMO, μ = 7"]
