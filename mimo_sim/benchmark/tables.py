"""Comparisons as tables: cells of text, Markdown, CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from mimo_sim.benchmark.comparison import Row, caveats, rows_by_name, tuned_rows
from mimo_sim.benchmark.records import FinishedRun
from mimo_sim.training.definitions import DEFINITIONS

MARK = " †"  # behind a method whose runs are not of one committed code
SHARES = ("accuracy", "macro_f1", "heads", "sliced", "probe", "gap", "contribution")
COLUMNS = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "mse": "MSE",
    "correlation": "correlation",
}
NO_INTERVAL = (
    "no ±: one seed, or the same value for all seeds, which does not show how much they scatter"
)
CSV_NAMES = {"metric": "figure"}  # columns that are not called as the fields of a row


class Table(NamedTuple):
    """A table of text."""

    title: str
    header: tuple[str, ...]
    cells: list[tuple[str, ...]]


@dataclass(frozen=True)
class _NumberStyle:
    """How numbers of one data set are written."""

    shares: tuple[str, ...]  # metrics that are shown in percent, by the part before the first "/"
    glue: str  # between a mean and its half-width

    def cell(self, row: Row | None) -> str:
        if row is None:
            return ""
        return _cell(row.mean, row.half_width, self._in_percent(row), glue=self.glue)

    def difference(self, row: Row) -> str:
        half_width = row.difference_half_width
        in_percent = self._in_percent(row)
        return _cell(row.difference, half_width, in_percent, sign="+", glue=self.glue)

    def _in_percent(self, row: Row) -> bool:
        return row.metric.partition("/")[0] in self.shares


def _cell(mean: float, half_width: float, percent: bool, sign: str = "", glue: str = " ± ") -> str:
    """Mean and half-width: shares with one digit, losses with enough digits to differ."""
    if math.isnan(mean):
        return ""
    scale, digits = (100.0, 1) if percent else (1.0, 3)
    uncertain = abs(mean) if math.isnan(half_width) else half_width
    if not percent and 0 < uncertain < 0.01:  # losses have no natural size: two digits of this
        digits = min(12, 1 - math.floor(math.log10(uncertain)))
    text = f"{scale * mean:{sign}.{digits}f}"
    if math.isnan(half_width):
        return text
    return f"{text}{glue}{scale * half_width:.{digits}f}"


def comparison_tables(
    rows: Sequence[Row], baseline: str = "vanilla", *, brief: bool = False
) -> Iterator[Table]:
    """One table per data set.

    The baseline comes first. The other methods follow, the best one first: by accuracy, or by
    loss for regression.

    Parameters
    ----------
    rows : sequence of Row
        As :func:`mimo_sim.benchmark.summary` makes them.
    baseline : str
        The method that the differences in `rows` are taken to.
    brief : bool
        For a terminal: of the uni-modal metrics only the probes, no macro F1, no seconds.
    """
    for dataset in dict.fromkeys(row.dataset for row in rows):
        yield _table([row for row in rows if row.dataset == dataset], baseline, brief)


def _table(rows: Sequence[Row], baseline: str, brief: bool) -> Table:
    """The table of one data set."""
    found = rows_by_name(rows)
    metrics = list(dict.fromkeys(row.metric for row in rows))
    main = "accuracy" if "accuracy" in metrics else "mse"
    style = _NumberStyle(SHARES if main == "accuracy" else (), "±" if brief else " ± ")

    def rank(method: str) -> tuple[bool, float, str]:
        mean = found[method, main].mean
        return method != baseline, -mean if main == "accuracy" else mean, method

    methods = sorted({row.method for row in rows}, key=rank)
    shown = _columns(metrics, brief)
    main_name, *other_names = [COLUMNS.get(one, one.replace("/", " ")) for one in shown]
    header = ["method", "n" if brief else "seeds", main_name, f"{main_name} - {baseline}"]
    header += other_names
    cells = []
    for method in methods:
        main_cell, *other_cells = [style.cell(found.get((method, metric))) for metric in shown]
        row = found[method, main]
        line = [
            method + MARK * row.mixed,
            str(row.n),
            main_cell,
            style.difference(row),
            *other_cells,
        ]
        if not brief:
            line += [f"{found[method, 'seconds'].mean:.1f}", row.origin]
        cells.append(tuple(line))
    if not brief:
        header += ["seconds", "code"]
    unit = "in %, " if main == "accuracy" else ""
    title = f"{rows[0].dataset}: {rows[0].split} split, {unit}mean ± 95 % interval over seeds"
    if any(row.mixed for row in rows):
        title += f" (marked{MARK}: not of one committed code)"
    return Table(title, tuple(header), cells)


def tuned_tables(
    runs: Sequence[FinishedRun], baseline: str = "vanilla", split: str = "test"
) -> Iterator[Table]:
    """One table per data set with tuned runs: defaults and tuned side by side.

    Parameters
    ----------
    runs : sequence of FinishedRun
    baseline : str
        What tuned methods are compared with, once it is tuned too.
    split : {"test", "validation"}
    """
    rows = tuned_rows(runs, baseline, split)
    in_percent = {run.dataset: "accuracy" in run.metrics(split) for run in runs}
    compared = ("defaults", "tuned", "tuned - defaults", f"tuned - tuned {baseline}")
    header = ("method", "budget", "seeds", *compared, "validation", "chosen values")
    for dataset in dict.fromkeys(row.dataset for row in rows):
        percent = in_percent[dataset]
        cells: list[tuple[str, ...]] = []
        for row in rows:
            if row.dataset != dataset:
                continue
            about = row.tuning
            values = ", ".join(f"{key}={_short(value)}" for key, value in about["values"].items())
            cells.append(
                (
                    row.method,
                    _budget(about),
                    str(row.pairs),
                    _cell(*row.default, percent),
                    _cell(*row.tuned, percent),
                    _cell(*row.gain, percent, "+"),
                    _cell(*row.lead, percent, "+"),
                    _cell(abs(about["score"]), math.nan, percent),
                    values,
                )
            )
        unit = "in %, " if percent else ""
        title = f"{dataset}: tuned with equal budgets (trials x seeds of each), "
        title += f"{split} split of fresh seeds, {unit}"
        yield Table(f"{title}mean ± 95 % interval", header, cells)


def _budget(about: Mapping[str, Any]) -> str:
    """What a search spent: ``12 x 1`` is 12 trials, each trained with one seed."""
    spent = f"{about['trials']} x {len(about['trial_seeds'])}"
    diverged = about["diverged"]
    return f"{spent} ({diverged} diverged)" if diverged else spent


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _columns(metrics: Sequence[str], brief: bool) -> list[str]:
    """The metrics that a table shows, in order."""
    kinds = ("probe/",) if brief else ("probe/", "heads/", "sliced/")
    wanted = [*COLUMNS, *(metric for metric in metrics if metric.startswith(kinds)), "gap/probe"]
    if brief:
        wanted.remove("macro_f1")
    return [metric for metric in wanted if metric in metrics]


def _without_interval(rows: Sequence[Row], brief: bool) -> list[str]:
    """The remark that some cell has a mean and no interval, if one has."""
    shown = _columns([row.metric for row in rows], brief)
    for row in rows:
        missing = math.isnan(row.half_width) or (
            row.pairs and math.isnan(row.difference_half_width)
        )
        if row.metric in shown and missing:
            return [NO_INTERVAL]
    return []


def notes(runs: Sequence[FinishedRun], rows: Sequence[Row] = ()) -> list[str]:
    """What the columns of a brief table mean, one line each; none without runs.

    Parameters
    ----------
    runs : sequence of FinishedRun
    rows : sequence of Row
        What :func:`mimo_sim.benchmark.summary` makes of them.
    """
    if not runs:
        return []
    used = {metric.partition("/")[0] for run in runs for metric in run.metrics()}
    lines = []
    for name, text in runs[0].result["definitions"].items():
        if name in ("probe", "gap") and name in used:
            lines.append(f"{name}: {text}")
    selections = sorted({run.result["metrics"]["selection"] for run in runs})
    lines.append(f"epoch: {' and '.join(selections)} (the test split is measured once, at the end)")
    return lines + _without_interval(rows, brief=True) + caveats(runs)


def markdown(
    rows: Sequence[Row],
    baseline: str = "vanilla",
    remarks: Sequence[str] = (),
    more: Iterable[Table] = (),
) -> str:
    """All tables as Markdown, then the definitions of the uni-modal metrics and the remarks."""
    lines: list[str] = []
    for title, header, cells in (*comparison_tables(rows, baseline), *more):
        lines += [f"## {title}", "", f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
        lines += [f"| {' | '.join(line)} |" for line in cells]
        lines.append("")
    used = {row.metric.partition("/")[0] for row in rows} - {"accuracy", "contribution"}
    lines += [f"- {name}: {text}" for name, text in DEFINITIONS.items() if name in used]
    lines += [f"- {remark}" for remark in [*_without_interval(rows, brief=False), *remarks]]
    return "\n".join(lines) + "\n"


def comma_separated(rows: Sequence[Row]) -> str:
    """All rows as CSV; nan is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([CSV_NAMES.get(name, name) for name in Row.__dataclass_fields__])
    for row in rows:
        cells = asdict(row).values()
        writer.writerow(
            ["" if isinstance(cell, float) and math.isnan(cell) else cell for cell in cells]
        )
    return text.getvalue()
