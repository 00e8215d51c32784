"""Methods ranked over several data sets: mean ranks, Friedman's test, Nemenyi's distance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mimo_sim._checks import FloatArray
from mimo_sim.benchmark.comparison import LEVEL, Row
from mimo_sim.benchmark.records import FinishedRun

TINY = np.finfo(float).tiny
LOW_IS_GOOD = ("loss", "gap", "seconds", "mse")  # words in the names of such metrics


@dataclass(frozen=True)
class Ranking:
    """Methods from the best mean rank to the worst.

    Attributes
    ----------
    metric : str
    datasets : tuple of str
        The N data sets, each with all methods.
    methods : tuple of str
        The k methods, best first.
    ranks : ndarray of shape (k, N)
        Rank of each method on each data set, by its mean over seeds. 1 is best; equal means share
        the mean of their ranks.
    p_value : float
        Of Friedman's test of "all methods are equally good". nan where all ranks are tied.
    critical_distance : float
        Two methods whose mean ranks differ by less are not told apart (Nemenyi's test, 5 %).
    left_out : dict
        Method -> the data sets on which it has no run. Such methods are not ranked.
    """

    metric: str
    datasets: tuple[str, ...]
    methods: tuple[str, ...]
    ranks: FloatArray
    p_value: float
    critical_distance: float
    left_out: dict[str, tuple[str, ...]]

    @property
    def mean_ranks(self) -> FloatArray:
        """Mean rank of each method, shape (k,), ascending."""
        means: FloatArray = self.ranks.mean(1)
        return means

    def as_good_as_best(self) -> list[str]:
        """The methods that Nemenyi's test does not tell from the best one."""
        near = self.mean_ranks - self.mean_ranks[0] < self.critical_distance
        return [name for name, is_near in zip(self.methods, near, strict=True) if is_near]


def on_shared_seeds(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """The runs on the seeds that all methods of a data set have.

    A seed draws the data too, so a mean over other seeds is another measure. Methods without runs
    on every data set, which are not ranked, have no say and keep all their runs.

    Raises
    ------
    ValueError
        If the ranked methods have no seed in common on a data set.
    """
    seeds: dict[str, dict[str, set[int]]] = {}
    for run in runs:
        seeds.setdefault(run.dataset, {}).setdefault(run.method, set()).add(run.seed)
    ranked = set.intersection(*map(set, seeds.values())) if seeds else set()
    if not ranked:
        return list(runs)
    shared = {
        dataset: set.intersection(*(found[method] for method in ranked))
        for dataset, found in seeds.items()
    }
    for dataset, common in shared.items():
        if not common:
            raise ValueError(
                f"`runs` must have a seed that all methods share on {dataset}. "
                f"Got { ({method: sorted(seeds[dataset][method]) for method in sorted(ranked)}) }."
            )
    return [run for run in runs if run.method not in ranked or run.seed in shared[run.dataset]]


def rank(rows: Sequence[Row], metric: str = "accuracy") -> Ranking:
    """Rank the methods that have runs on every data set.

    One table favours luck. Ranks over several data sets show what holds in general. Each data set
    counts once, however many seeds it has: seeds of one data set are not independent of each
    other as evidence about methods.

    Parameters
    ----------
    rows : sequence of Row
        Of :func:`mimo_sim.benchmark.summary`, of all data sets together.
    metric : str
        Less is better where its name has ``loss``, ``gap``, ``mse`` or ``seconds``, and in
        regression for ``probe/``, ``heads/`` and ``sliced/``, which are losses there; else more.

    Raises
    ------
    ValueError
        If no row has this metric.
        If fewer than two data sets, or fewer than three methods with runs on all of them, are left.

    Notes
    -----
    Friedman's test and Nemenyi's distance q sqrt(k (k + 1) / (6 N)) are as in Demsar, "Statistical
    comparisons of classifiers over multiple data sets", JMLR 7 (2006). q is the 95 % quantile of
    the studentized range over sqrt(2).
    """
    from scipy.special import chdtrc  # scipy.stats takes a second to import
    from scipy.stats import rankdata, studentized_range

    means = {(row.dataset, row.method): row.mean for row in rows if row.metric == metric}
    if not means:
        known = tuple(sorted({row.metric for row in rows}))
        raise ValueError(f"`metric` must be one of {known}. Got {metric!r}.")
    datasets = sorted({dataset for dataset, _ in means})
    everyone = sorted({method for _, method in means})
    missing = {m: tuple(d for d in datasets if (d, m) not in means) for m in everyone}
    methods = [m for m in everyone if not missing[m]]
    k, n = len(methods), len(datasets)
    if n < 2 or k < 3:
        raise ValueError(
            "`rows` must hold at least two data sets and three methods that have runs on all of "
            f"them. Got {n} data sets and {k} such methods: {tuple(datasets)}, {tuple(methods)}."
        )
    values = np.array([[means[dataset, method] for dataset in datasets] for method in methods])
    of_regression = {row.dataset for row in rows if row.metric == "mse"}
    losses = [_is_low_good(metric, dataset in of_regression) for dataset in datasets]
    digits = np.round(values / np.abs(values).max(0, initial=TINY), 12)  # equal counts are equal
    ranks = rankdata(np.where(losses, 1, -1) * digits, axis=0)
    statistic = _friedman(ranks)
    order = np.argsort(ranks.mean(1), kind="stable")
    quantile = studentized_range.ppf(LEVEL, k, math.inf) / math.sqrt(2)
    return Ranking(
        metric=metric,
        datasets=tuple(datasets),
        methods=tuple(methods[i] for i in order),
        ranks=ranks[order],
        p_value=float(chdtrc(k - 1, statistic)),
        critical_distance=float(quantile * math.sqrt(k * (k + 1) / (6 * n))),
        left_out={method: where for method, where in missing.items() if where},
    )


def _is_low_good(metric: str, regression: bool) -> bool:
    scores = ("probe/", "heads/", "sliced/")
    return any(word in metric for word in LOW_IS_GOOD) or (regression and metric.startswith(scores))


def _friedman(ranks: FloatArray) -> float:
    """Friedman's statistic: the spread of rank sums beside what chance would give, with ties."""
    k, n = ranks.shape
    middle = (k + 1) / 2
    within = ((ranks - middle) ** 2).sum() / (k - 1)
    between = ((ranks.sum(1) - n * middle) ** 2).sum()
    return float(between / within) if within > 0 else math.nan
