"""Finished trainings of adapters: one file each, one file of all, and a table."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from mimo_sim._files import replacing
from mimo_sim.language.task import BEST_ALONE, MODALITIES

TOGETHER, TABLE = "language.json", "language.md"
HEADER = (
    "adapter, objective",
    "trained in adapters",
    "accuracy",
    "loss",
    *(f"{name} probe" for name in MODALITIES),
    *(f"{name} gap" for name in MODALITIES),
    "seconds",
)
CAPTION = (
    "Mean over seeds ± 95 % interval (Student's t), test split. Accuracy: answers that greedy "
    "decoding gets right, in %. Loss: nats per answer. Probe: a linear probe of the encoder for "
    "its own digit, in %. Gap: loss of the modality alone, minus log 10, the least that one digit "
    "allows. Seconds: the steps of a training, on a machine that others use too."
)


def place(folder: Path, settings: Mapping[str, Any]) -> Path:
    """The file of a training below a folder."""
    name = f"{settings['adapter']}-{settings['objective']}"
    return folder / name / f"seed{settings['seed']}.json"


def load_same(path: Path, about: Mapping[str, Any]) -> dict[str, Any] | None:
    """The finished training in a file; None where there is none.

    Raises
    ------
    ValueError
        If it is one with other settings or data.
    """
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    for key, value in about.items():
        if found.get(key) != json.loads(json.dumps(value)):
            raise ValueError(
                f"`--out` has a training with other {key} in {path}. Choose another folder, or "
                "delete it."
            )
    return found


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON, the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


def half_width(values: Sequence[float]) -> float:
    """Half of the 95 % interval of a mean; nan for one value."""
    from scipy.stats import t

    if len(values) < 2:
        return math.nan
    return float(t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))


def _cell(values: Sequence[float], digits: int, factor: float = 1.0) -> str:
    """Mean and interval of the values times a factor."""
    scaled = [factor * value for value in values]
    width = half_width(scaled)
    interval = "" if math.isnan(width) else f" ± {width:.{digits}f}"
    return f"{fmean(scaled):.{digits}f}{interval}"


def rows(runs: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """The cells of a table with :data:`HEADER`; a row for each adapter and objective, in order."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        settings = run["settings"]
        groups.setdefault(f"{settings['adapter']}, {settings['objective']}", []).append(run)
    return [_row(name, group) for name, group in groups.items()]


def _row(name: str, group: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    test = [run["test"] for run in group]
    return (
        name,
        f"{group[0]['parameters']['adapters']:,}",
        _cell([one["accuracy"] for one in test], 1, 100),
        _cell([one["loss"] for one in test], 2),
        *(_cell([one["probe"][each] for one in test], 1, 100) for each in MODALITIES),
        *(_cell([one["alone"][each] - BEST_ALONE for one in test], 2) for each in MODALITIES),
        f"{fmean(run['seconds'] for run in group):.0f}",
    )


def markdown(runs: Sequence[Mapping[str, Any]]) -> str:
    """The table."""
    lines = [HEADER, ("---", *["---:"] * (len(HEADER) - 1)), *rows(runs)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def write_together(folder: Path, about: Mapping[str, Any], runs: Sequence[Any]) -> list[Path]:
    """Write all trainings into one file, and their table into another."""
    write(folder / TOGETHER, {"about": about, "runs": runs})
    with replacing(folder / TABLE) as temporary:
        temporary.write_text(f"{CAPTION}\n\n{markdown(runs)}")
    return [folder / TOGETHER, folder / TABLE]
