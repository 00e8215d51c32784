"""The trials of a search, kept in a file: a search that was killed is asked the same again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mimo_sim._extras import explained
from mimo_sim.benchmark.packed import TRIALS, read_trials
from mimo_sim.benchmark.search import Search
from mimo_sim.training import origins
from mimo_sim.training.records import differences, plain, write_json

if TYPE_CHECKING:
    import optuna

MOST_RANDOM = 10  # trials before the sampler looks at scores; half of them if that is less


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
        place = search.trial(search.defaults, 0, 0).place.parent
        self.path = out / TRIALS / place.with_suffix(place.suffix + ".json")
        self.about = plain({"budget": search.budget, "around": search.job.config})
        self.about["around"]["settings"].pop("seed")
        self.stored: list[dict[str, Any]] = []
        if self.path.is_file():
            there = read_trials(self.path)
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
            code = str(origins.here())
            self.stored.append({"values": values, "score": score, "code": code})
            write_json(self.path, {"search": self.about, "trials": self.stored})
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
        return (
            self.search.budget
            | {
                "trial": best,
                "values": self.stored[best]["values"],
                "score": scores[best],
                "diverged": scores.count(-math.inf),
                "command": self.search.command,
            }
            | self._code()
        )

    def _code(self) -> dict[str, list[str]]:
        """The revisions that made the trials; empty where that was not stored."""
        known = {trial["code"] for trial in self.stored if "code" in trial}
        return {"code": sorted(known)} if known else {}


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
