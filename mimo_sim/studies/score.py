"""Scores for imbalance that are known before training, and how well they predict MIMO's gain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from mimo_sim import theory
from mimo_sim._checks import FloatArray, check_count
from mimo_sim.generators import random_problem
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO
from mimo_sim.studies import race
from mimo_sim.studies._statistics import (
    Bools,
    area_under_curve,
    balanced_accuracy,
    best_threshold,
    interval,
    mean,
    median,
    rank_correlation,
)

OUTCOMES = ("balance_gain", "learning_gain")


def scores(problem: LateFusionProblem, lam: float, init_scale: float) -> dict[str, float]:
    r"""What can be said of a problem before any training.

    Parameters
    ----------
    problem : LateFusionProblem
        Of two modalities and one output.
    lam : float
        MIMO's penalty.
    init_scale : float
        :math:`u_0` in (0, 1).

    Returns
    -------
    dict
        Predictions of theory:

        - "time ratio": how long joint training's second modality waits at this u0
          (:func:`mimo_sim.theory.time_ratio`);
        - "predicted gain": :func:`mimo_sim.studies.race.predicted_gain`;
        - "predicted balance": joint training's ratio of predicted times over MIMO's;
        - "order threshold": lam* for mu -> 0 (:func:`mimo_sim.theory.order_threshold`), 0 without
          superficial preference.

        Naive scores, each the larger over the smaller of the two modalities' numbers:

        - "correlation ratio": of :math:`|C_k|`;
        - "explained ratio": of what each explains alone;
        - "loss ratio": of the uni-modal optima :math:`f_k^*`.
    """
    report = theory.superficial_preference(problem)
    times, balanced = theory.learning_times(problem), theory.mimo_learning_times(problem, lam)
    return {
        "time ratio": theory.time_ratio(problem, init_scale),
        "predicted gain": race.predicted_gain(problem, lam),
        "predicted balance": float(times.max() / times.min() * balanced.min() / balanced.max()),
        "order threshold": theory.order_threshold(problem),
        "correlation ratio": float(report.correlation.max() / report.correlation.min()),
        "explained ratio": float(report.explained.max() / report.explained.min()),
        "loss ratio": float(problem.unimodal_optima.max() / problem.unimodal_optima.min()),
    }


def compute(
    problems: int = 600,
    *,
    lam: float = 10.0,
    relative_mu: float = 0.01,
    init_scale: float = 1e-6,
    seed: int = 0,
    on_run: Callable[[], None] = lambda: None,
) -> xr.Dataset:
    r"""Random problems, their scores before training, and the gains of MIMO that a race measures.

    Problems have two modalities of 1 to 3 dimensions each. Covariances are Wishart with 1.5 to 6
    degrees of freedom per dimension, the noise variance lies between 0 and 1.

    Parameters
    ----------
    problems : int
        Number of problems, >= 20. :func:`summarise` chooses thresholds on the first half and
        judges them on the second.
    lam : float
        MIMO's penalty.
    relative_mu : float
        MIMO's smoothing over the initial loss of each problem.
    init_scale : float
        :math:`u_0` in (0, 1).
    seed : int
        Seed of the draw of problems.
    on_run : callable
        Called after each run, twice per problem.

    Returns
    -------
    xarray.Dataset
        The variables of :func:`mimo_sim.studies.race.compute` and
        :func:`mimo_sim.studies.race.gains`, ``scores`` (problem, score), ``dims`` (problem,
        modality) and ``superficial`` (problem).
    """
    check_count("problems", problems, 20)
    rng = np.random.default_rng(seed)
    dims = rng.integers(1, 4, (problems, 2))
    freedom = np.ceil(dims.sum(1) * rng.uniform(1.5, 6, problems)).astype(int)
    noise, seeds = rng.uniform(0, 1, problems), rng.integers(2**31, size=problems)
    drawn = [
        random_problem(
            tuple(map(int, dims[i])),
            int(seeds[i]),
            degrees_of_freedom=int(freedom[i]),
            noise_variance=float(noise[i]),
        )
        for i in range(problems)
    ]
    mimos = [MIMO(lam, relative_mu * problem.y_second_moment / 2) for problem in drawn]
    runs = race.compute(drawn, mimos, init_scale=init_scale, on_run=on_run)
    table = [scores(problem, lam, init_scale) for problem in drawn]
    superficial = [theory.superficial_preference(problem).holds for problem in drawn]
    data = runs.merge(race.gains(runs)).assign(
        scores=(("problem", "score"), np.array([list(row.values()) for row in table])),
        dims=(("problem", "modality"), dims),
        superficial=("problem", np.array(superficial)),
    )
    data = data.assign_coords(score=list(table[0]), problem=np.arange(problems))
    return data.assign_attrs(lam=lam, relative_mu=relative_mu, problem_seed=seed)


def summarise(data: xr.Dataset, *, resamples: int = 1000) -> dict[str, Any]:
    """How well each score predicts each gain.

    The first half of the problems chooses the direction and the threshold of a score. Everything
    else is measured on the second half. A score with "direction" -1 says that MIMO helps where the
    score lies *below* its threshold. Areas, accuracies and rank correlations take the direction
    into account. Intervals are 95 % intervals of a percentile bootstrap over the problems of the
    second half, with direction and threshold held fixed.

    Parameters
    ----------
    data : xarray.Dataset
        What :func:`compute` returned.
    resamples : int
        Number of bootstrap resamples.
    """
    rng = np.random.default_rng(0)
    summary: dict[str, Any] = {"problems": int(data.sizes["problem"])}
    for name in ("lam", "relative_mu", "init_scale"):
        summary[name] = data.attrs[name]
    known = np.isfinite(data.scores.transpose("problem", "score").values).all(1)
    for outcome in OUTCOMES:
        gain = data[outcome].values
        helps, usable = gain > race.MARGIN, np.isfinite(gain) & known
        early = np.arange(len(gain)) < len(gain) // 2
        chosen, judged = np.flatnonzero(usable & early), np.flatnonzero(usable & ~early)
        drawn = rng.choice(judged, (resamples, len(judged))) if len(judged) else judged
        draws = np.vstack([judged, drawn])
        summary[outcome] = {
            "helps": mean(helps[judged]),
            "costs": mean(gain[judged] < 1 / race.MARGIN),
            "median": median(gain[judged]),
            "chosen_on": len(chosen),
            "judged_on": len(judged),
            "scores": {
                str(name): _judged(data.scores.sel(score=name).values, gain, helps, chosen, draws)
                for name in data.score.values
            },
        }
    return summary


def _judged(
    raw: FloatArray, gain: FloatArray, helps: Bools, chosen: np.ndarray, draws: np.ndarray
) -> dict[str, Any]:
    """How well one score predicts one gain.

    `raw`, `gain` and `helps` are (problem,); `chosen` are the problems that choose direction and
    threshold. Each row of `draws` is a sample of the problems that judge, the first all of them.
    """
    direction = -1 if area_under_curve(raw[chosen], helps[chosen]) < 0.5 else 1
    scored = direction * raw
    threshold = best_threshold(scored[chosen], helps[chosen])
    measures = {
        "auc": area_under_curve(scored[draws], helps[draws]),
        "balanced_accuracy": balanced_accuracy(scored[draws] > threshold, helps[draws]),
        "rank_correlation": rank_correlation(scored[draws], gain[draws]),
    }
    found: dict[str, Any] = {"direction": direction, "threshold": direction * threshold}
    for name, values in measures.items():
        found[name] = {"value": float(values[0]), "interval": interval(values[1:])}
    return found
