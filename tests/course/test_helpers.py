"""Where the stored runs are found, what is skipped, and the questions to finished runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import mimo_sim as ms
from mimo_sim import course
from mimo_sim.benchmark import FinishedRun

ROOT = Path(__file__).resolve().parent.parent.parent
NAME = "replication/avmnist.csv.gz"


@pytest.fixture(scope="module")
def runs() -> list[FinishedRun]:
    return course.stored_runs(NAME)


def test_stored_runs_are_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path, ROOT / "notebooks", ROOT):
        monkeypatch.chdir(folder)
        assert course.stored(NAME) == ROOT / "benchmarks" / NAME


def test_where_there_is_no_repository_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ms, "__file__", str(tmp_path / "site-packages/mimo_sim/__init__.py"))
    assert course.stored(NAME) is None
    assert course.stored_runs(NAME) == []
    assert "Skipped: the stored runs are part of the repository" in capsys.readouterr().out


def test_grid_is_skipped_where_its_files_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MIMO_SIM_DATA", str(tmp_path))
    assert course.grid_words() is None
    assert f"Skipped: the words of GRID are not in {tmp_path}" in capsys.readouterr().out


def test_a_missing_package_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert course.installed("torch", "numpy")
    assert capsys.readouterr().out == ""
    assert not course.installed("torch", "no_such_package")
    assert "Skipped: no_such_package not installed" in capsys.readouterr().out


def test_three_senses_are_what_the_lesson_says() -> None:
    inputs, target = course.three_senses(20_000, seed=3)
    again, _ = course.three_senses(20_000, seed=3)
    assert all(torch.equal(one, other) for one, other in zip(inputs, again, strict=True))
    assert [tuple(x.shape) for x in inputs] == [(20_000, 4)] * 3
    sizes = [x.std().item() for x in inputs]
    assert sizes[0] > 5 * sizes[1] > 5 * sizes[2]
    # the nearest class: loud says least, faint as much as clear (standard error 0.35 points)
    right = [(x.argmax(1) == target).float().mean().item() for x in inputs]
    assert right[0] < right[1] - 0.1
    assert abs(right[1] - right[2]) < 0.02
    with pytest.raises(ValueError, match="samples"):
        course.three_senses(0)


def test_questions_are_answered_by_intervals(runs: list[FinishedRun]) -> None:
    row = course.difference(runs, "accuracy", "linear_scalarization", "vanilla")
    assert row is not None
    values = {
        method: {run.seed: run.metrics()["accuracy"] for run in runs if run.method == method}
        for method in ("linear_scalarization", "vanilla")
    }
    paired = [
        values["linear_scalarization"][seed] - value for seed, value in values["vanilla"].items()
    ]
    assert row.difference == pytest.approx(np.mean(paired))
    assert course.difference(runs, "accuracy", "mimo", "no such method") is None
    assert course.verdict(None) == "no runs"
    assert course.verdict(replace(row, difference=0.1, difference_half_width=0.2)) == (
        "no difference shown"
    )
    assert course.verdict(replace(row, difference=0.3, difference_half_width=0.2)) == "higher"
    assert course.verdict(replace(row, difference=-0.3, difference_half_width=0.2)) == "lower"
    assert course.verdict(replace(row, difference_half_width=float("nan"))) == (
        "one seed says nothing"
    )


def test_runs_are_grouped_and_the_weaker_modality_is_audio(runs: list[FinishedRun]) -> None:
    groups = course.by_dataset(runs)
    assert sum(map(len, groups.values())) == len(runs)
    assert sum(course.seeds_of(runs).values()) == len(runs)
    assert course.weaker(runs) == "audio"
    figure = course.draw_probes(groups, ["vanilla", "linear_scalarization"])
    (ax,) = figure.axes
    assert len(ax.lines) == 2 * min(course.seeds_of(runs).values())
    weights = course.weights_of_the_weaker(groups)
    assert all(((weight >= 0) & (weight <= 1)).all() for weight in weights.values())


def test_a_table_is_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    course.show_table("Title", ["a", "b"], [["1", "2"]])
    assert "IPython.core.display.Markdown" in capsys.readouterr().out
    course.tell_noise("avmnist-A", course.stored_runs(NAME))
    said = capsys.readouterr().out
    assert "standard error of one test accuracy 1.0 points" in said  # sqrt(0.25 / 2000) at most 1.1


def test_samples_are_drawn_as_they_are() -> None:
    digits = ms.datasets.load("digits")
    figure = course.draw_halves(digits, count=3)
    assert len(figure.axes) == 6
    shown = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(shown, digits.train.inputs[0][0].reshape(-1, 8))
