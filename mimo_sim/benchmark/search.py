"""What one method's search may do: where it looks, how many trials, with which seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from mimo_sim import methods
from mimo_sim._checks import check_count
from mimo_sim.benchmark.jobs import Job, own_choices, refuse_unclear
from mimo_sim.benchmark.wording import OF_TRAINING
from mimo_sim.training.records import plain

DECAY = 1e-4  # what the search is around where the settings have no weight decay
Law = tuple[Any, ...]  # ("log", low, high), "uniform" or "int" alike, or ("choice", value, ...)


@dataclass(frozen=True)
class Search:
    """The search for one method on one data set.

    Attributes
    ----------
    job : Job
        What is trained, with the settings that the search is around. Its seed is not used.
    trials : int
        How many, >= 1, the defaults among them.
    trial_seeds : tuple of int
        Every trial is trained with each of them; its score is the mean.
    sampler_seed : int
        Of the draws, >= 0.
    command : str
        What starts this search on a command line, without the fresh seeds; for the record.
    laws : mapping
        What is searched on demand, beside or instead of what the method's class names in
        ``search``: name -> ``("log", low, high)``, ``("uniform", low, high)``, ``("int", low,
        high)`` or ``("choice", value, ...)``.

    Raises
    ------
    ValueError, TypeError
        For a bad count, and for laws of what the method does not have, or of what `job` gives a
        value; or with values that the method refuses.
    """

    job: Job
    trials: int
    trial_seeds: tuple[int, ...] = (0,)
    sampler_seed: int = 0
    command: str = ""
    laws: Mapping[str, Law] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_count("trials", self.trials)
        check_count("sampler_seed", self.sampler_seed, 0)
        for key, (kind, *values) in self.laws.items():
            if key in self.job.hyper:
                raise ValueError(f"{key!r} is given twice: as one value and as a space.")
            if kind == "choice" and any(type(value) not in CHOSEN for value in values):
                raise ValueError(
                    f"the choices of {key!r} must be numbers, words, true, false or none. "
                    f"Got {values}."
                )
            for value in values:  # refuses bad ones before anything runs
                if key in OF_TRAINING:
                    replace(self.job.settings, **{key: value})
                else:
                    methods.create(self.job.method, **{**self.job.hyper, key: value})

    @cached_property
    def space(self) -> dict[str, Law]:
        """What is searched: name -> law of its values. What was given a value is left out."""
        lr, decay = self.job.settings.lr, self.job.settings.weight_decay or DECAY
        around = {
            "lr": ("log", lr / 10, lr * 10),
            "weight_decay": ("log", decay / 10, decay * 100),
        }
        own = methods.get(self.job.method).search
        own = {key: law for key, law in own.items() if key not in self.job.hyper}
        return {**around, **own, **self.laws}

    @property
    def defaults(self) -> dict[str, Any]:
        """The values of the first trial: the defaults, or what the space has in their place.

        For a choice without the default that is its first value, for a range the nearer end.
        """
        hyper = methods.create(self.job.method).hyper
        found = {**hyper, **vars(self.job.settings)} | {
            "weight_decay": self.job.settings.weight_decay or DECAY
        }
        return {key: _within(law, found[key]) for key, law in self.space.items()}

    @property
    def budget(self) -> dict[str, Any]:
        """What the search may spend and where it looks, in JSON types."""
        budget = {
            "trials": self.trials,
            "trial_seeds": self.trial_seeds,
            "sampler": "tpe",
            "sampler_seed": self.sampler_seed,
            "space": self.space,
        }
        return plain(budget)  # type: ignore[no-any-return]

    def trial(self, values: Mapping[str, Any], seed: int, number: int) -> Job:
        """The training of a trial. It measures validation only, and fits no probes at its end."""
        job = self.chosen(values, seed, {"trial": number})
        return replace(job, settings=replace(job.settings, probes=False), measures_test=False)

    def chosen(self, values: Mapping[str, Any], seed: int, about: Mapping[str, Any]) -> Job:
        """The training with these values; `about` goes into its record as ``tuning``."""
        training = {key: values[key] for key in OF_TRAINING}
        hyper = {key: value for key, value in values.items() if key not in OF_TRAINING}
        own = methods.get(self.job.method).search
        return replace(
            self.job,
            settings=replace(self.job.settings, **training, seed=seed),
            chosen=hyper,
            tuning=about,
            searched=tuple(key for key in self.laws if key not in {*OF_TRAINING, *own}),
        )


CHOSEN = (str, int, float, bool, type(None))  # what a search can choose from


def _within(law: Law, default: Any) -> Any:
    """The default, or what a law has in its place."""
    kind, *values = law
    if kind == "choice":
        return default if default in values else values[0]
    if isinstance(default, bool) or not isinstance(default, int | float):
        return values[0]
    return min(max(default, values[0]), values[1])


def laws_of(names: Sequence[str], laws: Mapping[str, Law]) -> dict[str, dict[str, Law]]:
    """What is searched on demand, by method.

    Parameters
    ----------
    names : sequence of str
        Methods.
    laws : mapping
        ``"lr"`` and ``"weight_decay"`` go to every method. Another key, such as ``"lam"``, goes to
        the one method that has this hyper-parameter; ``"mimo.lam"`` names the method.

    Raises
    ------
    ValueError
        For a hyper-parameter that no method has, or several have.
    """
    shared = {key: law for key, law in laws.items() if key in OF_TRAINING}
    others = {key: law for key, law in laws.items() if key not in OF_TRAINING}
    takers: dict[str, list[str]] = {key: [] for key in others}
    found = {}
    for name in dict.fromkeys(names):
        own = own_choices(name, others)
        for key in own.values():
            takers[key].append(name)
        found[name] = shared | {hyper: others[key] for hyper, key in own.items()}
    refuse_unclear(takers, list(found))
    return found
