"""The running minimum of full-batch losses never lies below f_k*; of mini-batch losses it does."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.network import (
    Data,
    Objective,
    descend,
    least_loss,
    optima,
    random_data,
    random_network,
)
from paper_checks.runs import quietly

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIM = Claim(
    id="running-minimum-underestimates",
    topic="10 Numerics",
    says="The running minimum of f_k, as an estimate of f_k*, may lie below the true minimum.",
    source="[MIMO] Algorithm 1's f_k* estimate, as summarised under trade-offs",
    assumptions="The true minimum is that of the loss averaged over the training samples (or over "
    "the population, where the text says so).",
    how="statistical",
    recorded=Verdict.CONDITIONAL,
    false_alarm="0 of 30 other sets of seeds changed the verdict; every run with batches of 8 "
    "ended below in all of them.",
)

ROUND_OFF = 1e-12
SAMPLES = 64  # of the mini-batch runs
BATCHES = (4, 8, 16, 32, 64)


def full_batch(seed: int) -> tuple[float, float, float]:
    """Three numbers of a run of the package on 24 samples.

    The first is the least (estimate - f*) / f* along the run. The second is the share of recorded
    steps with sigma = 1/K. The third is the least final (estimate - f*) / f*, where f* is the
    population's.
    """
    population = ms.generators.random_problem((2, 2), seed, noise_variance=0.3)
    x, y = population.sample(24, seed)
    truth = np.array([least_loss(own, y) for own in x])
    run = quietly(
        ms.LateFusionProblem.from_samples(x, y),
        ms.MIMO(lam=2.0, mu=0.1, f_star="running_minimum"),
        steps=20_000,
        width=8,
        init_scale=0.3,
        seed=seed,
        record_every=20,
    )
    estimate = run.loss_uni.values - run.gap.values
    even = np.abs(run.sigma.values - 0.5).max(axis=1) < 1e-3
    beyond = population.unimodal_optima
    return (
        float(((estimate - truth) / truth).min()),
        float(even.mean()),
        float(((estimate[-1] - beyond) / beyond).min()),
    )


def mini_batch(count: int, batch: int, steps: int = 400) -> np.ndarray:
    """Final (running minimum - f*) / f* of stochastic gradient descent (count, 2).

    Batches of the SAMPLES are drawn without replacement.
    """
    rng = np.random.default_rng([15, batch])
    data = random_data(rng, count, samples=SAMPLES)
    network = random_network(rng, data, 2, 0.5)
    _, best = optima(data)
    estimate = np.full_like(best, np.inf)
    lam, mu, eta = np.full(count, 2.0), np.full(count, 0.1), np.full(count, 0.02)
    per_pass = SAMPLES // batch
    for t in range(steps):
        if t % per_pass == 0:
            order = rng.permutation(SAMPLES)
        chosen = order[(t % per_pass) * batch :][:batch]
        part = Data(data.x[:, :, chosen], data.y[:, chosen])
        # Algorithm 1 updates its estimate from the losses of this batch before the step.
        losses = descend(part, network, Objective(lam, mu, best), eta, 0).f_uni[:, 0]
        estimate = np.stack(
            [
                ms.objective.running_minimum(old, new)
                for old, new in zip(estimate, losses, strict=True)
            ]
        )
        network = descend(part, network, Objective(lam, mu, estimate), eta, 1).final
    return np.asarray((estimate - best) / best)


def check(draws: int) -> Evidence:
    """Full-batch runs of the package, and mini-batch runs of the network with its estimator.

    Both are compared with least squares.
    """
    count = max(draws // 10, 12)
    least, even, beyond = np.array([full_batch(seed) for seed in range(count)]).T
    runs = max(draws // 5, 20)
    below = {batch: mini_batch(runs, batch, 200) for batch in BATCHES}
    hits = int((below[8].min(axis=1) < -ROUND_OFF).sum())
    interval = binomtest(hits, runs).proportion_ci(0.95, method="wilson")
    over_fit = float((beyond < 0).mean())

    never_in_full_batch = least.min() >= -ROUND_OFF and (below[SAMPLES] >= -ROUND_OFF).all()
    if not never_in_full_batch:
        verdict = Verdict.HOLDS
    elif interval.low > 0.5:
        verdict = Verdict.CONDITIONAL
    else:
        verdict = Verdict.REFUTED
    example = Counterexample.shown_by(
        "40 samples of the Figure 1 problem with noise, full batch: f_1's running minimum minus "
        "least squares' f_1* is never below zero but for round-off",
        "import numpy as np, mimo_sim as ms",
        "x, y = ms.generators.superficial_preference(noise_variance=0.1).sample(40)",
        "r = ms.simulate(ms.LateFusionProblem.from_samples(x, y), ms.MIMO(lam=2.0, mu=0.1, "
        "f_star='running_minimum'), step_size=1e-3, steps=20000, init_scale=0.1)",
        "best = float(np.linalg.lstsq(x[0], y)[1][0]) / 80",
        "print('least of (estimate - f_1*) / f_1*:', "
        "float(((r.loss_uni - r.gap)[:, 0] / best - 1).min()))",
    )
    return Evidence(
        verdict=verdict,
        words=f"In full batch it does not: over {count} runs the estimate never lies below the "
        f"training minimum (least relative distance {least.min():.1e}). It is too high instead, "
        "and while all losses fall, every gap is zero and sigma is 1/K (in "
        f"{np.median(even):.0%} of the steps, median). With batches of 8 of 64 samples it ends "
        f"below in {hits} of {runs} runs (95% interval {interval.low:.0%} to {interval.high:.0%}), "
        f"by {-np.median(below[8]):.0%} of f* in the median. {over_fit:.0%} of the full-batch runs "
        "on 24 samples end below the population's minimum: that is over-fitting.",
        numbers={
            "full-batch runs": count,
            "least relative (estimate - f*), full batch": float(least.min()),
            "share of steps with sigma = 1/K, median": float(np.median(even)),
            "mini-batch runs": runs,
            "share of estimates below f* by batch size": {
                str(batch): float((values < -ROUND_OFF).mean()) for batch, values in below.items()
            },
            "median relative distance by batch size": {
                str(batch): float(np.median(values)) for batch, values in below.items()
            },
            "95% interval (Wilson) of runs with one below, batches of 8": [
                float(interval.low),
                float(interval.high),
            ],
            "false-alarm rate of that interval": 0.05,
            "share of full-batch runs below the population's minimum": over_fit,
        },
        counterexample=example,
        plot=functools.partial(_draw, below),
    )


def _draw(below: dict[int, np.ndarray], axes: Axes) -> None:
    for k in range(2):
        medians = [float(np.median(below[batch][:, k])) for batch in BATCHES]
        color = ms.plots.MODALITY_COLORS[k]
        axes.semilogx(BATCHES, medians, "o-", base=2, color=color, label=f"modality {k + 1}")
    axes.axhline(0.0, color=ms.plots.JOINT_COLOR)
    axes.set_xlabel("batch size, of 64 samples")
    axes.set_ylabel("(running minimum - f*) / f*, median")
    axes.legend()
