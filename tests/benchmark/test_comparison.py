"""Finished runs compared: intervals, paired differences, tables."""

from __future__ import annotations

import csv
import math
import shutil
from pathlib import Path

import pytest

from mimo_sim import benchmark, plots
from mimo_sim.benchmark import comparison, tables
from mimo_sim.benchmark.records import SPLITS
from mimo_sim.training import train
from tests.benchmark.runs import command, small_plan
from tests.networks import SETTINGS, tiny_regression

pytestmark = pytest.mark.usefixtures("tiny_data")


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
    text = tables.markdown(rows)
    lines = text.splitlines()
    header = next(line for line in lines if line.startswith("| method"))
    assert "accuracy - vanilla" in header
    assert {"heads m1", "probe m2", "sliced m1"} <= {cell.strip() for cell in header.split("|")}
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    assert lines[lines.index(header) + 2].startswith("| vanilla | 3 |")
    assert "- probe: (d) a linear probe" in text
    parsed = list(csv.DictReader(tables.comma_separated(rows).splitlines()))
    assert len(parsed) == len(rows)
    assert float(
        next(r for r in parsed if r["method"] == "mimo" and r["figure"] == "probe/m1")["mean"]
    ) == next(r.mean for r in rows if (r.method, r.figure) == ("mimo", "probe/m1"))


def test_either_split_can_be_summed_up(results: Path) -> None:
    runs = benchmark.read(results)
    found = {split: comparison.summary(runs, split=split) for split in SPLITS}
    assert comparison.summary(runs) == found["test"] != found["validation"]
    for split, rows in found.items():
        stored = [
            run.result["metrics"][split]["unimodal"]["probe"]["m2"]
            for run in runs
            if run.method == "mimo"
        ]
        (row,) = (row for row in rows if (row.method, row.figure) == ("mimo", "probe/m2"))
        assert (row.split, row.mean) == (split, comparison.interval(stored)[0])
        assert tables.markdown(rows).startswith(f"## digits: {split} split, in %")
        assert {r["split"] for r in csv.DictReader(tables.comma_separated(rows).splitlines())} == {
            split
        }
        assert f"digits-gap{'-validation' * (split == 'validation')}" in dict(
            plots.draw_benchmark(runs, rows)
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
    ((title, header, (row,)),) = tables.comparison_tables(
        comparison.summary(benchmark.read(tmp_path))
    )
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


def test_losses_have_digits_enough_to_differ() -> None:
    assert tables._cell(0.00012345, 0.0000067, percent=False) == "0.0001234 ± 0.0000067"
    assert tables._cell(-0.00000213, math.nan, percent=False, sign=True) == "-0.0000021"
    assert tables._cell(1.5, 0.25, percent=False) == "1.500 ± 0.250"
    assert tables._cell(0.5, 0.001, percent=True) == "50.0 ± 0.1"


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
    assert tables.notes(runs)[-1] == comparison.unlike(runs)[0]
    assert (
        command(monkeypatch, "compare", str(tmp_path), "--out", str(tmp_path / "tables"), "--quiet")
        == 0
    )
    assert (
        (tmp_path / "tables" / "table.md")
        .read_text()
        .endswith(f"\n- {comparison.unlike(runs)[0]}\n")
    )
