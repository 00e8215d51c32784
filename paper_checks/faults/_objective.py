"""Faults of MIMO's arithmetic, `mimo_sim.objective`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import array_namespace

import mimo_sim as ms
from paper_checks.faults._fault import Fault


def _softmax_without_shift(right: Callable[..., Any], gaps: Any, mu: float) -> Any:
    gaps = ms.objective.as_array(gaps)
    xp = array_namespace(gaps)
    with np.errstate(all="ignore"):
        weights = xp.exp(gaps / mu)
        return weights / xp.sum(weights, axis=-1, keepdims=True)


def _objective_with_free_sigma(
    right: Callable[..., Any], loss_mm: Any, gaps: Any, lam: float, mu: float
) -> Any:
    return loss_mm + lam * (ms.objective.sigma_weights(gaps, mu) * gaps).sum()


OBJECTIVE = [
    Fault(
        "sigma-wrong-sign",
        "sigma is the softmax of minus the gaps",
        ("smoothed-maximum-gradient", "worst-modality-takes-all"),
        ms.objective,
        "sigma_weights",
        lambda right, gaps, mu: right(-ms.objective.as_array(gaps), mu),
    ),
    Fault(
        "sigma-not-normalised",
        "sigma does not sum to one",
        ("smoothed-maximum-gradient", "equal-gaps-weigh-equally"),
        ms.objective,
        "sigma_weights",
        lambda right, gaps, mu: 2 * right(gaps, mu),
    ),
    Fault(
        "naive-softmax",
        "sigma is computed without subtracting the largest gap first",
        ("naive-softmax-overflow", "worst-modality-takes-all"),
        ms.objective,
        "sigma_weights",
        _softmax_without_shift,
    ),
    Fault(
        "minimum-instead-of-maximum",
        "the smoothed maximum is a smoothed minimum",
        ("smoothed-maximum-bounds", "smoothed-maximum-gradient"),
        ms.objective,
        "smoothed_maximum",
        lambda right, gaps, mu: -right(-ms.objective.as_array(gaps), mu),
    ),
    Fault(
        "mean-inside-the-log",
        "the smoothed maximum is mu log mean exp instead of mu log sum exp",
        ("smoothed-maximum-bounds",),
        ms.objective,
        "smoothed_maximum",
        lambda right, gaps, mu: right(gaps, mu) - mu * np.log(len(gaps)),
    ),
    Fault(
        "smoothed-maximum-mu-ten-times",
        "the smoothed maximum uses 10 mu",
        ("smoothed-maximum-bounds", "smoothed-maximum-gradient"),
        ms.objective,
        "smoothed_maximum",
        lambda right, gaps, mu: right(gaps, 10 * mu),
    ),
    Fault(
        "objective-drops-lam",
        "the objective takes lam = 1, whatever lam is",
        ("smoothed-maximum-gradient",),
        ms.objective,
        "mimo_objective",
        lambda right, loss_mm, gaps, lam, mu: right(loss_mm, gaps, 1.0, mu),
    ),
    Fault(
        "gradient-through-sigma",
        "the gradient also runs through sigma",
        ("smoothed-maximum-gradient",),
        ms.objective,
        "mimo_objective",
        _objective_with_free_sigma,
    ),
    Fault(
        "running-maximum",
        "the running minimum keeps the largest loss",
        ("running-minimum-underestimates",),
        ms.objective,
        "running_minimum",
        lambda right, previous, losses: (
            -right(-ms.objective.as_array(previous), -ms.objective.as_array(losses))
        ),
    ),
]
