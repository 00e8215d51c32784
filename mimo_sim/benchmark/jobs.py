"""What is to be run: every combination of a method, its hyper-parameters and a seed is a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import torch

from mimo_sim import datasets, methods
from mimo_sim.benchmark.wording import SEARCHED, TUNED
from mimo_sim.datasets._own_file import checksum, is_file
from mimo_sim.networks import get_network
from mimo_sim.training import Settings
from mimo_sim.training._augment import masked_places
from mimo_sim.training._build import make_encoders, refuse_absent_device
from mimo_sim.training.records import Record, plain


@dataclass(frozen=True)
class Job:
    """One training run that is to be done.

    Attributes
    ----------
    dataset, method : str
        Names in the registries; the data set may be an .npz file.
    settings : Settings
        Settings of the training; the seed is one of them.
    data : mapping
        Settings of the data set that are not left at their defaults.
    hyper : mapping
        Hyper-parameters of the method that are not left at their defaults.
    root : str, optional
        Folder of the raw files. It does not change the numbers of the run.
    chosen : mapping
        Hyper-parameters that tuning chose. They are not in the name of the run.
    tuning : mapping
        How settings and `chosen` were found (:mod:`mimo_sim.benchmark.tuning`); empty if by nobody.
    searched : tuple of str
        Hyper-parameters that tuning searched on demand. They are in the name: ``f_star=searched``.
    measures_test : bool
        Whether the test split is measured at the end. A trial of a search does not.
    """

    dataset: str
    method: str
    settings: Settings
    data: Mapping[str, Any] = field(default_factory=dict)
    hyper: Mapping[str, Any] = field(default_factory=dict)
    root: str | None = None
    chosen: Mapping[str, Any] = field(default_factory=dict)
    tuning: Mapping[str, Any] = field(default_factory=dict)
    searched: tuple[str, ...] = ()
    measures_test: bool = True

    @property
    def place(self) -> Path:
        """Folder of the run below the results folder, such as ``digits/mimo-lam=10/seed0``."""
        dataset = Path(self.dataset).stem if is_file(self.dataset) else self.dataset
        if "setting" in self.data:
            dataset += f"-{self.data['setting']}"
        name = "-".join(
            [
                self.method + TUNED * bool(self.tuning),
                *(f"{key}={value}" for key, value in self.hyper.items()),
                *(f"{key}={SEARCHED}" for key in self.searched),
            ]
        )
        name = name.replace("/", "_").replace(" ", "")
        return Path(dataset, name, f"seed{self.settings.seed}")

    @property
    def all_hyper(self) -> dict[str, Any]:
        """Hyper-parameters that are not left at their defaults, whoever chose them."""
        return {**self.hyper, **self.chosen}

    @property
    def config(self) -> dict[str, Any]:
        """What goes into ``config.json``; hyper-parameters are complete there."""
        config: dict[str, Any] = plain(
            {
                "dataset": self.dataset,
                "data": dict(self.data),
                "method": self.method,
                "hyper": methods.create(self.method, **self.all_hyper).hyper,
                "settings": self.settings.described(),
            }
        )
        if self.tuning:
            config["tuning"] = plain(dict(self.tuning))
        if is_file(self.dataset):
            config["data"]["file"] = checksum(self.dataset)
        return config


def refused_methods(dataset: str, fusion: str = "late") -> dict[str, str]:
    """The methods that are not defined for a data set and a fusion network, each with the reason.

    Nothing is loaded. A data set whose number of modalities depends on its settings may refuse
    more methods when a run starts.
    """
    record = datasets.get(dataset)
    task = "classification" if record.classes else "regression"
    num_modalities = len(record.modalities) or None
    refused = {}
    for name in methods.available():
        reason = methods.get(name).refusal(task, num_modalities, get_network(fusion))
        if reason:
            refused[name] = f"{reason} ({dataset})."
    return refused


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
    """The jobs of an experiment on one data set, ordered by seed.

    Parameters
    ----------
    dataset : str
        Name in the registry.
    names : sequence of str
        Methods. ``"all"`` stands for every method that is defined for the data set.
    seeds : sequence of int
        A seed draws the data (subset, pairing, noise) and the start weights.
    settings : mapping
        Fields of :class:`mimo_sim.training.Settings` except the seed.
    data : mapping, optional
        Settings of the data set.
    hyper : mapping, optional
        Hyper-parameters with one value each.
    grid : mapping, optional
        Hyper-parameters with several values each; every combination is run.
        A key of `hyper` or `grid` such as ``"lam"`` goes to the one method that has this
        hyper-parameter. Where several methods have it, ``"mimo.lam"`` names the method.
    root : str, optional
        Folder of the raw files.

    Raises
    ------
    ValueError, TypeError
        For an unknown method, or one that is not defined for the data set.
        For a setting of the data set, or an encoder, that every run would refuse, and for an
        accelerator that is not there.
        For a hyper-parameter that no chosen method has, that several have, that is given twice,
        or whose value is out of range.
    """
    _refuse_bad_runs(dataset, Settings(**settings), data or {})
    refused = refused_methods(dataset, settings.get("fusion", "late"))
    chosen = _chosen_methods(names, refused)
    choices = _choices(hyper or {}, grid or {})
    takers: dict[str, list[str]] = {key: [] for key in choices}
    jobs = []
    for name in chosen:
        if name in refused:
            raise ValueError(refused[name])
        own = own_choices(name, choices)
        for key in own.values():
            takers[key].append(name)
        for values in product(*(choices[key] for key in own.values())):
            given = dict(zip(own, values, strict=True))
            methods.create(name, **given)  # refuses bad values before anything runs
            for seed in seeds:
                seeded = Settings(**settings, seed=seed)
                jobs.append(Job(dataset, name, seeded, data or {}, given, root))
    refuse_unclear(takers, chosen)
    return sorted(jobs, key=lambda job: job.settings.seed)


def _refuse_bad_runs(dataset: str, settings: Settings, data: Mapping[str, Any]) -> None:
    """Refuse before anything runs what every run of the plan would refuse."""
    record = datasets.get(dataset)
    record.refuse_bad(data)
    refuse_absent_device(settings)
    if record.modalities:
        masked_places(settings.masks, record.modalities)
        with torch.device("meta"):  # encoders without numbers
            make_encoders(record.modalities, settings)


def _chosen_methods(names: Sequence[str], refused: Mapping[str, str]) -> list[str]:
    """Every method once, in the order given, with ``"all"`` replaced by what it stands for."""
    chosen: list[str] = []
    for name in names:
        if name == "all":
            chosen += [one for one in methods.available() if one not in refused]
        else:
            chosen.append(name)
    return list(dict.fromkeys(chosen))


def _choices(
    hyper: Mapping[str, Any], grid: Mapping[str, Sequence[Any]]
) -> dict[str, Sequence[Any]]:
    """Key -> values to go through, for single values and grids alike."""
    for key in sorted(hyper):
        if key in grid:
            raise ValueError(f"hyper-parameter {key!r} is given twice: as one value and as a grid.")
    for key, values in grid.items():
        if any(value in values[:i] for i, value in enumerate(values)):
            raise ValueError(
                f"the grid of hyper-parameter {key!r} has a value twice. Got {list(values)!r}."
            )
    return {key: [value] for key, value in hyper.items()} | dict(grid)


def own_choices(method: str, choices: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Hyper-parameter of the method -> the key, ``lam`` or ``mimo.lam``, that gives its values."""
    own: dict[str, str] = {}
    keys = []
    for key in choices:
        owner, _, hyper = key.rpartition(".")
        if owner in ("", method) and hyper in methods.get(method).hyper_names():
            own[hyper] = key
            keys.append(key)
    if len(own) < len(keys):
        raise ValueError(
            f"a hyper-parameter of {method!r} is given twice, among {', '.join(map(repr, keys))}."
        )
    return own


def refuse_unclear(takers: Mapping[str, Sequence[str]], chosen: Sequence[str]) -> None:
    """Refuse a key that no method takes, or more than one."""
    for key, found in takers.items():
        if not found:
            raise ValueError(
                f"hyper-parameter {key!r}: none of the methods {tuple(chosen)} takes it."
            )
        if len(found) > 1:
            raise ValueError(
                f"hyper-parameter {key!r}: {' and '.join(found)} take it: "
                f"write {found[0]}.{key} or the like."
            )


def pending(jobs: Sequence[Job], out: Path) -> list[Job]:
    """The jobs that have no result in the folder `out` yet.

    Raises
    ------
    ValueError
        If two jobs have the same folder, or a job's folder holds a run of another configuration.
    """
    places = [job.place for job in jobs]
    shared = {str(place) for place in places if places.count(place) > 1}
    if shared:
        raise ValueError(f"two runs would share a folder: {', '.join(sorted(shared))}.")
    return [job for job in jobs if not Record(out / job.place, job.config).finished()]
