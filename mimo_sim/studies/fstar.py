r"""What mini-batch noise and the estimate of f* do to the weights sigma: laws against exact SGD.

Four parts. *Records*: where losses stand still, how far does a running minimum lie below the loss?
*Weights*: what sigma does MIMO then have, over the smoothing `decay`? *Rules*: three modalities that
are learned one after the other, under six estimates of f*; who gets the weight, and when is each
learned, compared with fixed weights of the same sum? *Network*: the same question of records for a
small network on the data set digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy.signal import lfilter

from mimo_sim import theory
from mimo_sim._checks import FloatArray, check_count
from mimo_sim.dynamics.batches import Batches
from mimo_sim.dynamics.driver import simulate
from mimo_sim.dynamics.engines.batches import Renew, train
from mimo_sim.dynamics.records import Options, Records, recorded_steps
from mimo_sim.dynamics.start import random_weights
from mimo_sim.generators import superficial_preference
from mimo_sim.methods._curves import curve_limit
from mimo_sim.objective import sigma_weights
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO

DECAYS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
COUNTS = (30, 100, 300, 1000, 3000, 10_000)
BATCH, SAMPLES = 32, 4096  # of the first two parts
SKEW = float(np.sqrt(8 / BATCH))  # of the mean of so many squared Gaussian residuals
LAM, MU = 2.0, 0.1
EVEN = 1e9  # a mu for which all weights are 1/K
WINDOWS = 40  # of records, of the longest count
# The third part: three uncorrelated scalar modalities. The first correlates most with the target
# and explains least; 1,000 samples, as in the observation that the study explains.
STDS, WEIGHTS, NOISE = (3.0, 1.5, 1.0), (0.25, 0.5, 0.8), 0.1
THREE_SAMPLES, THREE_STEP, EPOCHS, START = 1000, 0.01, 30, 1e-2
DIGITS_EPOCHS = 30


class Estimate(NamedTuple):
    """A rule for f*, as the toy and `mimo_sim.MIMOLoss` take it."""

    f_star: Any
    decay: float = 0.95
    by_epoch: str | None = None
    mu: float = MU


RULES: dict[str, Estimate] = {
    "fixed weights": Estimate("zero", mu=EVEN),
    "raw minimum": Estimate("running_minimum", decay=0.0),
    "smoothed minimum": Estimate("running_minimum"),
    "extrapolation": Estimate("running_minimum", by_epoch="extrapolation"),
    "zero": Estimate("zero"),
    "exact": Estimate("exact"),
}


def compute(
    seeds: int = 8,
    network_seeds: int = 2,
    *,
    counts: Sequence[int] = COUNTS,
    decays: Sequence[float] = DECAYS,
    on_part: Callable[[int], None] = lambda count: None,
) -> xr.Dataset:
    """Measure all four parts.

    Parameters
    ----------
    seeds : int
        Of samples, order and initial weights in the toy, >= 1.
    network_seeds : int
        Networks that are trained on digits for each decay, >= 0.
    counts : sequence of int
        Steps over which a minimum runs.
    decays : sequence of float
        Smoothings in [0, 1).
    on_part : callable
        Called with the number of runs that are done since the last call.

    Returns
    -------
    xarray.Dataset
        * ``depth`` (decay, count, modality), measured, and ``predicted_depth`` (decay, count):
          the false gap over the noise of a batch.
        * ``sigma`` (decay, seed), of the noisier of two modalities whose true gaps are zero, and
          ``predicted_sigma`` (decay).
        * ``rule_sigma`` (rule, seed, epoch, modality); ``half_time`` (rule, seed, modality), in
          steps; ``joint_time`` (rule, seed), the step at which f_mm's excess is below a hundredth.
        * ``network_depth`` and ``predicted_network_depth`` (decay, network_seed, modality),
          ``network_sigma`` and ``predicted_network_sigma`` (decay, network_seed): of the noisier
          modality.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.
    """
    check_count("seeds", seeds, 1)
    check_count("network_seeds", network_seeds, 0)
    for count in counts:
        check_count("counts", count, 2)
    problem = superficial_preference()
    noise, losses = _standing_losses(problem, max(counts))
    on_part(1)
    depth = np.array([[_depth(losses, n, decay) / noise for n in counts] for decay in decays])
    law = np.array(
        [[theory.minimum_bias(n, decay, skew=SKEW) for n in counts] for decay in decays]
    )
    found, predicted = _weights(problem, decays, seeds, on_part)
    three = [_three(seed, on_part) for seed in range(seeds)]
    shape = (len(decays), network_seeds)
    network = {
        "network_depth": np.full((*shape, 2), np.nan),
        "predicted_network_depth": np.full((*shape, 2), np.nan),
        "network_sigma": np.full(shape, np.nan),
        "predicted_network_sigma": np.full(shape, np.nan),
    }
    for i, decay in enumerate(decays):
        for seed in range(network_seeds):
            for name, value in _network(seed, decay).items():
                network[name][i, seed] = value
            on_part(1)
    over = ("decay", "network_seed", "modality")
    return xr.Dataset(
        {
            "depth": (("decay", "count", "modality"), depth),
            "predicted_depth": (("decay", "count"), law),
            "noise": ("modality", noise),
            "sigma": (("decay", "seed"), found),
            "predicted_sigma": ("decay", predicted),
            "rule_sigma": (
                ("rule", "seed", "epoch", "three"),
                np.stack([each["sigma"] for each in three], axis=1),
            ),
            "half_time": (
                ("rule", "seed", "three"),
                np.stack([each["half_time"] for each in three], axis=1),
            ),
            "joint_time": (
                ("rule", "seed"),
                np.stack([each["joint_time"] for each in three], axis=1),
            ),
            **{name: (over[: value.ndim], value) for name, value in network.items()},
        },
        {
            "decay": list(decays),
            "count": list(counts),
            "modality": ["A", "B"],
            "rule": list(RULES),
            "three": ["easy", "middle", "slow"],
        },
        {"mu": MU, "lam": LAM, "batch": BATCH},
    )


# ------------------------ records and weights


def _data(problem: LateFusionProblem, samples: int, seed: int, **order: Any) -> Batches:
    inputs, y = problem.sample(samples, seed)
    return Batches(inputs, y, seed=seed, **order)


def _standing_losses(problem: LateFusionProblem, longest: int) -> tuple[FloatArray, FloatArray]:
    """Noise (2,) and losses (T, 2) of batches, where fixed weights have learned everything."""
    drawn = _data(problem, SAMPLES, 0, size=BATCH, replace=True)
    steps = 6000 + WINDOWS * longest
    run = simulate(
        drawn.problem,
        MIMO(LAM, EVEN),
        batches=drawn,
        step_size=2e-3,
        steps=steps,
        init_scale=0.3,
    )
    losses = run.batch_loss_uni.values[6000:]
    return losses.std(0), losses


def averages(losses: FloatArray, decay: float) -> FloatArray:
    """Exponential averages (T, K) of losses (T, K); the first is the first loss."""
    start = decay * losses[:1]
    return np.asarray(lfilter([1 - decay], [1.0, -decay], losses, axis=0, zi=start)[0])


def _depth(losses: FloatArray, count: int, decay: float) -> FloatArray:
    """(2,) mean distance of the last average of a window from the least one in it."""
    settled = int(10 / (1 - decay))
    average = averages(losses, decay)[settled:]
    windows = len(average) // count
    cut = average[: windows * count].reshape(windows, count, -1)
    return np.asarray((cut[:, -1] - cut.min(axis=1)).mean(axis=0))


def _weights(
    problem: LateFusionProblem,
    decays: Sequence[float],
    seeds: int,
    on_part: Callable[[int], None],
    steps: int = 4000,
    learned: int = 1500,
) -> tuple[FloatArray, FloatArray]:
    """sigma (decay, seed) of the noisier modality at the end of MIMO's training, and the law's."""
    found = np.empty((len(decays), seeds))
    for seed in range(seeds):
        drawn = _data(problem, SAMPLES, seed, size=BATCH, replace=True)
        for i, decay in enumerate(decays):
            run = simulate(
                drawn.problem,
                MIMO(LAM, MU, f_star="running_minimum"),
                batches=drawn,
                decay=decay,
                step_size=5e-3,
                steps=steps,
                init_scale=0.3,
                seed=seed,
            )
            last = run.isel(step=slice(-1000, None))
            noisier = int(np.argmax(last.batch_loss_uni.std("step").values))
            found[i, seed] = float(last.sigma.isel(modality=noisier).mean())
        on_part(1)
    noise = problem.unimodal_optima * np.sqrt(2 / BATCH)
    standing = steps - learned - 500  # up to the middle of what is measured
    law = [theory.noisy_sigma(noise, MU, standing, one, skew=SKEW).max() for one in decays]
    return found, np.array(law)


# ------------------------ three modalities


def three_modalities() -> LateFusionProblem:
    """Three uncorrelated scalar modalities; the first is the easiest, the last explains most."""
    moments = np.diag(np.square(STDS))
    return LateFusionProblem.from_linear_model([[w] for w in WEIGHTS], moments, NOISE)


def _three(seed: int, on_part: Callable[[int], None]) -> dict[str, FloatArray]:
    problem = three_modalities()
    drawn = _data(problem, THREE_SAMPLES, seed, size=BATCH)
    found: dict[str, list[Any]] = {"sigma": [], "half_time": [], "joint_time": []}
    for rule in RULES.values():
        records = run_rule(drawn, rule, seed)
        sigma = records.sigma[: EPOCHS * drawn.per_pass]
        found["sigma"].append(sigma.reshape(EPOCHS, drawn.per_pass, -1).mean(axis=1))
        # Uncorrelated inputs: an encoder's squared norm ends near sqrt(M^2 + N^2) = sqrt(2) |w|.
        half = np.sqrt(np.sqrt(2) * np.array(WEIGHTS) / 2)
        found["half_time"].append((records.norms[:, :, 2] >= half).argmax(axis=0))
        learned = records.excess_mm < 0.01 * records.excess_mm[0]
        found["joint_time"].append(int(learned.argmax()) if learned.any() else np.nan)
        on_part(1)
    return {name: np.array(values, dtype=float) for name, values in found.items()}


def run_rule(drawn: Batches, rule: Estimate, seed: int, epochs: int = EPOCHS) -> Records:
    """MIMO with one estimate of f*, on mini-batches; every step is recorded."""
    problem = drawn.problem
    steps = recorded_steps(epochs * drawn.per_pass, 1)
    options = Options(THREE_STEP, 0.0, steps, False, False, batches=drawn, decay=rule.decay)
    weights = random_weights(problem, 100, START, seed)
    method = MIMO(LAM, rule.mu, f_star=rule.f_star)
    renew = _extrapolated(problem, drawn.per_pass) if rule.by_epoch else None
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


# ------------------------ a small network


def _network(seed: int, decay: float) -> dict[str, Any]:
    """Two encoders on digits, trained by MIMO: records of the last epochs, and sigma."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    from mimo_sim import datasets
    from mimo_sim.methods import MIMOLoss

    data = datasets.load("digits", seed=seed)
    generator = torch.Generator().manual_seed(seed)
    inputs, target = data.train.inputs, data.train.target
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoders = nn.ModuleList(nn.Sequential(nn.Linear(40, 32), nn.ReLU()) for _ in inputs)
        head, heads = nn.Linear(64, 10), nn.ModuleList(nn.Linear(32, 10) for _ in inputs)
    mimo = MIMOLoss(lam=LAM, mu=MU, decay=decay)
    network = nn.ModuleList([encoders, head, heads])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    losses, sigmas = [], []
    for _ in range(DIGITS_EPOCHS):
        mimo.begin_epoch()
        for rows in torch.randperm(len(target), generator=generator).split(BATCH):
            features = [encoder(x[rows]) for encoder, x in zip(encoders, inputs, strict=True)]
            joint = cross_entropy(head(torch.cat(features, 1)), target[rows])
            own = [
                cross_entropy(one(h), target[rows]) for one, h in zip(heads, features, strict=True)
            ]
            loss = mimo(joint, own)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append([float(each.detach()) for each in own])
        sigmas.append(mimo.report()["sigma"])
    return measured_records(np.array(losses), np.array(sigmas), decay)


