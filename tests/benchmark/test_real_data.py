"""The table of docs/real_data.md holds the stored numbers.

`python -m tests.benchmark.test_real_data` renews it.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "real_data.md"
STORED = ROOT / "benchmarks" / "records" / "table.csv"
HEAD = "| | A: accuracy | A: audio probe |"
RULES = {
    "extrapolated learning curve": "extrapolation",
    "smallest epoch mean": "epoch_minimum",
    "reference runs": "reference",
    "smallest validation loss": "validation",
    "0": "zero",
}


def slug(label: str, normalised: bool) -> str:
    """The name in the stored table of a row of the page."""
    label = label.replace("*", "").replace("\\", "").replace("`", "")
    for start, name in {
        "vanilla": "vanilla",
        "linear scalarization": "linear_scalarization",
        "MIMO (default": "mimo",
        "MIMO, normalise=True": "mimo-normalise=True",
        "encoders trained alone": "unimodal",
        "best of the others: ": label.split(": ")[-1],
    }.items():
        if label.startswith(start):
            return name
    rule = label.split("f = ")[1]
    middle = "-normalise=True" if normalised else ""
    if rule.startswith("raw running minimum"):
        return f"mimo{middle}-decay=0"
    ending = "-lam=2" if normalised and rule == "reference runs" else ""
    place = f"-f_star={RULES[rule]}"
    return "mimo" + (place + middle if ending else middle + place) + ending


def points(values: dict[str, str], name: str, sign: str = "") -> str:
    """Mean and interval in points."""
    half = float(values["half_width" if name == "mean" else f"{name}_half_width"])
    return f"{100 * float(values[name]):{sign}.1f} ± {100 * half:.1f}"


def renewed(lines: list[str]) -> list[str]:
    """The rows of the table with the stored numbers."""
    with STORED.open(encoding="utf-8", newline="") as file:
        stored = {(r["dataset"], r["method"], r["figure"]): r for r in csv.DictReader(file)}
    rows, normalised = [], False
    for line in lines:
        label = line.split(" | ")[0].removeprefix("| ")
        normalised = normalised or "normalise=True`" in label
        normalised = normalised and "not normalised" not in label
        name, cells = slug(label, normalised), [f"| {label}"]
        for setting in "ABD":
            accuracy = stored[f"avmnist-{setting}", name, "accuracy"]
            kind, sign = ("mean", "") if name == "vanilla" else ("difference", "+")
            seeds = " (8)" if int(accuracy["n"]) == 8 else ""
            probe = stored[f"avmnist-{setting}", name, "probe/audio"]
            cells += [points(accuracy, kind, sign) + seeds, points(probe, "mean")]
        rows.append(" | ".join(cells) + " |")
    return rows


def place() -> tuple[list[str], slice]:
    """The lines of the page, and where the rows of the table are."""
    lines = PAGE.read_text(encoding="utf-8").split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith(HEAD)) + 2
    return lines, slice(start, lines.index("", start))


def test_the_table_holds_the_stored_numbers() -> None:
    lines, rows = place()
    assert len(lines[rows]) == 18
    assert lines[rows] == renewed(lines[rows])


@pytest.mark.parametrize(
    ("label", "normalised", "expected"),
    [
        ("… f\\* = reference runs", True, "mimo-f_star=reference-normalise=True-lam=2"),
        ("… f\\* = 0", False, "mimo-f_star=zero"),
        ("… f\\* = raw running minimum (the paper's)", True, "mimo-normalise=True-decay=0"),
    ],
)
def test_names(label: str, normalised: bool, expected: str) -> None:
    assert slug(label, normalised) == expected


if __name__ == "__main__":
    page, where = place()
    page[where] = renewed(page[where])
    PAGE.write_text("\n".join(page), encoding="utf-8")
