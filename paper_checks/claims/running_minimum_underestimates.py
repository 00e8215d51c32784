"""The running minimum of full-batch losses never lies below f_k*; of mini-batch losses it does."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.network import Data, Objective, descend, optima, random_data, random_network

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIM = Claim(
    id="running-minimum-underestimates",
    topic="10 Numerics",
    says="Estimating f_k* by the running minimum of f_k may underestimate the true minimum.",
    source="[MIMO] Algorithm 1's f_k* estimate, as summarised under trade-offs",
    assumptions="True minimum: of the loss that is averaged over the training samples (population minimum where said).",
    how="statistical",
    recorded=Verdict.CONDITIONAL,
    false_alarm="0 of 30 other sets of seeds changed the verdict; every run with batches of 8 ended below in all of them.",
)

ROUND_OFF = 1e-12
BATCHES = (4, 8, 16, 32, 64)  # of 64 samples


def full_batch(seed: int) -> tuple[float, float, float]:
    """Of a run on 24 samples: least (estimate - f*) / f*, share of recorded steps with sigma = 1/K, final (estimate - f*) / f* against the population's f*."""
    population = ms.generators.random_problem((2, 2), seed, noise_variance=0.3)
    x, y = population.sample(24, seed)
    problem = ms.LateFusionProblem.from_samples(x, y)
    truth = np.array(
        [0.5 * np.mean((y - own @ np.linalg.lstsq(own, y, rcond=None)[0]) ** 2) for own in x]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ms.ChatteringWarning)
        run = ms.simulate(
            problem,
            ms.MIMO(lam=2.0, mu=0.1, f_star="running_minimum"),
            steps=20_000,
            width=8,
            init_scale=0.3,
            seed=seed,
            record_every=20,
        )
    estimate = run.loss_uni.values - run.gap.values
    even = np.abs(run.sigma.values - 0.5).max(axis=1) < 1e-3
    return (
        float(((estimate - truth) / truth).min()),
        float(even.mean()),
        float(((estimate[-1] - population.unimodal_optima) / population.unimodal_optima).min()),
    )


def mini_batch(count: int, batch: int, steps: int = 400) -> np.ndarray:
    """(count, 2) final (running minimum - f*) / f* of stochastic gradient descent on 64 samples with batches drawn without replacement."""
    rng = np.random.default_rng([15, batch])
    data = random_data(rng, count, samples=64)
    net = random_network(rng, data, 2, 0.5)
    _, best = optima(data)
    estimate = np.full_like(best, np.inf)
    parameters = Objective(np.full(count, 2.0), np.full(count, 0.1), best)
    eta = np.full(count, 0.02)
    for t in range(steps):
        if t % (64 // batch) == 0:
            order = rng.permutation(64)
        chosen = order[(t % (64 // batch)) * batch :][:batch]
        part = Data(data.x[:, :, chosen], data.y[:, chosen])
        # The first row of the run is the loss of this batch before the step, from which Algorithm 1 updates its estimate.
        losses = descend(part, net, parameters, eta, 0).f_uni[:, 0]
        estimate = np.stack(
            [
                ms.objective.running_minimum(old, new)
                for old, new in zip(estimate, losses, strict=True)
            ]
        )
        net = descend(part, net, Objective(parameters.lam, parameters.mu, estimate), eta, 1).final
    return np.asarray((estimate - best) / best)


def check(draws: int) -> Evidence:
    """Full-batch runs of the package, mini-batch runs of the network with the package's estimator, both against least squares."""
    count = max(draws // 10, 12)
    least, even, population = np.array([full_batch(seed) for seed in range(count)]).T
    never = bool(least.min() >= -ROUND_OFF)
    runs = max(draws // 5, 20)
    below = {batch: mini_batch(runs, batch, 200) for batch in BATCHES}
    shares = {batch: float((values < -ROUND_OFF).mean()) for batch, values in below.items()}
    hits = int((below[8].min(axis=1) < -ROUND_OFF).sum())
    interval = binomtest(hits, runs).proportion_ci(0.95, method="wilson")
    happens = interval.low > 0.5
    full = bool((below[64] >= -ROUND_OFF).all())
    over_fit = float((population < 0).mean())
    verdict = (
        Verdict.CONDITIONAL
        if never and full and happens
        else Verdict.REFUTED
        if never and full
        else Verdict.HOLDS
    )

    def plot(axes: Axes) -> None:
        for k in range(2):
            medians = [float(np.median(below[batch][:, k])) for batch in BATCHES]
            axes.semilogx(
                BATCHES,
                medians,
                "o-",
                base=2,
                color=ms.plots.MODALITY_COLORS[k],
                label=f"modality {k + 1}",
            )
        axes.axhline(0.0, color=ms.plots.JOINT_COLOR)
        axes.set_xlabel("batch size, of 64 samples")
        axes.set_ylabel("(running minimum - f*) / f*, median")
        axes.legend()

    return Evidence(
        verdict=verdict,
        words=f"Not in full batch: over {count} runs the estimate never lies below the training minimum (least relative distance {least.min():.1e}); "
        f"it over-states f*, and while all "
        f"losses fall every gap is zero and sigma is 1/K (in {np.median(even):.0%} of the steps, median). With batches of 8 of 64 samples it ends "
        f"below in {hits} of {runs} runs "
        f"(95% interval {interval.low:.0%} to {interval.high:.0%}), by {-np.median(below[8]):.0%} of f* in the median. Against the population's minimum, "
        f"{over_fit:.0%} of the full-batch runs on 24 samples end below: that is over-fitting.",
        numbers={
            "full-batch runs": count,
            "least relative (estimate - f*), full batch": float(least.min()),
            "share of steps with sigma = 1/K, median": float(np.median(even)),
            "mini-batch runs": runs,
            "share of estimates below f* by batch size": {
                str(batch): share for batch, share in shares.items()
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
        counterexample=Counterexample(
            "40 samples of the Figure 1 problem with noise, full batch: f_1's running minimum minus least squares' f_1* is never below zero but for round-off",
            'python -c "import numpy as np, mimo_sim as ms; x, y = ms.generators.superficial_preference(noise_variance=0.1).sample(40); '
            "r = ms.simulate(ms.LateFusionProblem.from_samples(x, y), ms.MIMO(lam=2.0, mu=0.1, f_star='running_minimum'), step_size=1e-3, steps=20000, "
            "init_scale=0.1); best = float(np.linalg.lstsq(x[0], y)[1][0]) / 80; "
            "print('least of (estimate - f_1*) / f_1*:', float(((r.loss_uni - r.gap)[:, 0] / best - 1).min()))\"",
        ),
        plot=plot,
    )