def measured_records(losses: FloatArray, sigmas: FloatArray, decay: float) -> dict[str, Any]:
    """False gaps over noise in the last third of a training, beside the law's.

    losses (T, 2) of batches; sigmas (epochs, 2), of each epoch. The noise is what is left of a
    straight line through the last third; its slope is the progress of a step.
    """
    average = averages(losses, decay)
    gap = average - np.minimum.accumulate(average)
    third = len(losses) // 3
    last, time = losses[-third:], np.arange(third)
    fits = [np.polyfit(time, loss, 1) for loss in last.T]
    noise = np.array([np.std(loss - np.polyval(fit, time)) for loss, fit in zip(last.T, fits)])
    fall = np.array([max(-fit[0], 0.0) for fit in fits])
    if decay == 0:
        law = [theory.minimum_bias(third, progress=f / s) for f, s in zip(fall, noise)]
    else:
        law = [theory.minimum_bias(third, decay)] * 2
    noisier = int(np.argmax(noise))
    predicted = sigma_weights(np.array(law) * noise, MU)
    return {
        "network_depth": gap[-third:].mean(axis=0) / noise,
        "predicted_network_depth": np.array(law),
        "network_sigma": float(sigmas[-len(sigmas) // 3 :].mean(axis=0)[noisier]),
        "predicted_network_sigma": float(predicted[noisier]),
    }


# ------------------------ in words


def summarise(data: xr.Dataset) -> dict[str, Any]:
    """The parts in plain numbers.

    Parameters
    ----------
    data : xarray.Dataset
        What :func:`compute` returned.
    """
    off = np.abs(data.depth / data.predicted_depth - 1)
    trusted = off.where(data["count"] * (1 - data.decay) >= 10)
    fixed = data.isel(rule=0)
    rules: dict[str, Any] = {}
    for rule in map(str, data.rule.values):
        one = data.sel(rule=rule)
        rules[rule] = {
            "largest_sigma_of_the_easiest": _spread(one.rule_sigma.isel(three=0).max("epoch")),
            "half_time_over_fixed": {
                str(name): _spread(
                    one.half_time.sel(three=name) / fixed.half_time.sel(three=name)
                )
                for name in data.three.values
            },
            "joint_time_over_fixed": _spread(one.joint_time / fixed.joint_time),
        }
    network = [
        {
            "decay": float(decay),
            "depth": _mean(data.network_depth.sel(decay=decay)),
            "predicted_depth": _mean(data.predicted_network_depth.sel(decay=decay)),
            "sigma": _mean(data.network_sigma.sel(decay=decay)),
            "predicted_sigma": _mean(data.predicted_network_sigma.sel(decay=decay)),
        }
        for decay in data.decay.values
    ]
    return {
        "noise": data.noise.values.tolist(),
        "largest_error_of_depth": float(trusted.max()),
        "depth_at_1000": {
            f"{float(one.decay):g}": {
                "measured": one.depth.mean("modality").item(),
                "predicted": float(one.predicted_depth),
            }
            for one in (
                data.sel(decay=decay).sel(count=1000, method="nearest")
                for decay in data.decay.values
            )
        },
        "sigma_of_the_noisier": {
            f"{decay:g}": {
                "measured": _spread(data.sigma.sel(decay=decay)),
                "predicted": float(data.predicted_sigma.sel(decay=decay)),
            }
            for decay in data.decay.values
        },
        "rules": rules,
        "network": network,
    }


def _spread(values: xr.DataArray) -> list[float]:
    """Mean, smallest and largest."""
    return [float(values.mean()), float(values.min()), float(values.max())]


def _mean(values: xr.DataArray) -> float | None:
    return float(values.mean()) if values.size else None
