"""Comparisons as tables: cells of text, Markdown, CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields

from mimo_sim.benchmark.comparison import Row, unlike
from mimo_sim.benchmark.records import Finished

PERCENT = (
    "accuracy",
    "macro_f1",
    "heads",
    "sliced",
    "probe",
    "gap",
    "contribution",
)  # shares in classification; of regression they are losses
COLUMNS = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "mse": "MSE",
    "correlation": "correlation",
}


def mark(rows: Sequence[Row]) -> str:
    """What the names of files made from rows end in: nothing for the test split."""
    return "" if rows[0].split == "test" else f"-{rows[0].split}"


def _cell(
    mean: float, half_width: float, percent: bool, sign: bool = False, glue: str = " ± "
) -> str:
    if math.isnan(mean):
        return ""
    scale, digits = 100.0 if percent else 1.0, 1 if percent else 3
    size = abs(mean) if math.isnan(half_width) else half_width
    if not percent and 0 < size < 0.01:
        digits = min(
            12, 1 - math.floor(math.log10(size))
        )  # losses have no natural size: two digits of what is uncertain
    text = f"{scale * mean:{'+' if sign else ''}.{digits}f}"
    return text if math.isnan(half_width) else f"{text}{glue}{scale * half_width:.{digits}f}"


def comparison_tables(
    rows: Sequence[Row], baseline: str = "vanilla", *, brief: bool = False
) -> Iterator[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    """Title, header and cells of one table per data set; methods by falling accuracy (regression: rising loss) after the baseline.

    A brief table has of the uni-modal figures the probes only, and takes less room.
    """
    kinds = ("probe/",) if brief else ("probe/", "heads/", "sliced/")
    for dataset in dict.fromkeys(row.dataset for row in rows):
        found = {(row.method, row.figure): row for row in rows if row.dataset == dataset}
        figures = list(dict.fromkeys(figure for _, figure in found))
        main = "accuracy" if "accuracy" in figures else "mse"
        shares = PERCENT if main == "accuracy" else ()
        sign = -1 if main == "accuracy" else 1
        methods = sorted(
            {method for method, _ in found},
            key=lambda m: (m != baseline, sign * found[m, main].mean, m),
        )
        shown = [
            f
            for f in (*COLUMNS, *(f for f in figures if f.startswith(kinds)), "gap/probe")
            if f in figures and not (brief and f == "macro_f1")
        ]
        shown = list(dict.fromkeys(shown))
        names = [COLUMNS.get(figure, figure.replace("/", " ")) for figure in shown]
        header = (
            "method",
            "n" if brief else "seeds",
            names[0],
            f"{names[0]} - {baseline}",
            *names[1:],
            *(() if brief else ("seconds",)),
        )
        glue = "±" if brief else " ± "
        cells = []
        for method in methods:
            one = found[method, main]
            rest = [
                _cell(r.mean, r.half_width, figure.partition("/")[0] in shares, glue=glue)
                if (r := found.get((method, figure)))
                else ""
                for figure in shown
            ]
            difference = _cell(
                one.difference, one.difference_half_width, main in shares, sign=True, glue=glue
            )
            seconds = () if brief else (f"{found[method, 'seconds'].mean:.1f}",)
            cells.append((method, str(one.n), rest[0], difference, *rest[1:], *seconds))
        unit = "in %, " if main == "accuracy" else ""
        yield (
            f"{dataset}: {rows[0].split} split, {unit}mean ± 95 % interval over seeds",
            header,
            cells,
        )


def notes(runs: Sequence[Finished]) -> list[str]:
    """What the columns of a brief table mean, one line each."""
    definitions = runs[0].result["definitions"] if runs else {}
    used = {"probe", "gap"} & {figure.partition("/")[0] for run in runs for figure in run.values}
    chosen = {run.result["metrics"]["selection"] for run in runs}
    lines = [f"{name}: {text}" for name, text in definitions.items() if name in used]
    return (
        [
            *lines,
            f"epoch: {' and '.join(sorted(chosen))} (the test split is measured once, at the end)",
            *unlike(runs),
        ]
        if runs
        else []
    )


def markdown(rows: Sequence[Row], baseline: str = "vanilla", remarks: Sequence[str] = ()) -> str:
    """All tables as Markdown, with the definitions of the uni-modal figures and the remarks below."""
    from mimo_sim.training.metrics import DEFINITIONS

    lines: list[str] = []
    for title, header, cells in comparison_tables(rows, baseline):
        lines += [
            f"## {title}",
            "",
            f"| {' | '.join(header)} |",
            f"|{'---|' * len(header)}",
            *(f"| {' | '.join(line)} |" for line in cells),
            "",
        ]
    used = {row.figure.partition("/")[0] for row in rows}
    lines += [
        f"- {name}: {text}"
        for name, text in DEFINITIONS.items()
        if name in used and name not in ("accuracy", "contribution")
    ]
    lines += [f"- {remark}" for remark in remarks]
    return "\n".join(lines) + "\n"


def comma_separated(rows: Sequence[Row]) -> str:
    """All rows as CSV; nan is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(Row)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {
                key: "" if isinstance(value, float) and math.isnan(value) else value
                for key, value in asdict(row).items()
            }
        )
    return text.getvalue()
