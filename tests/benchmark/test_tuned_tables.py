"""Tuned methods beside their defaults, and what a table says of runs that differ: by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mimo_sim import benchmark
from mimo_sim.benchmark import comparison, tables
from mimo_sim.benchmark.comparison import interval, rows_by_name

# 95 % half-widths over two values are 12.706 / 2 times their distance.
WIDTH = 12.7062047 / 2


def finished(
    method: str, values: Sequence[float], figure: str = "accuracy", **config: Any
) -> list[benchmark.FinishedRun]:
    """Runs of seeds 0, 1, ... that were never run."""
    return [
        benchmark.FinishedRun(
            config.get("dataset", "coins"),
            method,
            seed,
            {
                "config": {
                    "settings": {"seed": seed, "epochs": 3} | config.get("settings", {}),
                    "data": {"seed": seed, "checksum": "f", "noise": 1.0} | config.get("data", {}),
                    **({"tuning": config["tuning"]} if "tuning" in config else {}),
                },
                "metrics": {
                    "validation": {},
                    "test": {figure: value},
                    "selection": config.get("selection", "last"),
                },
                "seconds": 1.0,
                "definitions": {"probe": "(d) a probe", "heads": "(h) a head"},
                "git": config.get("git", "a1"),
            },
            Path(),
        )
        for seed, value in enumerate(values)
        if not math.isnan(value)
    ]


def tuning(
    score: float, trials: int = 20, seeds: int = 2, diverged: int = 0, **values: Any
) -> dict[str, Any]:
    return {
        "trials": trials,
        "trial_seeds": list(range(seeds)),
        "values": values,
        "score": score,
        "diverged": diverged,
    }


def race(
    figure: str = "accuracy", sign: float = 1.0, dataset: str = "coins"
) -> list[benchmark.FinishedRun]:
    """Vanilla gains 0.02 and 0.04 by tuning, MIMO 0.10 and 0.12; MIMO leads by 0.05 and 0.07."""
    runs = []
    for method, default, tuned, about in (
        ("vanilla", [0.60, 0.62], [0.62, 0.66], tuning(0.7 * sign, lr=0.0123456)),
        ("mimo", [0.57, 0.61], [0.67, 0.73], tuning(0.8 * sign, lam=3, mu=0.05)),
        ("cml", [0.10], [0.20, 0.20], tuning(0.3 * sign, trials=5, diverged=1)),
    ):
        runs += finished(method, default, figure, dataset=dataset)
        runs += finished(f"{method}-tuned", tuned, figure, dataset=dataset, tuning=about)
    return runs


def test_every_field_of_a_tuned_row() -> None:
    rows = {row.method: row for row in comparison.tuned_rows(race())}
    assert list(rows) == ["mimo", "vanilla", "cml"]  # the best tuned one first
    row = rows["mimo"]
    assert (row.dataset, row.pairs) == ("coins", 2)
    assert row.default == pytest.approx((0.59, 0.04 * WIDTH))
    assert row.tuned == pytest.approx((0.70, 0.06 * WIDTH))
    assert row.gain == pytest.approx((0.11, 0.02 * WIDTH))
    assert row.lead == pytest.approx((0.06, 0.02 * WIDTH))
    assert row.tuning["values"] == {"lam": 3, "mu": 0.05}
    assert all(map(math.isnan, rows["vanilla"].lead))  # the baseline does not lead itself
    assert rows["cml"].pairs == 1
    assert rows["cml"].tuned[0] == 0.20
    assert rows["cml"].gain[0] == pytest.approx(0.10)
    ahead = {row.method: row.lead[0] for row in comparison.tuned_rows(race(), "mimo")}
    assert ahead["vanilla"] == pytest.approx(-0.06)
    assert math.isnan(ahead["mimo"])


def test_losses_are_better_when_they_are_smaller() -> None:
    rows = comparison.tuned_rows(race("mse", -1.0))
    assert [row.method for row in rows] == ["cml", "vanilla", "mimo"]
    ((_, header, cells),) = tables.tuned_tables(race("mse", -1.0))
    shown = dict(zip(header, cells[-1], strict=True))
    assert shown["tuned"] == "0.700 ± 0.381"
    assert shown["validation"] == "0.800"  # a loss is stored with a minus sign


def test_each_data_set_has_its_own_order() -> None:
    """Accuracies and errors in one folder: large ones are good in one, small ones in the other."""
    both = race() + race("mse", -1.0, "weights")
    for runs in (both, both[::-1]):
        order = [(row.dataset, row.method) for row in comparison.tuned_rows(runs)]
        assert order == [
            *(("coins", name) for name in ("mimo", "vanilla", "cml")),
            *(("weights", name) for name in ("cml", "vanilla", "mimo")),
        ]


def test_every_cell_of_a_tuned_table() -> None:
    ((title, header, cells),) = tables.tuned_tables(race())
    wanted = (
        "coins: tuned with equal budgets (trials x seeds of each), test split of fresh seeds, "
        "in %, mean ± 95 % interval"
    )
    assert title == wanted
    assert [dict(zip(header, line, strict=True)) for line in cells][:2] == [
        {
            "method": "mimo",
            "budget": "20 x 2",
            "seeds": "2",
            "defaults": "59.0 ± 25.4",
            "tuned": "70.0 ± 38.1",
            "tuned - defaults": "+11.0 ± 12.7",
            "tuned - tuned vanilla": "+6.0 ± 12.7",
            "validation": "80.0",
            "chosen values": "lam=3, mu=0.05",
        },
        {
            "method": "vanilla",
            "budget": "20 x 2",
            "seeds": "2",
            "defaults": "61.0 ± 12.7",
            "tuned": "64.0 ± 25.4",
            "tuned - defaults": "+3.0 ± 12.7",
            "tuned - tuned vanilla": "",
            "validation": "70.0",
            "chosen values": "lr=0.0123",
        },
    ]
    assert cells[2][1] == "5 x 2 (1 diverged)"
    assert cells[2][4] == "20.0"  # equal values have no interval
    assert list(tables.tuned_tables([])) == []
    ((_, _, (alone,)),) = tables.tuned_tables(finished("mimo-tuned", [0.9], tuning=tuning(0.9)))
    assert alone[3:6] == ("", "90.0", "")


def test_data_sets_have_tables_of_their_own() -> None:
    runs = race() + finished("mimo-tuned", [0.9, 0.8], dataset="dice", tuning=tuning(0.9))
    assert [(row.dataset, row.method) for row in comparison.tuned_rows(runs)] == [
        ("coins", "mimo"),
        ("coins", "vanilla"),
        ("coins", "cml"),
        ("dice", "mimo"),
    ]
    found = list(tables.tuned_tables(runs))
    assert [(table.title.split(":")[0], len(table.cells)) for table in found] == [
        ("coins", 3),
        ("dice", 1),
    ]
    (alone,) = (row for row in comparison.tuned_rows(runs) if row.dataset == "dice")
    assert alone.pairs == 0  # no defaults there: all tuned seeds count for the mean
    assert alone.tuned == interval([0.9, 0.8])


def test_shares_are_in_percent_and_losses_beside_them_are_not() -> None:
    for first, second in (("coins", "dice"), ("dice", "coins")):
        runs = race(dataset=first) + race("mse", -1.0, dataset=second)
        for title, _, cells in tables.tuned_tables(runs):
            (mimo,) = (line for line in cells if line[0] == "mimo")
            in_percent = title.startswith(first)
            assert ("in %" in title) == in_percent
            assert mimo[4].startswith("70.0" if in_percent else "0.70")


def test_the_baseline_may_be_named_as_its_tuned_runs_are() -> None:
    assert comparison.tuned_rows(race(), "vanilla-tuned") == comparison.tuned_rows(race())


def test_names_of_tuned_runs() -> None:
    assert comparison.tuned_name("mimo") == "mimo-tuned"
    assert comparison.tuned_name("mimo-f_star=zero") == "mimo-tuned-f_star=zero"


def test_unequal_budgets_and_settings_are_told() -> None:
    assert comparison.unequal_budgets(race()) == [
        "coins: not tuned alike, 20 trials of 2 seeds for vanilla-tuned, mimo-tuned; "
        "5 trials of 2 seeds for cml-tuned"
    ]
    alike = [run for run in race() if "cml" not in run.method]
    assert comparison.unequal_budgets(alike) == []
    other_seeds = finished("agm-tuned", [0.5], tuning=tuning(0.1, seeds=3))
    assert (
        "20 trials of 3 seeds for agm-tuned" in comparison.unequal_budgets(alike + other_seeds)[0]
    )
    assert comparison.unequal_budgets(race() + finished("x-tuned", [1.0], dataset="dice")) != []

    plain = finished("vanilla", [0.5, 0.6])
    assert comparison.unequal_settings(plain + finished("mimo", [0.5, 0.6])) == []
    noisy = finished("mimo", [0.5, 0.6], data={"noise": 2.0}, settings={"lr": 0.1})
    assert comparison.unequal_settings(plain + noisy) == [
        "coins: not trained alike, noise is 1.0 for vanilla; 2.0 for mimo"
    ]
    tuned = finished("mimo-tuned", [0.5], settings={"lr": 0.3}, tuning=tuning(0.5))
    usual = finished("vanilla", [0.5], settings={"lr": 0.1})
    assert comparison.unequal_settings(usual + tuned) == []  # the search chose it
    untuned = finished("mimo", [0.5], settings={"lr": 0.3})
    assert comparison.unequal_settings(usual + untuned) == [
        "coins: not trained alike, lr is 0.1 for vanilla; 0.3 for mimo"
    ]
    said = comparison.caveats(plain + noisy)
    assert said[0].startswith("coins: not trained alike")
    assert said[-1] == "coins: code of all rows is a1"


def test_rows_of_uncommitted_code_are_marked() -> None:
    runs = finished("vanilla", [0.5, 0.6]) + finished("mimo", [0.6, 0.8], git="b2")
    other = benchmark.FinishedRun("coins", "mimo", 2, finished("mimo", [0.7])[0].result, Path())
    mixed = [*runs, other]
    for given, marked in ((runs, False), (mixed, True)):
        rows = rows_by_name(benchmark.summary(given))
        assert rows["mimo", "accuracy"].mixed is marked
        assert rows["vanilla", "accuracy"].mixed is False
        ((title, _, cells),) = benchmark.comparison_tables(benchmark.summary(given))
        assert cells[1][0] == ("mimo †" if marked else "mimo")
        assert title.endswith("(marked †: not of one committed code)") is marked


def test_what_the_columns_mean_is_told_for_those_that_are_there() -> None:
    runs = finished("vanilla", [0.5, 0.6])
    runs += finished("mimo", [0.6, 0.8], selection="best on validation")
    said = tables.notes(runs, benchmark.summary(runs))
    assert said[0].startswith("epoch: best on validation and last (the test split is measured once")
    runs[0].result["metrics"]["test"]["unimodal"] = {"probe": {"a": 0.5}, "heads": {"a": 0.4}}
    said = tables.notes(runs, benchmark.summary(runs))
    assert said[0] == "probe: (d) a probe"  # a brief table has no column for the heads
    assert tables.notes([]) == []


def test_one_seed_has_no_interval_and_that_is_said_of_columns_that_are_shown() -> None:
    one = finished("vanilla", [0.5])
    assert tables.NO_INTERVAL in tables.notes(one, benchmark.summary(one))
    several = finished("vanilla", [0.5, 0.6])
    # `seconds` are equal for all seeds, but no column shows their interval.
    assert tables.NO_INTERVAL not in tables.notes(several, benchmark.summary(several))
