r"""What mini-batch noise and the estimate of f* do to the weights sigma: laws against exact SGD.

Five parts. *Records*: where losses stand still, how far does a running minimum lie below the loss?
*Weights*: what sigma does MIMO then have, over the smoothing `decay`? *Three modalities* that are
learned one after the other, under several estimates of f*: who gets the weight, and when is each
learned, compared with fixed weights of the same sum? *Random problems* with two to four modalities:
the same times. *Network*: records and weights of a small network on the data set digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from scipy.signal import lfilter

from mimo_sim import theory
from mimo_sim._checks import FloatArray, check_count
from mimo_sim.dynamics.driver import simulate
from mimo_sim.generators import superficial_preference
from mimo_sim.objective import sigma_weights
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO
from mimo_sim.studies._estimates import (
    BATCH,
    EVEN,
    LAM,
    MU,
    random_times,
    sampled,
    three,
)
from mimo_sim.studies._estimates import RULES as RULES

DECAYS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
COUNTS = (30, 100, 300, 1000, 3000, 10_000)
SAMPLES = 4096  # of the first two parts
SKEW = float(np.sqrt(8 / BATCH))  # of the mean of so many squared Gaussian residuals
WINDOWS = 40  # of records, of the longest count
DIGITS_EPOCHS = 30


def compute(
    seeds: int = 8,
    network_seeds: int = 2,
    problems: int = 24,
    *,
    counts: Sequence[int] = COUNTS,
    decays: Sequence[float] = DECAYS,
    on_part: Callable[[int], None] = lambda count: None,
) -> xr.Dataset:
    """Measure all five parts.

    Parameters
    ----------
    seeds : int
        Of samples, order and initial weights in the toy, >= 1.
    network_seeds : int
        Networks that are trained on digits for each decay, >= 0.
    problems : int
        Random problems, >= 0.
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
          steps; ``joint_time`` (rule, seed), the step at which the joint loss is learned.
        * ``random_joint_time`` and ``random_last_time`` (rule, problem): the same, and the step at
          which the last uni-modal head has learned; inf where that is not within the run.
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
    check_count("problems", problems, 0)
    for count in counts:
        check_count("counts", count, 2)
    problem = superficial_preference()
    noise, losses = _standing_losses(problem, max(counts))
    on_part(1)
    depth = np.array([[_depth(losses, n, decay) / noise for n in counts] for decay in decays])
    law = np.array([[theory.minimum_bias(n, decay, skew=SKEW) for n in counts] for decay in decays])
    found, predicted = _weights(problem, decays, seeds, on_part)
    found_three = [three(seed, on_part) for seed in range(seeds)]
    random = np.array([random_times(seed, on_part) for seed in range(problems)])
    random = random.reshape(problems, 2, len(RULES))
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
                np.stack([each["sigma"] for each in found_three], axis=1),
            ),
            "half_time": (
                ("rule", "seed", "three"),
                np.stack([each["half_time"] for each in found_three], axis=1),
            ),
            "joint_time": (
                ("rule", "seed"),
                np.stack([each["joint_time"] for each in found_three], axis=1),
            ),
            "random_joint_time": (("problem", "rule"), random[:, 0]),
            "random_last_time": (("problem", "rule"), random[:, 1]),
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


def _standing_losses(problem: LateFusionProblem, longest: int) -> tuple[FloatArray, FloatArray]:
    """Noise (2,) and losses (T, 2) of batches, where fixed weights have learned everything."""
    drawn = sampled(problem, SAMPLES, 0, size=BATCH, replace=True)
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
        drawn = sampled(problem, SAMPLES, seed, size=BATCH, replace=True)
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
        for rows in torch.split(torch.randperm(len(target), generator=generator), BATCH):
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
    noise = np.array(
        [np.std(loss - np.polyval(fit, time)) for loss, fit in zip(last.T, fits, strict=True)]
    )
    fall = np.array([max(-fit[0], 0.0) for fit in fits])
    if decay == 0:
        law = [theory.minimum_bias(third, progress=f / s) for f, s in zip(fall, noise, strict=True)]
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
                str(name): _spread(one.half_time.sel(three=name) / fixed.half_time.sel(three=name))
                for name in data.three.values
            },
            "joint_time_over_fixed": _spread(one.joint_time / fixed.joint_time),
            "random_problems": {
                name: _paired(one[f"random_{name}"].values, fixed[f"random_{name}"].values)
                for name in ("joint_time", "last_time")
            },
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


def _paired(mine: FloatArray, fixed: FloatArray) -> dict[str, float | None]:
    """Median ratio, and on how many problems it is below 0.98 and above 1.02."""
    known = np.isfinite(fixed)
    ratio = mine[known] / fixed[known]
    median = float(np.median(ratio)) if len(ratio) else np.inf
    return {
        "median": median if np.isfinite(median) else None,
        "sooner": int((ratio < 0.98).sum()),
        "later": int((ratio > 1.02).sum()),
        "problems": len(ratio),
    }


def _spread(values: xr.DataArray) -> list[float]:
    """Mean, smallest and largest."""
    return [float(values.mean()), float(values.min()), float(values.max())]


def _mean(values: xr.DataArray) -> float | None:
    return float(values.mean()) if values.size else None
