"""Ranks over data sets agree with SciPy's Friedman test and with Demsar's table."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import friedmanchisquare

from mimo_sim import benchmark, plots
from mimo_sim.benchmark.comparison import Row
from mimo_sim.benchmark.ranking import on_shared_seeds
from tests.benchmark.runs import command

NAN = math.nan


def row(dataset: str, method: str, mean: float, metric: str = "accuracy") -> Row:
    return Row(dataset, "test", method, metric, 3, mean, 0.1, 3, NAN, NAN, "1.0", False)


def rows_of(table: dict[str, list[float]], metric: str = "accuracy") -> list[Row]:
    return [
        row(f"set{j}", method, mean, metric)
        for method, means in table.items()
        for j, mean in enumerate(means)
    ]


def test_equal_counts_share_a_rank_whatever_the_order_of_their_sum() -> None:
    one, other = (0.1 + 0.2 + 0.3) / 3, (0.3 + 0.2 + 0.1) / 3
    assert one != other
    found = benchmark.rank(rows_of({"a": [one, one], "b": [other, other], "c": [0.9, 0.9]}))
    assert found.ranks[1:].tolist() == [[2.5, 2.5], [2.5, 2.5]]


def test_probes_of_a_regression_are_losses() -> None:
    metric, table = "probe/text", {"a": [0.1, 0.1], "b": [0.2, 0.2], "c": [0.3, 0.3]}
    rows = rows_of(table, metric)
    assert benchmark.rank(rows, metric).methods == ("c", "b", "a")
    rows += [row("set1", "a", 1.0, "mse")]
    found = benchmark.rank(rows, metric)  # set1 is a regression: the smallest is best there
    by_name = dict(zip(found.methods, found.ranks.tolist(), strict=True))
    assert by_name == {"a": [3, 1], "b": [2, 2], "c": [1, 3]}


@given(st.integers(3, 6), st.integers(2, 5), st.randoms(use_true_random=False))
def test_friedman_is_that_of_scipy(k: int, n: int, random: object) -> None:
    draws = np.random.default_rng(random.randint(0, 2**32))  # type: ignore[attr-defined]
    values = draws.integers(0, 4, (k, n)) / 4  # with ties
    table = {f"m{i}": list(map(float, line)) for i, line in enumerate(values)}
    found = benchmark.rank(rows_of(table))
    if np.ptp(values, axis=0).max() == 0:
        assert math.isnan(found.p_value)
    else:
        expected = friedmanchisquare(*values)
        assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.ranks.sum(0) == pytest.approx([k * (k + 1) / 2] * n)
    assert (np.diff(found.mean_ranks) >= 0).all()
    for name, ranks in zip(found.methods, found.ranks, strict=True):
        for j in range(n):
            better = sum(table[other][j] > table[name][j] for other in table)
            ties = sum(table[other][j] == table[name][j] for other in table)
            assert ranks[j] == better + (1 + ties) / 2


def test_the_critical_distance_is_that_of_the_book() -> None:
    """Demsar (2006), section 3.2.3: four classifiers, 14 data sets: q = 2.569, CD = 1.25."""
    table = {f"m{i}": [float(i)] * 14 for i in range(4)}
    assert benchmark.rank(rows_of(table)).critical_distance == pytest.approx(1.25, abs=0.005)
    ten = {f"m{i}": [float(i)] * 6 for i in range(10)}  # q = 3.164 in the book's table 5
    found = benchmark.rank(rows_of(ten)).critical_distance
    assert found == pytest.approx(3.164 * math.sqrt(110 / 36), abs=0.002)


def test_the_best_comes_first_and_less_may_be_better() -> None:
    table = {"a": [1.0] * 9, "b": [2.0] * 9, "c": [3.0] * 9}
    assert benchmark.rank(rows_of(table)).methods == ("c", "b", "a")
    for metric in ("gap/probe", "mse", "loss", "seconds"):
        assert benchmark.rank(rows_of(table, metric), metric).methods == ("a", "b", "c")
    assert benchmark.rank(rows_of(table)).as_good_as_best() == ["c", "b"]  # CD = 1.10
    assert len(benchmark.rank(rows_of({m: v[:2] for m, v in table.items()})).as_good_as_best()) == 3


def test_a_method_without_runs_somewhere_is_named() -> None:
    rows = rows_of({"a": [1.0, 2.0], "b": [2.0, 3.0], "c": [3.0, 1.0]})
    found = benchmark.rank([*rows, row("set0", "d", 9.0)])
    assert found.left_out == {"d": ("set1",)}
    assert "d" not in found.methods


@pytest.mark.parametrize(
    ("rows", "metric", "words"),
    [
        (rows_of({"a": [1.0], "b": [2.0], "c": [1.0]}), "accuracy", "at least two data sets"),
        (rows_of({"a": [1.0, 1.0], "b": [2.0, 2.0]}), "accuracy", "three methods"),
        (rows_of({"a": [1.0, 1.0]}), "f1", "`metric` must be one of"),
        ([], "accuracy", "`metric` must be one of"),
    ],
)
def test_too_little_to_rank_is_refused(rows: list[Row], metric: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        benchmark.rank(rows, metric)


def test_the_figure_names_every_method_and_data_set() -> None:
    table = {"vanilla": [1.0, 3.0], "mimo": [2.0, 1.0], "ogm": [3.0, 2.0]}
    figure = plots.draw_ranks(benchmark.rank(rows_of(table)))
    (ax,) = figure.axes
    assert len(ax.get_yticklabels()) == 3
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert told == ["not told from the best (Nemenyi, 5 %)", "set0", "set1", "mean rank"]


def test_by_command(
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    again = tmp_path / "again"
    for place in results.rglob("*.*"):
        text = place.read_bytes() if place.is_file() else None
        if text is not None:
            copy = again / "other" / place.relative_to(results).relative_to("digits")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(text)
    out = tmp_path / "out"
    assert command(monkeypatch, "rank", results, again, "--out", out) == 0
    told = capsys.readouterr().out
    assert "Ranks by accuracy, 1 = best" in told
    stored = json.loads((out / "ranks.json").read_text())
    assert stored["datasets"] == ["digits", "other"]
    assert sorted(stored["methods"]) == ["mimo", "mmcosine", "vanilla"]
    assert stored["command"].startswith("mimo-sim bench rank ")
    assert (out / "ranks.png").stat().st_size > 5_000
    assert command(monkeypatch, "rank", results, again, "--method", "ogmm") == 2
    assert "`--method` must have runs" in capsys.readouterr().err
    assert command(monkeypatch, "rank", results, again, "--dataset", "coins") == 2
    said = "`--dataset` must have runs in the results. Got 'coins'. They have: digits, other."
    assert said in capsys.readouterr().err


def run_of(dataset: str, method: str, seed: int, accuracy: float) -> benchmark.FinishedRun:
    result = {
        "config": {"settings": {"seed": seed}, "data": {}},
        "metrics": {"validation": {}, "test": {"accuracy": accuracy}, "selection": "last"},
        "definitions": {},
        "git": "a1",
        "seconds": 1.0,
    }
    return benchmark.FinishedRun(dataset, method, seed, result, Path())


def test_only_the_named_data_sets_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"m{i}" for i in range(9)]
    found = [run_of(d, m, 0, i / 10) for d in ("digits", "mfeat") for i, m in enumerate(names)]
    found += [run_of("grid", m, 0, i / 10) for i, m in enumerate(names[:3])]
    monkeypatch.setattr(benchmark, "read", lambda _: found)
    assert command(monkeypatch, "rank", tmp_path, "--mixed") == 0
    told = capsys.readouterr().out
    assert "Without runs on every data set: m3, m4, m5, m6 and 2 others." in told
    chosen = ("--dataset", "digits", "--dataset", "mfeat")
    assert command(monkeypatch, "rank", tmp_path, "--mixed", *chosen) == 0
    told = capsys.readouterr().out
    assert "Without runs" not in told
    assert "the best and" in told


def test_methods_are_compared_on_the_seeds_that_they_share() -> None:
    """The second seed is easier: who was run on it only would be first."""
    found = [run_of("a", "x", 0, 0.5), run_of("a", "x", 1, 0.9), run_of("a", "y", 0, 0.6)]
    found += [run_of("b", m, 3, 0.5) for m in "xy"]
    found += [run_of("a", "only here", 7, 0.1)]
    kept = {(run.dataset, run.method, run.seed) for run in on_shared_seeds(found)}
    assert kept == {
        ("a", "x", 0),
        ("a", "y", 0),
        ("b", "x", 3),
        ("b", "y", 3),
        ("a", "only here", 7),
    }
    with pytest.raises(ValueError, match=r"share on b. Got .*'y': \[3\], 'z': \[4\]"):
        on_shared_seeds([*found, run_of("a", "z", 0, 0.5), run_of("b", "z", 4, 0.5)])
    assert on_shared_seeds([]) == []


def test_the_same_runs_in_two_places_are_refused(
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "runs.csv.gz"
    benchmark.pack(results, file)
    assert command(monkeypatch, f"rank {results} {file}") == 2
    assert "are the same data set, method and seed" in capsys.readouterr().err
