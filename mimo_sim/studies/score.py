"""The study of a score for imbalance: what is known before training, against the gain of MIMO."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from mimo_sim import theory
from mimo_sim._checks import check_count
from mimo_sim.generators import random_problem
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO
from mimo_sim.studies import _statistics, race

OUTCOMES = ("balance_gain", "learning_gain")


def scores(problem: LateFusionProblem, lam: float, init_scale: float) -> dict[str, float]:
    r"""What can be said of a problem before any training (K = 2, m = 1): predictions of theory first, naive scores last.

    Returns
    -------
    dict
        "time ratio": :func:`mimo_sim.theory.time_ratio` at this u0, how long joint training's second modality waits. "predicted gain": :func:`mimo_sim.studies.race.predicted_gain`.
        "predicted balance": joint training's over MIMO's ratio of predicted times. "order threshold": lam* of :func:`mimo_sim.theory.order_threshold` for
        mu -> 0, 0 without superficial preference. "correlation ratio": of the |C_k|, larger over smaller. "explained ratio": of what each explains alone,
        likewise. "loss ratio": of the uni-modal optima f_k*, likewise.
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
    r"""Random problems with their scores before training and the gains of MIMO measured by a race.

    Two modalities of 1 to 3 dimensions each, Wishart covariances with 1.5 to 6 degrees of freedom per dimension, noise variance between 0 and 1.

    Parameters
    ----------
    problems : int
        >= 20. The first half is for choosing thresholds, the second for judging them.
    lam : float
        MIMO's penalty.
    relative_mu : float
        MIMO's smoothing over the initial loss of each problem.
    init_scale : float
        :math:`u_0` in (0, 1).
    seed : int
        Of the draw of problems.

    Returns
    -------
    xarray.Dataset
        Dims of :func:`mimo_sim.studies.race.compute` and score: its variables, those of :func:`mimo_sim.studies.race.gains`, ``scores`` (problem, score), ``dims`` (problem, modality) and ``superficial``.
    """
    check_count("problems", problems, 20)
    rng = np.random.default_rng(seed)
    dims = rng.integers(1, 4, (problems, 2))
    freedom = np.ceil(dims.sum(1) * rng.uniform(1.5, 6, problems)).astype(int)
    noise, seeds = rng.uniform(0, 1, problems), rng.integers(2**31, size=problems)
    drawn = [
        random_problem(
            tuple(map(int, sizes)),
            int(each),
            degrees_of_freedom=int(free),
            noise_variance=float(variance),
        )
        for sizes, each, free, variance in zip(dims, seeds, freedom, noise, strict=True)
    ]
    methods = [MIMO(lam, relative_mu * problem.y_second_moment / 2) for problem in drawn]
    runs = race.compute(drawn, methods, init_scale=init_scale, on_run=on_run)
    table = [scores(problem, lam, init_scale) for problem in drawn]
    data = runs.merge(race.gains(runs)).assign(
        scores=(("problem", "score"), np.array([list(row.values()) for row in table])),
        dims=(("problem", "modality"), dims),
        superficial=(
            "problem",
            np.array([theory.superficial_preference(problem).holds for problem in drawn]),
        ),
    )
    attrs = {"lam": lam, "relative_mu": relative_mu, "problem_seed": seed}
    return data.assign_coords(score=list(table[0]), problem=np.arange(problems)).assign_attrs(attrs)


def summarise(data: xr.Dataset, *, resamples: int = 1000) -> dict[str, Any]:
    """How well each score predicts the gain: direction and threshold from the first half of the problems, everything else from the second.

    A score with "direction" -1 says "helps" when it lies *below* its threshold. Areas, accuracies and rank correlations are of the directed score.
    Intervals are 95% percentile bootstrap over the problems of the second half, with direction and threshold held fixed.
    """
    rng = np.random.default_rng(0)
    summary: dict[str, Any] = {
        "problems": int(data.sizes["problem"]),
        **{name: data.attrs[name] for name in ("lam", "relative_mu", "init_scale")},
    }
    for outcome in OUTCOMES:
        gain = data[outcome].values
        usable = np.isfinite(gain) & np.isfinite(
            data.scores.transpose("problem", "score").values
        ).all(1)
        early = np.arange(len(gain)) < len(gain) // 2
        chosen, judged = np.flatnonzero(usable & early), np.flatnonzero(usable & ~early)
        draws = np.vstack([judged, rng.choice(judged, (resamples, len(judged)))])
        helps = gain > race.MARGIN
        rows = {}
        for name in map(str, data.score.values):
            raw = data.scores.sel(score=name).values
            direction = -1 if _statistics.area_under_curve(raw[chosen], helps[chosen]) < 0.5 else 1
            scored = direction * raw
            threshold = _statistics.best_threshold(scored[chosen], helps[chosen])
            found = {
                "auc": _statistics.area_under_curve(scored[draws], helps[draws]),
                "balanced_accuracy": _statistics.balanced_accuracy(
                    scored[draws] > threshold, helps[draws]
                ),
                "rank_correlation": _statistics.rank_correlation(scored[draws], gain[draws]),
            }
            rows[name] = {"direction": direction, "threshold": direction * threshold} | {
                measure: {
                    "value": float(values[0]),
                    "interval": np.nanquantile(values[1:], (0.025, 0.975)).tolist(),
                }
                for measure, values in found.items()
            }
        summary[outcome] = {
            "helps": float(helps[judged].mean()),
            "costs": float((gain[judged] < 1 / race.MARGIN).mean()),
            "median": float(np.median(gain[judged])),
            "chosen_on": len(chosen),
            "judged_on": len(judged),
            "scores": rows,
        }
    return summary
