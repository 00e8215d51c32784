"""The tables of docs/real_data.md on GRID hold the stored numbers.

`python -m tests.benchmark.test_grid_tables` renews them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mimo_sim import benchmark

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "real_data.md"
LATE = ROOT / "benchmarks" / "records" / "grid.csv.gz"
LABELS = {
    "vanilla": "vanilla",
    "linear_scalarization": "linear scalarization",
    "mimo": "MIMO",
    "unimodal": "encoders trained alone (outputs averaged)",
}
FIGURES = ("accuracy", "probe/lips", "probe/audio")
NETWORKS = {
    "attention-heads": "attention, heads on the encoders",
    "attention-masked": "attention, the others masked",
    "mmtm-heads": "MMTM, heads on the encoders",
}


@cache
def stored(path: Path) -> dict[tuple[str, str, str], benchmark.Row]:
    rows = benchmark.summary(benchmark.read(path))
    return {(row.dataset, row.method, row.metric): row for row in rows}


def cell(row: benchmark.Row) -> str:
    """In percent; accuracies of all but vanilla as differences to it."""
    if row.metric == "accuracy" and row.method != "vanilla":
        return f"{100 * row.difference:+.1f} ± {100 * row.difference_half_width:.1f}"
    return f"{100 * row.mean:.1f} ± {100 * row.half_width:.1f}"


def late() -> list[str]:
    rows = stored(LATE)
    return [
        f"| {label} | "
        + " | ".join(
            cell(rows[f"grid-{setting}", method, figure])
            for setting in ("clean", "-10")
            for figure in FIGURES
        )
        + " |"
        for method, label in LABELS.items()
    ]


def beyond() -> list[str]:
    lines = []
    for name, network in NETWORKS.items():
        rows = stored(ROOT / "benchmarks" / "fusion" / f"grid-{name}.csv.gz")
        for method in list(LABELS)[:3]:
            cells = [cell(rows["grid--10", method, figure]) for figure in FIGURES]
            lines.append(f"| {network} | {LABELS[method]} | {' | '.join(cells)} |")
    return lines


TABLES = {"| | clean: accuracy | lips probe |": late, "| network, uni-modal objectives |": beyond}


def place(head: str, lines: list[str]) -> slice:
    start = next(i for i, line in enumerate(lines) if line.startswith(head)) + 2
    return slice(start, lines.index("", start))


def test_the_tables_hold_the_stored_numbers() -> None:
    lines = PAGE.read_text(encoding="utf-8").split("\n")
    for head, renewed in TABLES.items():
        assert lines[place(head, lines)] == renewed()


def main() -> None:
    lines = PAGE.read_text(encoding="utf-8").split("\n")
    for head, renewed in TABLES.items():
        lines[place(head, lines)] = renewed()
    PAGE.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
