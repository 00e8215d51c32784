"""What is to be run: methods, hyper-parameters, data settings and seeds, planned as jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from mimo_sim import datasets, methods
from mimo_sim.training import Settings
from mimo_sim.training.records import Record, plain


@dataclass(frozen=True)
class Job:
    """One run to be done: a data set with its settings, a method with hyper-parameters, and the seed in ``settings``; ``root`` does not change the numbers."""

    dataset: str
    method: str
    settings: Settings
    data: Mapping[str, Any] = field(default_factory=dict)
    hyper: Mapping[str, Any] = field(default_factory=dict)
    root: str | None = None

    @property
    def place(self) -> Path:
        """Folder below the results folder; data set and method are named with what was asked for beyond the defaults."""
        setting = f"-{self.data['setting']}" if "setting" in self.data else ""
        name = "-".join([self.method, *(f"{key}={value}" for key, value in self.hyper.items())])
        return Path(
            self.dataset + setting,
            name.replace("/", "_").replace(" ", ""),
            f"seed{self.settings.seed}",
        )

    @property
    def config(self) -> dict[str, Any]:
        """What goes into ``config.json``."""
        hyper = methods.create(self.method, **self.hyper).hyper
        config: dict[str, Any] = plain(
            {
                "dataset": self.dataset,
                "data": dict(self.data),
                "method": self.method,
                "hyper": hyper,
                "settings": asdict(self.settings),
            }
        )
        return config


def preset(name: str, dataset: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Data settings and training settings of a preset for a data set.

    Raises
    ------
    ValueError
        If there is no such data set or preset.
    """
    return datasets.get(dataset).preset(name)


def unfit(dataset: str) -> dict[str, str]:
    """Methods that are not defined for a data set, and why: as far as its record tells before it is loaded."""
    record = datasets.get(dataset)
    task, count = (
        "classification" if record.classes else "regression",
        len(record.modalities) or None,
    )
    return {
        name: f"{refusal} ({dataset})."
        for name in methods.available()
        if (refusal := methods.get(name).refusal(task, count))
    }


def plan(
    dataset: str,
    names: Sequence[str],
    seeds: Sequence[int],
    settings: Mapping[str, Any],
    data: Mapping[str, Any] | None = None,
    hyper: Mapping[str, Any] | None = None,
    grid: Mapping[str, Sequence[Any]] | None = None,
    root: str | None = None,
) -> list[Job]:
    """The jobs of a grid, ordered by seed.

    Parameters
    ----------
    dataset : str
    names : sequence of str
        Methods; ``"all"`` stands for every registered one that is not :func:`unfit`.
    seeds : sequence of int
        Each draws the data (subset, pairing, noise) and the start weights.
    settings : mapping
        Fields of :class:`mimo_sim.training.Settings` except the seed.
    data : mapping, optional
        Settings of the data set.
    hyper, grid : mapping, optional
        Hyper-parameters and lists of them to go through. A key such as ``"lam"`` is given to the one method that takes it; ``"mimo.lam"`` says which.

    Raises
    ------
    ValueError, TypeError
        For an unknown method or one that is not defined for the data set, a hyper-parameter that none of the methods or more than one of them takes, or a
        value outside its range.
    """
    refused = unfit(dataset)
    everyone = [name for name in methods.available() if name not in refused]
    chosen = list(
        dict.fromkeys(one for name in names for one in (everyone if name == "all" else [name]))
    )
    choices = {key: [value] for key, value in (hyper or {}).items()} | {
        key: list(values) for key, values in (grid or {}).items()
    }
    if twice := {*(hyper or {})} & {*(grid or {})}:
        raise ValueError(
            f"hyper-parameter {min(twice)!r} is given twice: as one value and as a grid."
        )
    for key, listed in choices.items():
        if any(value in listed[:i] for i, value in enumerate(listed)):
            raise ValueError(
                f"the grid of hyper-parameter {key!r} has a value twice. Got {listed!r}."
            )
    takers: dict[str, list[str]] = {key: [] for key in choices}
    jobs = []
    for name in chosen:
        if name in refused:
            raise ValueError(refused[name])
        allowed = methods.get(name).hyper_names()
        fitting = [
            key
            for key in choices
            if key.rpartition(".")[2] in allowed and key.rpartition(".")[0] in ("", name)
        ]
        mine = {key.rpartition(".")[2]: key for key in fitting}
        if len(mine) < len(fitting):
            raise ValueError(
                f"a hyper-parameter of {name!r} is given twice, among {', '.join(map(repr, fitting))}."
            )
        for key in mine.values():
            takers[key].append(name)
        for values in product(*(choices[key] for key in mine.values())):
            given = dict(zip(mine, values, strict=True))
            methods.create(name, **given)  # refuses bad values before anything runs
            jobs += [
                Job(dataset, name, Settings(**settings, seed=seed), data or {}, given, root)
                for seed in seeds
            ]
    for key, found in takers.items():
        if len(found) != 1:
            who = (
                f"{' and '.join(found)} take it: write {found[0]}.{key} or the like"
                if found
                else f"none of the methods {tuple(chosen)} takes it"
            )
            raise ValueError(f"hyper-parameter {key!r}: {who}.")
    return sorted(jobs, key=lambda job: job.settings.seed)


def pending(jobs: Sequence[Job], out: Path) -> list[Job]:
    """The jobs that have no result yet.

    Raises
    ------
    ValueError
        If a job's folder holds a run of another configuration, or two jobs have one folder.
    """
    places = [job.place for job in jobs]
    doubled = {str(place) for place in places if places.count(place) > 1}
    if doubled:
        raise ValueError(f"two runs would share a folder: {', '.join(sorted(doubled))}.")
    return [job for job in jobs if not Record(out / job.place, job.config).finished()]
