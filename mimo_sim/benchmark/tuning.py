"""A fair race: every method gets the same number of trials, judged on validation data only.

A trial trains a method with other values of learning rate, weight decay and the hyper-parameters
that its class names in ``search``. The first trial is the defaults. The others are asked for by
Optuna's TPE sampler, whose draws follow from its seed and the scores so far. So a search that was
killed is asked the same questions again, and trains only where no score is stored. The values with
the best score are then trained on fresh seeds, beside the defaults.

Trials lie in the folder ``trials`` of the results, which no comparison reads. Of a finished trial
only the values and the validation score stay.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mimo_sim import methods
from mimo_sim._checks import check_count
from mimo_sim._extras import explained
from mimo_sim._files import replacing
from mimo_sim.benchmark.curves import validation_score
from mimo_sim.benchmark.jobs import Job
from mimo_sim.benchmark.records import TRIALS
from mimo_sim.benchmark.wording import OF_TRAINING
from mimo_sim.benchmark.workers import Failures, execute
from mimo_sim.errors import NonFiniteError
from mimo_sim.training.records import RESULT, differences, plain, read_json

if TYPE_CHECKING:
    import optuna

DECAY = 1e-4  # what the search is around where the settings have no weight decay
MOST_RANDOM = 10  # trials before the sampler looks at scores; half of them if that is less


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
    """

    job: Job
    trials: int
    trial_seeds: tuple[int, ...] = (0,)
    sampler_seed: int = 0
    command: str = ""

    def __post_init__(self) -> None:
        check_count("trials", self.trials)
        check_count("sampler_seed", self.sampler_seed, 0)

    @cached_property
    def space(self) -> dict[str, tuple[Any, ...]]:
        """What is searched: name -> law of its values. What was given a value is left out."""
        lr, decay = self.job.settings.lr, self.job.settings.weight_decay or DECAY
        around = {
            "lr": ("log", lr / 10, lr * 10),
            "weight_decay": ("log", decay / 10, decay * 100),
        }
        own = methods.get(self.job.method).search
        return around | {key: law for key, law in own.items() if key not in self.job.hyper}

    @property
    def defaults(self) -> dict[str, Any]:
        """The values of the first trial."""
        settings, hyper = vars(self.job.settings), methods.create(self.job.method).hyper
        found = {key: settings[key] if key in OF_TRAINING else hyper[key] for key in self.space}
        return found | {"weight_decay": found["weight_decay"] or DECAY}

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

    def job_with(self, values: Mapping[str, Any], seed: int, about: Mapping[str, Any]) -> Job:
        """The training with these values; `about` goes into its record as ``tuning``."""
        training = {key: values[key] for key in OF_TRAINING}
        chosen = {key: value for key, value in values.items() if key not in OF_TRAINING}
        settings = replace(self.job.settings, **training, seed=seed)
        return replace(self.job, settings=settings, chosen=chosen, tuning=about)


class Trials:
    """The trials of a search: stored ones, and what is asked next.

    Parameters
    ----------
    search : Search
    out : path
        Results folder.

    Raises
    ------
    ValueError
        If `out` holds trials of another search by this name.
    """

    def __init__(self, search: Search, out: Path) -> None:
        self.search = search
        place = search.job_with(search.defaults, 0, {"trial": 0}).place.parent
        self.path = out / TRIALS / place.with_suffix(place.suffix + ".json")
        self.about = plain({"budget": search.budget, "around": search.job.config})
        self.about["around"]["settings"].pop("seed")
        self.stored: list[dict[str, Any]] = []
        if self.path.is_file():
            there = read_json(self.path)
            differing = differences(there["search"], self.about)
            if differing:
                raise ValueError(
                    f"{self.path} holds another search: {'; '.join(differing)}. Choose another "
                    "folder or delete it."
                )
            self.stored = there["trials"]
        self.study = _study(search)
        self.told = 0

    def ask(self) -> tuple[optuna.trial.Trial, dict[str, Any]]:
        """The next trial and its values.

        Raises
        ------
        ValueError
            If another trial is stored at this place: then the search cannot be continued.
        """
        trial = self.study.ask(_distributions(self.search.space))
        values = plain(trial.params)
        if self.told < len(self.stored) and self.stored[self.told]["values"] != values:
            raise ValueError(
                f"{self.path}: trial {self.told} is {self.stored[self.told]['values']} there and "
                f"{values} here, as another version of Optuna would ask. Delete the file."
            )
        return trial, values

    def tell(self, trial: optuna.trial.Trial, values: dict[str, Any], score: float | None) -> None:
        """Store a trial; a score of None is a training that diverged."""
        import optuna

        if score is None:
            self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            self.study.tell(trial, score)
        if self.told == len(self.stored):
            self.stored.append({"values": values, "score": score})
            with replacing(self.path) as temporary:
                content = {"search": self.about, "trials": self.stored}
                temporary.write_text(json.dumps(content, indent=2) + "\n")
        self.told += 1

    def best(self) -> dict[str, Any]:
        """What the search chose, for records: the budget, the values, their score.

        Raises
        ------
        ValueError
            If every trial diverged.
        """
        scores = [-math.inf if trial["score"] is None else trial["score"] for trial in self.stored]
        best = int(np.argmax(scores))
        if scores[best] == -math.inf:
            raise ValueError(f"every trial diverged: {self.path}. Begin with a lower `lr`.")
        return self.search.budget | {
            "trial": best,
            "values": self.stored[best]["values"],
            "score": scores[best],
            "diverged": scores.count(-math.inf),
            "command": self.search.command,
        }


