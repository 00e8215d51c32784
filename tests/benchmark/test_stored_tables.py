"""Tables of docs/real_data.md (GRID, networks, ranks, race) and docs/fstar.md hold stored numbers.

`python -m tests.benchmark.test_stored_tables` renews them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from mimo_sim import benchmark, methods
from mimo_sim.benchmark import comparison
from mimo_sim.benchmark.wording import TUNED, dataset_words, default_name, method_words

ROOT = Path(__file__).resolve().parents[2]
PAGE, F_STAR = ROOT / "docs" / "real_data.md", ROOT / "docs" / "fstar.md"
RACE = ROOT / "benchmarks" / "race" / "race.csv.gz"
RECORDS = ROOT / "benchmarks" / "records"
LABELS = {
    "vanilla": "vanilla",
    "linear_scalarization": "linear scalarization",
    "mimo": "MIMO",
    "unimodal": "encoders trained alone (outputs averaged)",
    "rollingq": "RollingQ",
    "greedy": "Greedy",
}
FIGURES = {"grid--10": ("accuracy", "probe/lips", "probe/audio")}
FIGURES["grid-clean"] = FIGURES["grid--10"]
FIGURES["avmnist-A"] = ("accuracy", "probe/image", "probe/audio")
RANKED = ("digits", "mfeat", "cremad_ratings", "avmnist-A", "grid--10")
NETWORKS = {
    "attention-heads": "attention, heads on the encoders",
    "attention-masked": "attention, the others masked",
    "mmtm-heads": "MMTM, heads on the encoders",
}


@cache
def stored(path: Path) -> dict[tuple[str, str, str], benchmark.Row]:
    rows = benchmark.summary(benchmark.read(path))
    return {(row.dataset, row.method, row.metric): row for row in rows}


def points(mean: float, half: float, sign: str = "") -> str:
    """In percent; without an interval for one seed, or the same value for all; "-" for none."""
    if math.isnan(mean):
        return "-"
    return f"{100 * mean:{sign}.1f}" + ("" if math.isnan(half) else f" ± {100 * half:.1f}")


def cell(row: benchmark.Row) -> str:
    """Accuracies of all but vanilla as differences to it."""
    if row.metric == "accuracy" and row.method != "vanilla":
        return points(row.difference, row.difference_half_width, "+")
    return points(row.mean, row.half_width)


def late() -> list[str]:
    rows = stored(RECORDS / "grid.csv.gz")
    return [
        f"| {LABELS[method]} | "
        + " | ".join(
            cell(rows[setting, method, figure])
            for setting in ("grid-clean", "grid--10")
            for figure in FIGURES[setting]
        )
        + " |"
        for method in [*LABELS][:4]
    ]


def beyond(dataset: str) -> list[str]:
    lines = []
    for name, network in NETWORKS.items():
        file = f"{dataset.split('-')[0]}-{name}.csv.gz"
        rows = stored(ROOT / "benchmarks" / "fusion" / file)
        for method, label in LABELS.items():
            if (dataset, method, "accuracy") in rows:
                cells = [cell(rows[dataset, method, figure]) for figure in FIGURES[dataset]]
                lines.append(f"| {network} | {label} | {' | '.join(cells)} |")
    return lines


def every() -> list[str]:
    """All methods at their defaults, the best mean rank first; without a rank, last."""
    ranks: dict[str, Any] = json.loads((RECORDS / "ranks.json").read_text())["methods"]
    rows: dict[tuple[str, str, str], benchmark.Row] = {}
    for name in RANKED:
        rows |= stored(RECORDS / f"{name.split('-')[0]}.csv.gz")
    lines = []
    for method in [*ranks, *(m for m in methods.available() if m not in ranks)]:
        cells = [f"{ranks[method]['mean_rank']:.1f}" if method in ranks else "-"]
        for dataset in RANKED:
            row = rows.get((dataset, method, "accuracy"))
            cells.append("-" if row is None else cell(row))
        if any(text != "-" for text in cells):
            lines.append(f"| `{method}` | {' | '.join(cells)} |")
    return lines


def race() -> list[str]:
    """Defaults beside tuned; the lead over the tuned plain sum."""
    runs = benchmark.read(RACE)
    lines = []
    for row in comparison.tuned_rows(runs, "linear_scalarization"):
        cells = [points(*row.default), points(*row.tuned)]
        cells += [points(*pair, "+") for pair in (row.gain, row.lead)]
        words = method_words(row.method).replace("*", "\\*")
        lines.append(
            f"| {dataset_words(row.dataset)} | {words} | {row.pairs} | {' | '.join(cells)} |"
        )
    return lines


def lips() -> list[str]:
    """Accuracy and lips probe in clear sound, defaults beside tuned; most lips first."""
    rows = stored(RACE)
    found = []
    for method in {name for dataset, name, _ in rows if dataset == "grid-clean"}:
        if TUNED not in method:
            continue
        names = (default_name(method), method)
        figures = [
            rows["grid-clean", name, metric]
            for metric in ("accuracy", "probe/lips")
            for name in names
        ]
        words = method_words(method.replace(TUNED, "", 1)).replace("*", "\\*")
        cells = [points(row.mean, row.half_width) for row in figures]
        found.append((-figures[-1].mean, f"| {words} | {' | '.join(cells)} |"))
    return [line for _, line in sorted(found)]


def searched() -> list[str]:
    """The leads of MIMO with its rule for f* searched, and the rule that the search chose."""
    runs = benchmark.read(RACE)
    rows: dict[str, list[str]] = {}
    for baseline in ("linear_scalarization", "vanilla"):
        for row in comparison.tuned_rows(runs, baseline):
            if "f_star=searched" in row.method:
                start = [dataset_words(row.dataset), RULES[row.tuning["values"]["f_star"]]]
                rows.setdefault(row.dataset, start).append(points(*row.lead, "+"))
    return [f"| {' | '.join(cells)} |" for cells in rows.values()]


RULES = {name: f"`{name}`" for name in ("validation", "extrapolation", "epoch_minimum", "zero")}
RULES["running_minimum"] = "smoothed running minimum"
TABLES: dict[tuple[Path, str], Callable[[], list[str]]] = {
    (PAGE, "| | clean: accuracy | lips probe |"): late,
    (PAGE, "| network, uni-modal objectives | method | accuracy | lips probe |"): partial(
        beyond, "grid--10"
    ),
    (PAGE, "| network, uni-modal objectives | method | accuracy | picture probe |"): partial(
        beyond, "avmnist-A"
    ),
    (PAGE, "| method | mean rank |"): every,
    (PAGE, "| setting | method | seeds | defaults |"): race,
    (PAGE, "| clear GRID | accuracy, defaults |"): lips,
    (F_STAR, "| setting | rule that the search chose |"): searched,
}


def place(head: str, lines: list[str]) -> slice:
    start = next(i for i, line in enumerate(lines) if line.startswith(head)) + 2
    return slice(start, lines.index("", start))


def test_the_tables_hold_the_stored_numbers() -> None:
    for (page, head), renewed in TABLES.items():
        lines = page.read_text(encoding="utf-8").split("\n")
        assert lines[place(head, lines)] == renewed(), head


def main() -> None:
    for (page, head), renewed in TABLES.items():
        lines = page.read_text(encoding="utf-8").split("\n")
        lines[place(head, lines)] = renewed()
        page.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
