"""Records of finished runs, read back."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimo_sim.benchmark.jobs import Job
from mimo_sim.training.records import RESULT, TABLE, differences, read_json

SPLITS = ("validation", "test")  # choose on the one, report on the other


@dataclass(frozen=True)
class Finished:
    """One finished run: ``label`` of data and method are its folder names."""

    dataset: str
    method: str
    seed: int
    result: dict[str, Any]
    folder: Path

    @property
    def shared(self) -> dict[str, Any]:
        """The part of the configuration that all seeds of a method have in common."""
        config: dict[str, Any] = self.result["config"]
        return config | {
            "settings": {key: value for key, value in config["settings"].items() if key != "seed"},
            "data": {
                key: value
                for key, value in config["data"].items()
                if key not in ("seed", "checksum")
            },
        }

    @property
    def values(self) -> dict[str, float]:
        """Test figures by name: ``accuracy``, ``probe/<modality>``, ``gap/probe``, ``contribution/zero_features/<modality>``, ``seconds``, ..."""
        return self.figures("test")

    def figures(self, split: str) -> dict[str, float]:
        """The same of one of the :data:`SPLITS`.

        Raises
        ------
        ValueError
            For another split.
        """
        if split not in SPLITS:
            raise ValueError(f"`split` must be one of {SPLITS}. Got {split!r}.")
        return {**_flat(self.result["metrics"][split]), "seconds": self.result["seconds"]}

    def table(self) -> dict[str, list[float]]:
        """Columns of ``epochs.csv``; nan where a row has no entry."""
        path = self.folder / TABLE
        if not path.is_file():
            raise _damaged(path, "missing")
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows:
            raise _damaged(path, "no rows")
        return {name: [float(row[name] or "nan") for row in rows] for name in rows[0]}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for key, value in tree.items():
        path = key if key == "unimodal" else f"{prefix}{key}"
        found |= (
            _flat(value, "" if key == "unimodal" else f"{path}/")
            if isinstance(value, Mapping)
            else {path: float(value)}
        )
    return found


def read(out: str | Path, jobs: Sequence[Job] | None = None) -> list[Finished]:
    """All finished runs below a folder, or those of some jobs, sorted.

    Raises
    ------
    ValueError
        If there is none, or one is damaged; if two are of one data set, method and seed; if runs of one method differ in more than their seed.
    """
    top = Path(out).resolve()
    found = (
        sorted(top.glob(f"**/seed*/{RESULT}"))
        if jobs is None
        else [top / job.place / RESULT for job in jobs]
    )
    paths = [path for path in found if path.parent.name[4:].isdecimal() and path.is_file()]
    if not paths:
        raise ValueError(f"no finished run (.../seed*/{RESULT}) below {str(out)!r}.")
    runs: dict[tuple[str, str, int], Finished] = {}
    for path in paths:
        run = Finished(
            path.parts[-4], path.parts[-3], int(path.parent.name[4:]), _result(path), path.parent
        )
        other = runs.setdefault((run.dataset, run.method, run.seed), run)
        if other is not run:
            raise ValueError(
                f"{other.folder} and {run.folder} are the same data set, method and seed. Compare one of them at a time."
            )
    first: dict[tuple[str, str], Finished] = {}
    for run in runs.values():
        other = first.setdefault((run.dataset, run.method), run)
        if differing := differences(other.shared, run.shared):
            raise ValueError(
                f"{other.folder} and {run.folder} are not of one experiment: {'; '.join(differing)}. Compare one of them at a time."
            )
    return sorted(runs.values(), key=lambda run: (run.dataset, run.method, run.seed))


def _result(path: Path) -> dict[str, Any]:
    result = read_json(path)
    if missing := [
        key for key in ("config", "metrics", "definitions", "data", "seconds") if key not in result
    ]:
        raise _damaged(path, f"lacks {', '.join(missing)}")
    return result


def _damaged(path: Path, how: str) -> ValueError:
    return ValueError(f"{path} is damaged ({how}). Delete the folder {path.parent} and run again.")
