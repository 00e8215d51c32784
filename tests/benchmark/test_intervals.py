"""Numbers that end up in tables: against scipy, a published table of Student's t, and by hand."""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from mimo_sim import benchmark
from mimo_sim.benchmark import tables
from mimo_sim.benchmark.comparison import rows_by_name

# Quantiles t(0.975; n - 1) by n: NIST/SEMATECH e-Handbook of Statistical Methods, table 1.3.6.7.2
PUBLISHED = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 8: 2.365, 11: 2.228}
PUBLISHED |= {16: 2.131, 31: 2.042, 101: 1.984}

NUMBERS = st.floats(-1e3, 1e3, allow_subnormal=False)
SAMPLES = st.lists(NUMBERS, min_size=2, max_size=12).filter(
    lambda values: max(values) - min(values) > 1e-6
)


def a_run(
    method: str, seed: int, figures: Mapping[str, Any], seconds: float = 1.0, **of: str
) -> benchmark.FinishedRun:
    """A run that was never run, with these figures on its test split."""
    metrics = {"validation": {}, "test": dict(figures), "selection": "last"}
    config = {"settings": {"seed": seed}, "data": {}}
    result = {"config": config, "metrics": metrics, "seconds": seconds, "definitions": {}}
    result["git"] = "a1"
    return benchmark.FinishedRun(of.get("dataset", "coins"), method, seed, result, Path())


def runs_of(values: Mapping[str, Sequence[float]], figure: str) -> list[benchmark.FinishedRun]:
    """Runs of methods, with one figure for each of the seeds 0, 1, ..."""
    return [
        a_run(method, seed, {figure: value})
        for method, column in values.items()
        for seed, value in enumerate(column)
    ]


@pytest.mark.parametrize(("n", "quantile"), PUBLISHED.items())
def test_half_widths_are_published_quantiles_times_standard_errors(n: int, quantile: float) -> None:
    values = [math.sin(k) for k in range(n)]
    _, half_width = benchmark.interval(values)
    standard_error = statistics.stdev(values) / math.sqrt(n)
    assert round(half_width / standard_error, 3) == quantile


@given(SAMPLES)
def test_intervals_are_those_of_scipy(values: list[float]) -> None:
    mean, half_width = benchmark.interval(values)
    low, high = scipy.stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert mean == pytest.approx(statistics.fmean(values), rel=1e-12, abs=1e-12)
    assert (mean - half_width, mean + half_width) == pytest.approx((low, high), rel=1e-7, abs=1e-9)


def test_nine_of_ten_intervals_would_not_be_enough() -> None:
    """Of many intervals over draws from one law about 95 % hold its mean."""
    draws = scipy.stats.norm(3.0, 2.0).rvs((4000, 4), random_state=0)
    held = 0
    for row in draws:
        mean, half_width = benchmark.interval(row.tolist())
        held += abs(mean - 3.0) <= half_width
    assert 0.94 < held / len(draws) < 0.96


@pytest.mark.parametrize("values", [[], [0.7]])
def test_fewer_than_two_values_have_no_interval(values: list[float]) -> None:
    mean, half_width = benchmark.interval(values)
    assert math.isnan(half_width)
    assert mean == 0.7 if values else math.isnan(mean)


@pytest.mark.parametrize(
    "values",
    [
        [0.01, 0.01],
        [0.0, 0.0, 0.0],
        [-2.5] * 8,
        [343 / 360 - 340 / 360, 303 / 360 - 300 / 360],  # equal but for rounding
    ],
)
def test_equal_values_have_no_interval(values: list[float]) -> None:
    """They do not show how much they scatter, and an interval of width 0 would claim certainty."""
    mean, half_width = benchmark.interval(values)
    assert mean == pytest.approx(values[0])
    assert math.isnan(half_width)


def test_nearly_equal_values_have_one() -> None:
    assert benchmark.interval([0.5, 0.5 + 1e-9])[1] == pytest.approx(12.706 * 0.5e-9, rel=1e-3)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=8))
