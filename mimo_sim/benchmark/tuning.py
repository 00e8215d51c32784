"""A fair race: every method gets the same number of trials, judged on validation data only.

A trial trains a method with other values of learning rate, weight decay and the hyper-parameters
that its class names in ``search``. The first trial is the defaults. The others are asked for by
Optuna's TPE sampler, whose draws follow from its seed and the scores so far. So a search that was
killed is asked the same questions again, and trains only where no score is stored. The values with
the best score are then trained on fresh seeds, beside the defaults.

A trial never measures the test split. Where a seed also draws the splits (digits, GRID, own files),
some test samples of a fresh seed were train or validation samples of a trial. The network that is
tested has not seen them, but its values were chosen by them, so tuned may gain a little over
defaults. Leads between tuned methods have it on both
sides. AV-MNIST has a fixed test pool. Trials lie in the folder ``trials`` of the results, which no
comparison reads. Of a finished trial only the values and the validation score stay. `bench pack`
stores them too, so that a search can go on elsewhere.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mimo_sim.benchmark.curves import validation_score
from mimo_sim.benchmark.jobs import Job, pending
from mimo_sim.benchmark.packed import TRIALS
from mimo_sim.benchmark.search import Search
from mimo_sim.benchmark.trials import Trials
from mimo_sim.benchmark.workers import Failures, execute
from mimo_sim.errors import NonFiniteError, TrialError
from mimo_sim.training.records import RESULT, read_json


def tune(
    searches: Sequence[Search],
    seeds: Sequence[int],
    out: str | Path,
    workers: int = 1,
    on_epochs: Callable[[int], None] = lambda _: None,
    cluster: Any = None,
    say: bool = False,
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
    cluster, say
        As in :func:`execute`.

    Returns
    -------
    list of (job, message)
        The runs on fresh seeds that failed.

    Raises
    ------
    ValueError
        If a seed is not fresh, if searches differ in their budget, if `out` holds another search by
        the same name, or if every trial of a method diverged.
    TrialError
        If a trial failed for another reason than divergence.
    """
    out = Path(out)
    _refuse_unfair(searches, seeds)
    pending([*_defaults(searches, seeds).values()], out)  # refuses others' runs, before the search
    everything = [Trials(search, out) for search in searches]
    for number in range(max(search.trials for search in searches)):
        _round(number, everything, out, workers, on_epochs, cluster, say)
    jobs = _fresh(everything, seeds)
    jobs = sorted(jobs, key=lambda job: job.settings.seed)
    return execute(jobs, out, workers, on_epochs, cluster, say)


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
    cluster: Any = None,
    say: bool = False,
) -> None:
    """Trial `number` of every search; those without a stored score are trained side by side."""
    asked = [(trials, *trials.ask()) for trials in everything]
    place = out / TRIALS / f"{number:03d}"
    new = {
        id(trials): [
            trials.search.trial(values, seed, number) for seed in trials.search.trial_seeds
        ]
        for trials, _, values in asked
        if trials.told == len(trials.stored)
    }
    jobs = [job for found in new.values() for job in found]
    failures = execute(jobs, place, workers, on_epochs, cluster, say) if jobs else []
    wrong = [
        f"{job.place}: {message}"
        for job, message in failures
        if not message.startswith(NonFiniteError.__name__)
    ]
    if wrong:
        raise TrialError(f"trial {number} failed: {'; '.join(wrong)}")
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


def _fresh(everything: Sequence[Trials], seeds: Sequence[int]) -> list[Job]:
    """Defaults and chosen values on fresh seeds; two searches may share their defaults."""
    jobs = _defaults([trials.search for trials in everything], seeds)
    for trials in everything:
        best = trials.best()
        tuned = [trials.search.chosen(best["values"], seed, best) for seed in seeds]
        jobs |= {job.place: job for job in tuned}
    return list(jobs.values())


def _defaults(searches: Sequence[Search], seeds: Sequence[int]) -> dict[Path, Job]:
    """The defaults on fresh seeds, by their folder."""
    jobs = [
        replace(search.job, settings=replace(search.job.settings, seed=seed))
        for search in searches
        for seed in seeds
    ]
    return {job.place: job for job in jobs}
