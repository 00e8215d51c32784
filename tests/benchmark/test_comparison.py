"""Finished runs compared: intervals, paired differences, tables."""

from __future__ import annotations

import csv
import math
import shutil
from pathlib import Path

import pytest

from mimo_sim import benchmark, plots
from mimo_sim.benchmark import tables
from mimo_sim.benchmark.comparison import interval, rows_by_name, split_suffix, unequal_settings
from mimo_sim.benchmark.records import SPLITS
from mimo_sim.training import train
from tests.benchmark.runs import command, small_plan
from tests.networks import SETTINGS, tiny_regression

pytestmark = pytest.mark.usefixtures("tiny_data")


def test_comparisons_pair_seeds(results: Path) -> None:
    runs = benchmark.read(results)
    rows = rows_by_name(benchmark.summary(runs))
    accuracy = {(run.method, run.seed): run.result["metrics"]["test"]["accuracy"] for run in runs}
    differences = [accuracy["mimo", seed] - accuracy["vanilla", seed] for seed in range(3)]
    row = rows["mimo", "accuracy"]
    assert (row.n, row.pairs) == (3, 3)
    assert (row.difference, row.difference_half_width) == interval(differences)
    assert (row.mean, row.half_width) == interval([accuracy["mimo", seed] for seed in range(3)])
    assert rows["vanilla", "accuracy"].pairs == 0
    without_one = [run for run in runs if (run.method, run.seed) != ("vanilla", 1)]
    fewer = rows_by_name(benchmark.summary(without_one))
    assert fewer["mimo", "accuracy"].difference == interval([differences[0], differences[2]])[0]


def test_tables_as_markdown_and_csv(results: Path) -> None:
    rows = benchmark.summary(benchmark.read(results))
    text = tables.markdown(rows)
    lines = text.splitlines()
    header = next(line for line in lines if line.startswith("| method"))
    assert "accuracy - vanilla" in header
    assert {"heads m1", "probe m2", "sliced m1"} <= {cell.strip() for cell in header.split("|")}
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    assert lines[lines.index(header) + 2].startswith("| vanilla | 3 |")
    assert "- probe: (d) a linear probe" in text
    stored = list(csv.DictReader(tables.comma_separated(rows).splitlines()))
    assert len(stored) == len(rows)
    means = {(one["method"], one["figure"]): float(one["mean"]) for one in stored}
    assert means["mimo", "probe/m1"] == rows_by_name(rows)["mimo", "probe/m1"].mean


def test_either_split_can_be_summed_up(results: Path) -> None:
    runs = benchmark.read(results)
    found = {split: benchmark.summary(runs, split=split) for split in SPLITS}
    assert benchmark.summary(runs) == found["test"] != found["validation"]
    for split, rows in found.items():
        stored = [
            run.result["metrics"][split]["unimodal"]["probe"]["m2"]
            for run in runs
            if run.method == "mimo"
        ]
        row = rows_by_name(rows)["mimo", "probe/m2"]
        assert (row.split, row.mean) == (split, interval(stored)[0])
        assert tables.markdown(rows).startswith(f"## digits: {split} split, in %")
        lines = tables.comma_separated(rows).splitlines()
        assert {line["split"] for line in csv.DictReader(lines)} == {split}
        suffix = "-validation" if split == "validation" else ""
        assert split_suffix(rows) == suffix
        assert f"digits-gap{suffix}" in dict(plots.draw_benchmark(runs, rows))
    words = r"`split` must be one of \('validation', 'test'\)\. Got 'train'\."
    with pytest.raises(ValueError, match=words):
        benchmark.summary(runs, split="train")


def test_losses_of_regression_are_not_shown_in_percent(tmp_path: Path) -> None:
    folder = tmp_path / "line" / "vanilla" / "seed0"
    result = train("vanilla", tiny_regression(), epochs=1, folder=folder, **SETTINGS)
    rows = benchmark.summary(benchmark.read(tmp_path))
    ((title, header, (cells,)),) = benchmark.comparison_tables(rows)
    assert "%" not in title.replace("95 %", "")
    shown = dict(zip(header, cells, strict=True))
    metrics = result.metrics["test"]
    half_a_digit = 5e-4
    probe, gap = metrics["unimodal"]["probe"]["a"], metrics["gap"]["probe"]
    assert float(shown["probe a"]) == pytest.approx(probe, abs=half_a_digit)
    assert float(shown["gap probe"]) == pytest.approx(gap, abs=half_a_digit)


def test_a_baseline_that_is_not_there_is_refused(results: Path) -> None:
    runs = benchmark.read(results)
    words = r"`baseline` must be one of \('mimo', 'mmcosine', 'vanilla'\)\. Got 'agm'"
    with pytest.raises(ValueError, match=words):
        benchmark.summary(runs, "agm")


def test_without_vanilla_there_are_means_but_no_differences(results: Path) -> None:
    runs = [run for run in benchmark.read(results) if run.method != "vanilla"]
    rows = benchmark.summary(runs)
    assert rows
    assert all(row.pairs == 0 and math.isnan(row.difference) for row in rows)


def test_losses_have_digits_enough_to_differ() -> None:
    assert tables._cell(0.00012345, 0.0000067, percent=False) == "0.0001234 ± 0.0000067"
    assert tables._cell(-0.00000213, math.nan, percent=False, sign="+") == "-0.0000021"
    assert tables._cell(1.5, 0.25, percent=False) == "1.500 ± 0.250"
    assert tables._cell(0.5, 0.001, percent=True) == "50.0 ± 0.1"


def test_methods_that_were_not_trained_alike_are_named(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert unequal_settings(benchmark.read(results)) == []
    shutil.copytree(results, tmp_path, dirs_exist_ok=True)
    shorter = small_plan("unimodal", seeds=2, settings={"epochs": 1})
    assert benchmark.execute(shorter, tmp_path) == []
    runs = benchmark.read(tmp_path)
    said = "digits: not trained alike, epochs is 2 for mimo, mmcosine, vanilla; 1 for unimodal"
    assert unequal_settings(runs) == [said]
    assert said in tables.notes(runs)
    out = tmp_path / "tables"
    assert command(monkeypatch, "compare --quiet", tmp_path, "--out", out) == 0
    assert f"\n- {said}\n" in (out / "table.md").read_text()


@pytest.mark.parametrize(
    ("mean", "half_width", "expected"),
    [
        (0.5, 0.25, "0.500 ± 0.250"),
        (0.5, 0.01, "0.500 ± 0.010"),
        (0.5, 0.0099, "0.5000 ± 0.0099"),
        (1.0, 2.5e-11, "1.000000000000 ± 0.000000000025"),
        (1.0, 2.5e-13, "1.000000000000 ± 0.000000000000"),
        (1.0, 0.0, "1.000 ± 0.000"),
        (2.5e-4, math.nan, "0.00025"),
        (math.nan, math.nan, ""),
    ],
)
def test_losses_have_two_digits_of_their_uncertainty(
    mean: float, half_width: float, expected: str
) -> None:
    assert tables._cell(mean, half_width, percent=False) == expected
