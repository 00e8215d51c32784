"""Records of finished runs, read back from a results folder."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimo_sim.benchmark.jobs import Job
from mimo_sim.training.records import RESULT, TABLE, differences, read_json

SPLITS = ("validation", "test")  # to choose by, and to report
PARTS = ("config", "metrics", "definitions", "data", "seconds")  # every result has these


@dataclass(frozen=True)
class FinishedRun:
    """One finished run.

    Attributes
    ----------
    dataset, method : str
        As the run's folder names them: ``"avmnist-A"``, ``"mimo-lam=10"``.
    seed : int
    result : dict
        Content of ``result.json``.
    folder : Path
    """

    dataset: str
    method: str
    seed: int
    result: dict[str, Any]
    folder: Path

    @property
    def shared(self) -> dict[str, Any]:
        """The configuration without what differs between seeds."""
        config: dict[str, Any] = self.result["config"]
        return config | {
            "settings": _without(config["settings"], "seed"),
            "data": _without(config["data"], "seed", "checksum"),
        }

    def metrics(self, split: str = "test") -> dict[str, float]:
        """Metrics of one split by name, and ``seconds``, the time of the run.

        Names are ``accuracy``, ``probe/<modality>``, ``gap/probe``,
        ``contribution/zero_features/<modality>`` and so on.

        Raises
        ------
        ValueError
            If `split` is not one of :data:`SPLITS`.
        """
        if split not in SPLITS:
            raise ValueError(f"`split` must be one of {SPLITS}. Got {split!r}.")
        return {**_flat(self.result["metrics"][split]), "seconds": self.result["seconds"]}

    def table(self) -> dict[str, list[float]]:
        """Columns of ``epochs.csv``, one value per epoch; nan where a cell is empty."""
        path = self.folder / TABLE
        if not path.is_file():
            raise _damaged(path, "missing")
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows:
            raise _damaged(path, "no rows")
        return {name: [float(row[name] or "nan") for row in rows] for name in rows[0]}


def read(out: str | Path, jobs: Sequence[Job] | None = None) -> list[FinishedRun]:
    """All finished runs below a folder, sorted by data set, method and seed.

    Parameters
    ----------
    out : path
        Results folder.
    jobs : sequence of Job, optional
        Read the runs of these jobs only.

    Raises
    ------
    ValueError
        If there is no finished run, or a result is damaged.
        If two runs are of the same data set, method and seed.
        If runs of one method differ in more than their seed.
    """
    top = Path(out).resolve()
    if jobs is None:
        found = sorted(top.glob(f"**/seed*/{RESULT}"))
    else:
        found = [top / job.place / RESULT for job in jobs]
    paths = [path for path in found if _seed(path).isdecimal() and path.is_file()]
    if not paths:
        raise ValueError(f"no finished run (.../seed*/{RESULT}) below {str(out)!r}.")
    runs: dict[tuple[str, str, int], FinishedRun] = {}
    for path in paths:
        run = _read_one(path)
        same = runs.setdefault((run.dataset, run.method, run.seed), run)
        if same is not run:
            raise ValueError(
                f"{same.folder} and {run.folder} are the same data set, method and seed. "
                "Compare one of them at a time."
            )
    first_seed: dict[tuple[str, str], FinishedRun] = {}
    for run in runs.values():
        other = first_seed.setdefault((run.dataset, run.method), run)
        differing = differences(other.shared, run.shared)
        if differing:
            raise ValueError(
                f"{other.folder} and {run.folder} are not of one experiment: "
                f"{'; '.join(differing)}. Compare one of them at a time."
            )
    return sorted(runs.values(), key=lambda run: (run.dataset, run.method, run.seed))


def _seed(path: Path) -> str:
    """What follows ``seed`` in the name of the folder of a result."""
    return path.parent.name.removeprefix("seed")


def _read_one(path: Path) -> FinishedRun:
    result = read_json(path)
    missing = [part for part in PARTS if part not in result]
    if missing:
        raise _damaged(path, f"lacks {', '.join(missing)}")
    dataset, method = path.parts[-4:-2]
    return FinishedRun(dataset, method, int(_seed(path)), result, path.parent)


def _damaged(path: Path, how: str) -> ValueError:
    return ValueError(f"{path} is damaged ({how}). Delete the folder {path.parent} and run again.")


def _without(entries: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in entries.items() if key not in names}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The leaves of a tree, with the keys on the way to them joined by ``/``.

    The level ``unimodal`` is left out: ``unimodal/probe/image`` becomes ``probe/image``.
    """
    found: dict[str, float] = {}
    for key, value in tree.items():
        if not isinstance(value, Mapping):
            found[f"{prefix}{key}"] = float(value)
        elif key == "unimodal":
            found |= _flat(value)
        else:
            found |= _flat(value, f"{prefix}{key}/")
    return found
