"""Faults of the closed forms, `mimo_sim.theory`, and of what is read from problems and runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

import mimo_sim as ms
from paper_checks.faults._fault import Fault
from paper_checks.moments import left_to_learn, sizes


def _unsigned_time_ratio(right: Callable[..., float], problem: ms.LateFusionProblem) -> float:
    a, b, missing = left_to_learn(problem)
    size = sizes(problem)
    return float(1 + (size[a] - size[b]) / np.linalg.norm(missing))


def _rates_linear_in_lam(
    right: Callable[..., Any], problem: ms.LateFusionProblem, lam: float, mu: float, **settings: Any
) -> Any:
    without_penalty = right(problem, 0.0, mu, **settings)
    return right(problem, lam, mu, **settings) ** 2 / np.maximum(without_penalty, 1e-300)


def _reversed_preference(right: Callable[..., Any], problem: ms.LateFusionProblem) -> Any:
    report = right(problem)
    return replace(
        report,
        first_learned=report.most_explaining,
        most_explaining=report.first_learned,
    )


def _half_times_at_a_tenth(right: Callable[..., Any], run: xr.Dataset) -> Any:
    squared = run.encoder_norm**2
    below = squared < 0.1 * run.encoder_norm[-1] ** 2
    return right(run.assign(encoder_norm=run.encoder_norm.where(below, run.encoder_norm[-1])))


def _sigma_stays(right: Callable[..., Any], problem: ms.LateFusionProblem, lam: float) -> Any:
    chain = right(problem, lam)
    times = ms.theory.learning_times(problem)
    first = int(np.argmax(ms.theory.superficial_preference(problem).explained))
    times[first] = chain.times[first]
    return replace(chain, times=times)


THEORY = [
    Fault(
        "averages-do-not-help",
        "averages of noisy losses are said to set records as deep as the losses themselves",
        ("fstar-noise-bias",),
        ms.theory,
        "minimum_bias",
        lambda right, steps, decay=0.0, **settings: right(steps, 0.0, **settings),
    ),
    Fault(
        "weights-do-not-flicker",
        "the mean weights under noise are those of the mean gaps",
        ("fstar-noise-bias",),
        ms.theory,
        "noisy_sigma",
        lambda right, noise, mu, steps, decay=0.0, **settings: ms.objective.sigma_weights(
            np.asarray(noise) * ms.theory.minimum_bias(steps, decay, **settings), mu
        ),
    ),
    Fault(
        "extrapolation-reaches-less",
        "an extrapolated limit is said to promise a tenth of what it can",
        ("extrapolation-rewards-progress",),
        ms.theory,
        "extrapolation_reach",
        lambda right, *arguments: 0.1 * right(*arguments),
    ),
    Fault(
        "sum-at-half-weight",
        "linear scalarization gives uni-modal losses half of their weight",
        ("plain-sum-emerges-first",),
        ms,
        "LinearScalarization",
        lambda right, weight=1.0: right(0.5 * weight),
    ),
    Fault(
        "sigma-stays-with-the-first-leader",
        "sigma is never handed over: all but the largest gap wait as in joint training",
        ("largest-waiting-gap-leads",),
        ms.theory,
        "emergence_chain",
        _sigma_stays,
    ),
    Fault(
        "rules-grow-like-joint-training",
        "rules leave the growth rates of joint training as they are",
        ("encoder-rules-keep-the-order", "mgda-equalises-growth"),
        ms.theory,
        "rule_growth_rates",
        lambda right, problem, rule: ms.theory.correlations(problem),
    ),
    Fault(
        "scalarization-always-shortens",
        "linear scalarization is said to shorten every wait to the same part",
        ("scalarization-shortens-the-wait",),
        ms.theory,
        "scalarization_time_ratio",
        lambda right, problem: 1 + 0.7 * (ms.theory.time_ratio(problem) - 1),
    ),
    Fault(
        "step-beyond-smoothness",
        "the default step is 60 times too large",
        ("theorem1-rate",),
        ms.theory,
        "default_step_size",
        lambda right, *arguments, **settings: 60 * right(*arguments, **settings),
    ),
    Fault(
        "smoothness-ignores-mu",
        "the smoothness constant ignores 1/mu and lam",
        ("smoothness-constant",),
        ms.theory,
        "smoothness",
        lambda right, problem, method, **settings: right(problem, ms.Vanilla(), **settings),
    ),
    Fault(
        "time-ratio-inverted",
        "the time ratio is first over second",
        ("time-ratio-sign-condition",),
        ms.theory,
        "time_ratio",
        lambda right, *arguments, **settings: 1 / right(*arguments, **settings),
    ),
    Fault(
        "time-ratio-unsigned",
        "the time ratio ignores that what B has grown may shrink while A is learned",
        ("time-ratio-sign-condition",),
        ms.theory,
        "time_ratio",
        _unsigned_time_ratio,
    ),
    Fault(
        "final-norm-not-rooted",
        "the final norms are squared norms",
        ("final-norms",),
        ms.theory,
        "final_encoder_norms",
        lambda right, problem, method: right(problem, method) ** 2,
    ),
    Fault(
        "final-norm-of-vanilla",
        "MIMO's final norms leave the uni-modal head out",
        ("final-norms",),
        ms.theory,
        "final_encoder_norms",
        lambda right, problem, method: right(problem, ms.Vanilla()),
    ),
    Fault(
        "growth-rate-linear",
        "growth rates use 1 + (lam sigma)^2 instead of its root",
        ("growth-law",),
        ms.theory,
        "growth_rates",
        _rates_linear_in_lam,
    ),
    Fault(
        "order-threshold-without-one",
        "lam* is |C_A| / |C_B|",
        ("order-threshold",),
        ms.theory,
        "order_threshold",
        lambda right, *arguments, **settings: float(np.hypot(right(*arguments, **settings), 1.0)),
    ),
    Fault(
        "misattribution-sign",
        "misattribution has the wrong sign",
        ("misattribution",),
        ms.theory,
        "misattribution",
        lambda right, problem: -right(problem),
    ),
    Fault(
        "preference-reversed",
        "the preference conditions name the modalities the other way round",
        ("joint-order-and-time-ratio",),
        ms.theory,
        "superficial_preference",
        _reversed_preference,
    ),
    Fault(
        "width-forgets-the-uni-modal-head",
        "the sufficient width is min(m, d_k) instead of min(2m, d_k)",
        ("landscape-no-bad-minima",),
        ms.theory,
        "sufficient_width",
        lambda right, problem: np.minimum(right(problem), problem.output_dim),
    ),
    Fault(
        "gap-bound-too-small",
        "the bound of the worst gap under weight decay forgets K^2",
        ("bottleneck-price",),
        ms.theory,
        "worst_gap_bound",
        lambda right, problem, *arguments: right(problem, *arguments) / problem.num_modalities**2,
    ),
    Fault(
        "conserved-quantity-forgets-u",
        "the conserved quantity leaves the uni-modal heads out",
        ("conserved-quantity",),
        ms.theory,
        "conserved_quantity",
        lambda right, run: right(run) + run.uni_head_norm**2,
    ),
    Fault(
        "half-time-at-a-tenth",
        "half-times are read at a tenth of the final squared norm",
        ("wrong-f-star-shifts-the-balance",),
        ms,
        "half_times",
        _half_times_at_a_tenth,
    ),
    Fault(
        "optima-off",
        "the uni-modal optima are a tenth too large",
        ("growth-law", "gradient-decomposition"),
        ms.LateFusionProblem,
        "unimodal_optima",
        lambda right, problem: 1.1 * right(problem),
    ),
]
