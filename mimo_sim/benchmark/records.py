"""Records of finished runs, read back from a results folder or a packed file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimo_sim.benchmark import packed
from mimo_sim.benchmark.packed import TRIALS, Contents
from mimo_sim.training import origins
from mimo_sim.training.records import CONFIG, RESULT, TABLE, comparable, differences, read_json

if TYPE_CHECKING:
    from mimo_sim.benchmark.jobs import Job

SPLITS = ("validation", "test")  # to choose by, and to report
PARTS = ("config", "metrics", "definitions", "data", "seconds")  # every result has these


class NoRunsError(ValueError):
    """There is no finished run."""


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
        Where it lies. For a run in a packed file: that file, then its place there.
    packed : Contents or None
        What a packed file holds of the run; None where it has a folder.
    """

    dataset: str
    method: str
    seed: int
    result: dict[str, Any]
    folder: Path
    packed: Contents | None = None

    @property
    def origin(self) -> origins.Origin:
        """The code that made the run."""
        return origins.of(self.result)

    @property
    def shared(self) -> dict[str, Any]:
        """The configuration without what differs between seeds."""
        config = comparable(self.result["config"])
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
            If `split` is not one of :data:`SPLITS`, or was not measured in this run.
        """
        if split not in SPLITS:
            raise ValueError(f"`split` must be one of {SPLITS}. Got {split!r}.")
        if split not in self.result["metrics"]:
            raise ValueError(f"{self.folder} did not measure the {split} split (`measure_test`).")
        return {**_flat(self.result["metrics"][split]), "seconds": self.result["seconds"]}

    def table(self) -> dict[str, list[float]]:
        """Columns of ``epochs.csv``, one value per epoch; nan where a cell is empty."""
        rows = self._cells()
        return {name: [float(row[name] or "nan") for row in rows] for name in rows[0]}

    def contents(self) -> Contents:
        """What the files of the run hold."""
        if self.packed is not None:
            return self.packed
        config = read_json(self.folder / CONFIG)
        return Contents(self.dataset, self.method, self.seed, config, self._cells(), self.result)

    def _cells(self) -> list[dict[str, str]]:
        """Rows of ``epochs.csv``, as text."""
        if self.packed is not None:
            return self.packed.epochs
        path = self.folder / TABLE
        if not path.is_file():
            raise _damaged(path, "missing")
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if not rows:
            raise _damaged(path, "no rows")
        return rows


def read(out: str | Path, jobs: Sequence[Job] | None = None) -> list[FinishedRun]:
    """All finished runs below a folder or in a packed file, sorted by data set, method and seed.

    Parameters
    ----------
    out : path
        Results folder, or a file that :func:`mimo_sim.benchmark.pack` wrote.
    jobs : sequence of Job, optional
        Read the runs of these jobs only.

    Raises
    ------
    ValueError
        If there is no finished run, or a result is damaged.
        If two runs are of the same data set, method and seed.
        If runs of one method differ in more than their seed.
    """
    found = checked(_found(Path(out), jobs))
    if not found:
        raise NoRunsError(
            f"{out} has trials of a search and no finished run. Unpack it and tune on."
        )
    return found


def checked(found: Iterable[FinishedRun]) -> list[FinishedRun]:
    """The runs, sorted by data set, method and seed.

    Raises
    ------
    ValueError
        If two runs are of the same data set, method and seed.
        If runs of one method differ in more than their seed.
    """
    runs: dict[tuple[str, str, int], FinishedRun] = {}
    for run in found:
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


def _found(out: Path, jobs: Sequence[Job] | None) -> Iterator[FinishedRun]:
    """Every finished run, one by one."""
    if out.is_file():
        for one in packed.load(out).runs:
            place, wrong = out / one.place, _whats_wrong(one.result)
            if wrong:
                raise ValueError(f"{place} is damaged ({wrong}). Get the file anew.")
            yield FinishedRun(one.dataset, one.method, one.seed, one.result, place, one)
        return
    if not out.is_dir():
        raise ValueError(f"there is no folder {str(out)!r}. `mimo-sim bench run` writes one.")
    top = out.resolve()
    if jobs is None:
        paths = sorted(top.glob(f"**/seed*/{RESULT}"))
    else:
        paths = [top / job.place / RESULT for job in jobs]
    below = len(top.parts)
    paths = [
        path
        for path in paths
        if _seed(path).isdecimal() and path.is_file() and TRIALS not in path.parts[below:]
    ]
    if not paths:
        files = sorted(path.name for path in top.glob(f"*{packed.SUFFIX}"))
        hint = f" It holds packed runs: name the file, {' or '.join(files)}." if files else ""
        raise NoRunsError(f"no finished run (.../seed*/{RESULT}) below {str(out)!r}.{hint}")
    for path in paths:
        result = read_json(path)
        wrong = _whats_wrong(result)
        if wrong:
            raise _damaged(path, wrong)
        dataset, method = path.parts[-4:-2]
        yield FinishedRun(dataset, method, int(_seed(path)), result, path.parent)


def _seed(path: Path) -> str:
    """What follows ``seed`` in the name of the folder of a result."""
    return path.parent.name.removeprefix("seed")


def _whats_wrong(result: Mapping[str, Any]) -> str:
    """What a result lacks, in words; empty where it is whole."""
    missing = [part for part in PARTS if part not in result]
    if missing:
        return f"lacks {', '.join(missing)}"
    absent = [part for part in ("settings", "data") if part not in result["config"]]
    if absent:
        return f"its config lacks {', '.join(absent)}"
    try:
        origins.of(result)
    except ValueError as error:
        return str(error)
    return ""


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
