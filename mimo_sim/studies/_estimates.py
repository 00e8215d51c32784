"""Runs of the study of f*: MIMO on mini-batches of the toy, under several estimates of f*."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mimo_sim import theory
from mimo_sim._checks import FloatArray
from mimo_sim.dynamics.batches import Batches
from mimo_sim.dynamics.engines.batches import Renew, train
from mimo_sim.dynamics.records import Options, Records, recorded_steps
from mimo_sim.dynamics.start import random_weights
from mimo_sim.generators import random_problem
from mimo_sim.methods._curves import curve_limit
from mimo_sim.problem import LateFusionProblem
from mimo_sim.rules import LinearScalarization
from mimo_sim.solvers import MIMO

LAM, MU, BATCH = 2.0, 0.1, 32
SOFT = 0.25  # the mu of the rule that the study proposes
EVEN = 1e9  # a mu for which all weights are 1/K
# Three uncorrelated scalar modalities. The first correlates most with the target
# and explains least; 1,000 samples, as in the observation that the study explains.
STDS, WEIGHTS, NOISE = (3.0, 1.5, 1.0), (0.25, 0.5, 0.8), 0.1
SAMPLES_OF_THREE, STEP_OF_THREE, EPOCHS, START = 1000, 0.01, 30, 1e-2
MOST_STEPS = 20_000  # of a random problem
LEARNED = 0.03  # of the excess of f_mm at the start is left: the joint loss is learned
LEARNED_ALONE = 0.1  # and of a uni-modal excess


class Estimate(NamedTuple):
    """A rule for f*. Its mu is in units of the loss of the zero network."""

    f_star: Any
    decay: float = 0.95
    extrapolated: bool = False
    mu: float = MU
    full: bool = False  # lam for every modality, instead of lam shared out


RULES: dict[str, Estimate] = {
    "fixed weights": Estimate("zero", mu=EVEN),
    "raw minimum": Estimate("running_minimum", decay=0.0),
    "smoothed minimum": Estimate("running_minimum"),
    "extrapolation": Estimate("running_minimum", extrapolated=True),
    "zero": Estimate("zero"),
    "soft zero": Estimate("zero", mu=SOFT),
    "exact": Estimate("exact"),
    "plain sum": Estimate("zero", mu=EVEN, full=True),
}


def sampled(problem: LateFusionProblem, samples: int, seed: int, **order: Any) -> Batches:
    """Mini-batches of samples of a problem; `order` goes to :class:`Batches`."""
    inputs, y = problem.sample(samples, seed)
    return Batches(inputs, y, seed=seed, **order)


def three_modalities() -> LateFusionProblem:
    """Three uncorrelated scalar modalities; the first is the easiest, the last explains most."""
    moments = np.diag(np.square(STDS))
    return LateFusionProblem.from_linear_model([[w] for w in WEIGHTS], moments, NOISE)


def three(seed: int, on_part: Callable[[int], None]) -> dict[str, FloatArray]:
    """For each rule: sigma (epoch, 3), half-times (3,), and when the joint loss is learned."""
    drawn = sampled(three_modalities(), SAMPLES_OF_THREE, seed, size=BATCH)
    found: dict[str, list[Any]] = {"sigma": [], "half_time": [], "joint_time": []}
    for rule in RULES.values():
        records = run_rule(drawn, rule, STEP_OF_THREE, EPOCHS * drawn.per_pass, seed)
        sigma = records.sigma[: EPOCHS * drawn.per_pass]
        found["sigma"].append(sigma.reshape(EPOCHS, drawn.per_pass, -1).mean(axis=1))
        # Uncorrelated inputs: an encoder's squared norm ends near sqrt(M^2 + N^2) = sqrt(2) |w|.
        half = np.sqrt(np.sqrt(2) * np.array(WEIGHTS) / 2)
        reached = records.norms[:, :, 2] >= half
        found["half_time"].append(np.where(reached.any(axis=0), reached.argmax(axis=0), np.inf))
        found["joint_time"].append(_first_below(records.excess_mm, LEARNED))
        on_part(1)
    return {name: np.array(values, dtype=float) for name, values in found.items()}


def _first_below(excess: FloatArray, part: float) -> float:
    """The step at which `part` of the excess (T,) is left; inf if it never is."""
    below = np.flatnonzero(excess < part * excess[0])
    return float(below[0]) if len(below) else np.inf


def random_times(seed: int, on_part: Callable[[int], None]) -> tuple[list[float], list[float]]:
    """For each rule: steps until the joint loss is learned, and until the last head has learned."""
    rng = np.random.default_rng(seed)
    dims = tuple(rng.integers(1, 3, 2 + seed % 3).tolist())
    problem = random_problem(dims, seed, noise_variance=0.3)
    drawn = sampled(problem, SAMPLES_OF_THREE, seed, size=BATCH)
    times = theory.learning_times(drawn.problem, START)
    step_size = 0.6 * theory.default_step_size(drawn.problem, LinearScalarization())
    steps = int(min(6 * times[np.isfinite(times)].max() / step_size, MOST_STEPS))
    joint, last = [], []
    for rule in RULES.values():
        records = run_rule(drawn, rule, step_size, steps, seed)
        joint.append(_first_below(records.excess_mm, LEARNED))
        last.append(max(_first_below(own, LEARNED_ALONE) for own in records.excess_uni.T))
    on_part(1)
    return joint, last


def run_rule(drawn: Batches, rule: Estimate, step_size: float, steps: int, seed: int) -> Records:
    """MIMO with one estimate of f*, on mini-batches; every step is recorded."""
    problem = drawn.problem
    options = Options(
        step_size, 0.0, recorded_steps(steps, 1), False, False, batches=drawn, decay=rule.decay
    )
    weights = random_weights(problem, 100, START, seed)
    lam = LAM * problem.num_modalities if rule.full else LAM
    method = MIMO(lam, rule.mu * problem.y_second_moment / 2, f_star=rule.f_star)
    renew = _extrapolated(problem, drawn.per_pass) if rule.extrapolated else None
    return train(problem, method, weights, START, options, renew)


def _extrapolated(problem: LateFusionProblem, per_pass: int) -> Renew:
    """The estimate of `f_star="extrapolation"`, at the end of every epoch."""
    history: list[FloatArray] = []

    def renew(t: int, records: Records) -> FloatArray:
        assert records.batch_excess is not None
        own = records.batch_excess[t - per_pass : t, 1:].mean(axis=0)
        history.append(own + problem.unimodal_optima)
        limits = [curve_limit(curve) for curve in np.array(history).T]
        return np.array(limits) - problem.unimodal_optima

    return renew