def test_differences_are_paired_by_seed(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = zip(*pairs, strict=True)
    differences = [one - other for one, other in pairs]
    assume(max(differences) - min(differences) > 1e-6)
    runs = runs_of({"mimo": ours, "vanilla": theirs}, "accuracy")
    extra = [a_run("mimo", 50, {"accuracy": 900.0}), a_run("vanilla", 60, {"accuracy": -900.0})]
    row = rows_by_name(benchmark.summary([*runs, *extra]))["mimo", "accuracy"]
    low, high = scipy.stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    found = (
        row.difference - row.difference_half_width,
        row.difference + row.difference_half_width,
    )
    assert found == pytest.approx((low, high), rel=1e-7, abs=1e-7)
    assert (row.n, row.pairs) == (len(pairs) + 1, len(pairs))


# Three seeds of two methods. By hand: the accuracies of mimo have mean 0.74 and standard deviation
# 0.02, so the half-width is 4.3027 * 0.02 / sqrt(3) = 0.04968. The differences to vanilla are 0.04,
# 0.03, 0.05: mean 0.04, half-width 4.3027 * 0.01 / sqrt(3) = 0.02484.
FIGURES: dict[str, dict[str, list[float]]] = {
    "vanilla": {"accuracy": [0.68, 0.71, 0.71], "a": [0.50, 0.60, 0.70], "b": [0.40, 0.40, 0.46]},
    "mimo": {"accuracy": [0.72, 0.74, 0.76], "a": [0.55, 0.60, 0.65], "b": [0.50, 0.52, 0.54]},
}
SECONDS = {"vanilla": [10.0, 11.0, 13.0], "mimo": [20.0, 22.0, 27.0]}


def by_hand() -> list[benchmark.FinishedRun]:
    runs = []
    for method, figures in FIGURES.items():
        for seed in range(3):
            accuracy, a, b = (figures[name][seed] for name in ("accuracy", "a", "b"))
            content = {
                "accuracy": accuracy,
                "macro_f1": accuracy - 0.01,
                "unimodal": {
                    "probe": {"a": a, "b": b},
                    "heads": {"a": a - 0.02, "b": b - 0.02},
                    "sliced": {"a": a - 0.1, "b": b - 0.1},
                },
                "gap": {"probe": a - b},
            }
            runs.append(a_run(method, seed, content, SECONDS[method][seed]))
    return runs


def test_every_field_of_a_row() -> None:
    rows = rows_by_name(benchmark.summary(by_hand()))
    assert asdict(rows["mimo", "accuracy"]) == {
        "dataset": "coins",
        "split": "test",
        "method": "mimo",
        "metric": "accuracy",
        "n": 3,
        "mean": pytest.approx(0.74),
        "half_width": pytest.approx(0.04968, abs=1e-5),
        "pairs": 3,
        "difference": pytest.approx(0.04),
        "difference_half_width": pytest.approx(0.02484, abs=1e-5),
        "origin": "a1",
        "mixed": False,
    }
    baseline = rows["vanilla", "accuracy"]
    assert (baseline.n, baseline.pairs) == (3, 0)
    assert math.isnan(baseline.difference)
    assert math.isnan(baseline.difference_half_width)
    assert rows["mimo", "seconds"].difference == pytest.approx((10 + 11 + 14) / 3)
    other = rows_by_name(benchmark.summary(by_hand(), "mimo"))["vanilla", "accuracy"]
    assert other.pairs == 3
    assert other.difference == pytest.approx(-0.04)


def test_every_cell_of_a_table() -> None:
    rows = benchmark.summary(by_hand())
    ((title, header, cells),) = benchmark.comparison_tables(rows)
    assert title == "coins: test split, in %, mean ± 95 % interval over seeds"
    shown = [dict(zip(header, line, strict=True)) for line in cells]
    assert shown == [
        {
            "method": "vanilla",
            "seeds": "3",
            "accuracy": "70.0 ± 4.3",
            "accuracy - vanilla": "",
            "macro F1": "69.0 ± 4.3",
            "probe a": "60.0 ± 24.8",
            "probe b": "42.0 ± 8.6",
            "heads a": "58.0 ± 24.8",
            "heads b": "40.0 ± 8.6",
            "sliced a": "50.0 ± 24.8",
            "sliced b": "32.0 ± 8.6",
            "gap probe": "18.0 ± 17.9",
            "seconds": "11.3",
            "code": "a1",
        },
        {
            "method": "mimo",
            "seeds": "3",
            "accuracy": "74.0 ± 5.0",
            "accuracy - vanilla": "+4.0 ± 2.5",
            "macro F1": "73.0 ± 5.0",
            "probe a": "60.0 ± 12.4",
            "probe b": "52.0 ± 5.0",
            "heads a": "58.0 ± 12.4",
            "heads b": "50.0 ± 5.0",
            "sliced a": "50.0 ± 12.4",
            "sliced b": "42.0 ± 5.0",
            "gap probe": "8.0 ± 7.5",
            "seconds": "23.0",
            "code": "a1",
        },
    ]
    ((_, header, cells),) = benchmark.comparison_tables(rows, brief=True)
    assert [dict(zip(header, line, strict=True)) for line in cells][1] == {
        "method": "mimo",
        "n": "3",
        "accuracy": "74.0±5.0",
        "accuracy - vanilla": "+4.0±2.5",
        "probe a": "60.0±12.4",
        "probe b": "52.0±5.0",
        "gap probe": "8.0±7.5",
    }


def test_every_cell_of_the_csv() -> None:
    rows = benchmark.summary(by_hand())
    lines = list(csv.reader(tables.comma_separated(rows).splitlines()))
    assert lines[0] == [
        "dataset",
        "split",
        "method",
        "figure",
        "n",
        "mean",
        "half_width",
        "pairs",
        "difference",
        "difference_half_width",
        "origin",
        "mixed",
    ]
    for line, row in zip(lines[1:], rows, strict=True):
        assert line[:5] == [row.dataset, row.split, row.method, row.metric, str(row.n)]
        assert line[7] == str(row.pairs)
        assert line[10:] == ["a1", "False"]
        for cell, value in zip([*line[5:7], *line[8:10]], _floats(row), strict=True):
            assert cell == ("" if math.isnan(value) else repr(value))


def _floats(row: benchmark.Row) -> list[float]:
    return [row.mean, row.half_width, row.difference, row.difference_half_width]


def test_methods_are_ordered_by_what_is_better() -> None:
    accuracy = {"vanilla": [0.5, 0.6], "mimo": [0.9, 0.7], "agm": [0.1, 0.2], "cml": [0.95, 0.9]}
    assert _order(accuracy, "accuracy") == ["vanilla", "cml", "mimo", "agm"]
    assert _order(accuracy, "mse") == ["vanilla", "agm", "mimo", "cml"]
    assert _order(accuracy, "accuracy", "mimo") == ["mimo", "cml", "vanilla", "agm"]


def _order(values: Mapping[str, Sequence[float]], figure: str, baseline: str = "vanilla") -> Any:
    rows = benchmark.summary(runs_of(values, figure), baseline)
    complete = [*rows, *(row for row in rows if row.metric == "seconds")]
    ((_, _, cells),) = benchmark.comparison_tables(complete, baseline)
    return [line[0] for line in cells]


def test_an_interval_over_equal_differences_is_not_printed_as_zero() -> None:
    accuracy = {"vanilla": [0.90, 0.80], "mimo": [0.91, 0.81]}
    runs = runs_of(accuracy, "accuracy")
    rows = benchmark.summary(runs)
    ((_, header, cells),) = benchmark.comparison_tables(rows, brief=True)
    assert dict(zip(header, cells[1], strict=True))["accuracy - vanilla"] == "+1.0"
    explained = (
        "no ±: one seed, or the same value for all seeds, which does not show how much they scatter"
    )
    assert explained in tables.notes(runs, rows)
    assert f"- {explained}\n" in tables.markdown(rows)
    scattered = runs_of({"vanilla": [0.90, 0.80], "mimo": [0.91, 0.82]}, "accuracy")
    rows = benchmark.summary(scattered)
    assert explained not in tables.notes(scattered, rows)
    assert explained not in tables.markdown(rows)
