"""What lies in a results folder, told in the words of the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mimo_sim.benchmark import Job

PARTS = {"settings": "--{}", "data": "--data {}", "hyper": "--set {}"}  # of a run's config.json


def refuse_other_runs(jobs: Sequence[Job], out: Path) -> None:
    """Raise ``ValueError`` where `out` holds a run of a job's name that had other options."""
    from mimo_sim.training.records import CHECKPOINT, CONFIG, RESULT, read_json

    for job in jobs:
        folder = out / job.place
        begun = (folder / RESULT).is_file() or (folder / CHECKPOINT).is_file()
        if not begun or not (folder / CONFIG).is_file():
            continue
        differing = list(_other_options(read_json(folder / CONFIG), job.config))
        if differing:
            raise ValueError(
                f"`--out` must be another folder: {folder} holds a run with "
                f"{', '.join(differing)} (or delete that run). Got --out {out}."
            )


def _other_options(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    """Each option that differs, such as ``--epochs 40 instead of 3``."""
    for part, form in PARTS.items():
        old, new = there.get(part, {}), here[part]
        for name in [*new, *(name for name in old if name not in new)]:
            if old.get(name) != new.get(name):
                option = form.format(name.replace("_", "-") if part == "settings" else name)
                joint = " " if part == "settings" else "="
                yield f"{option}{joint}{_word(old, name)} instead of {_word(new, name)}"


def _word(options: Mapping[str, Any], name: str) -> str:
    from mimo_sim.commands import _grammar as grammar

    return grammar.write(options[name]) if name in options else "the default"