def tune(
    searches: Sequence[Search],
    seeds: Sequence[int],
    out: str | Path,
    workers: int = 1,
    on_epochs: Callable[[int], None] = lambda _: None,
) -> Failures:
    """Search for every method, then train defaults and chosen values on fresh seeds.

    Finished trials and runs are kept, and an interrupted one continues from its checkpoint. The
    numbers do not depend on that, nor on the number of processes.

    Parameters
    ----------
    searches : sequence of Search
    seeds : sequence of int
        Fresh seeds, which no trial used.
    out : path
        Results folder.
    workers : int
        Number of processes, >= 1.
    on_epochs : function
        Called now and then with the number of epochs done.

    Returns
    -------
    list of (job, message)
        The runs on fresh seeds that failed.

    Raises
    ------
    ValueError
        If a seed is not fresh, if searches differ in their budget, if `out` holds another search by
        the same name, or if every trial of a method diverged.
    RuntimeError
        If a trial failed for another reason than divergence.
    """
    out = Path(out)
    _refuse_unfair(searches, seeds)
    everything = [Trials(search, out) for search in searches]
    for number in range(max(search.trials for search in searches)):
        _round(number, everything, out, workers, on_epochs)
    jobs = list(_fresh(everything, seeds))
    return execute(sorted(jobs, key=lambda job: job.settings.seed), out, workers, on_epochs)


def _refuse_unfair(searches: Sequence[Search], seeds: Sequence[int]) -> None:
    used = {seed for search in searches for seed in search.trial_seeds}
    if used.intersection(seeds):
        raise ValueError(f"`seeds` must be fresh: trials use {sorted(used)}. Got {sorted(seeds)}.")
    budgets = {(search.trials, search.trial_seeds) for search in searches}
    if len(budgets) != 1:
        raise ValueError(f"`searches` must have one budget. Got {sorted(budgets)}.")


def _round(
    number: int,
    everything: Sequence[Trials],
    out: Path,
    workers: int,
    on_epochs: Callable[[int], None],
) -> None:
    """Trial `number` of every search; those without a stored score are trained side by side."""
    asked = [(trials, *trials.ask()) for trials in everything]
    place = out / TRIALS / f"{number:03d}"
    new = {
        id(trials): [
            trials.search.job_with(values, seed, {"trial": number})
            for seed in trials.search.trial_seeds
        ]
        for trials, _, values in asked
        if trials.told == len(trials.stored)
    }
    jobs = [job for found in new.values() for job in found]
    failures = execute(jobs, place, workers, on_epochs) if jobs else []
    wrong = [
        f"{job.place}: {message}"
        for job, message in failures
        if not message.startswith(NonFiniteError.__name__)
    ]
    if wrong:
        raise RuntimeError(f"trial {number} failed: {'; '.join(wrong)}")
    for trials, trial, values in asked:
        mine = new.get(id(trials))
        if mine is None:
            score = trials.stored[number]["score"]
            on_epochs(trials.search.job.settings.epochs * len(trials.search.trial_seeds))
        elif any(job in mine for job, _ in failures):
            score = None
        else:
            results = [read_json(place / job.place / RESULT) for job in mine]
            score = float(np.mean([validation_score(result["metrics"]) for result in results]))
        trials.tell(trial, values, score)
    for job in jobs:  # and no others: another search may be at work beside this one
        shutil.rmtree(place / job.place, ignore_errors=True)
        with suppress(OSError):
            os.removedirs((place / job.place).parent)


def _fresh(everything: Sequence[Trials], seeds: Sequence[int]) -> Iterator[Job]:
    """Defaults and chosen values on fresh seeds."""
    for trials in everything:
        job, best = trials.search.job, trials.best()
        for seed in seeds:
            yield replace(job, settings=replace(job.settings, seed=seed))
            yield trials.search.job_with(best["values"], seed, best)


def _study(search: Search) -> optuna.Study:
    """A study whose first trial is the defaults."""
    with explained():
        import optuna
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    random = min(MOST_RANDOM, max(1, search.trials // 2))
    sampler = optuna.samplers.TPESampler(n_startup_trials=random, seed=search.sampler_seed)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    study.enqueue_trial(search.defaults)
    return study


def _distributions(space: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
    """The laws of a space as Optuna has them."""
    from optuna import distributions

    make: dict[str, Callable[..., Any]] = {
        "log": lambda low, high: distributions.FloatDistribution(low, high, log=True),
        "uniform": distributions.FloatDistribution,
        "int": distributions.IntDistribution,
        "choice": lambda *values: distributions.CategoricalDistribution(values),
    }
    return {name: make[law[0]](*law[1:]) for name, law in space.items()}
