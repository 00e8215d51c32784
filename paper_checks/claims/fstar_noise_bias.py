"""A running minimum of mini-batch losses opens a false gap, and feeds the noisier modality."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.runs import without_advice

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIM = Claim(
    id="fstar-noise-bias",
    topic="10 Numerics",
    says="With mini-batches a running minimum opens a gap where there is none: b times the noise s "
    "of the losses, with b near the expected maximum of n normal numbers. So MIMO gives weight to "
    "the noisier modality. Averages of the losses shrink b by more than sqrt((1 - decay) / "
    "(1 + decay)).",
    source="this project's law of the paper's Algorithm 1 (its estimate of f_k*), mini-batches",
    assumptions="Exact SGD on 4,096 samples of the Figure 1 problem, batches of 32 with "
    "replacement, after everything is learned. b and the mean weights are ms.theory.minimum_bias "
    "and noisy_sigma, with the skewness sqrt(8 / 32) of such losses.",
    how="statistical",
    recorded=Verdict.HOLDS,
    false_alarm="0 of 20 other sets of seeds changed the verdict.",
)

DECAYS = (0.0, 0.5, 0.9, 0.97)
BATCH, MU, LAM, WINDOW = 32, 0.1, 2.0, 1000
LEARNED, STEPS = 1500, 4000  # of a run: when all is learned, and when it ends
# Measured over 40 windows the mean depth scatters by 2 to 4 %; the law is good to 5 %.
ALLOWED_DEPTH, ALLOWED_SIGMA = 0.15, 0.06
SKEW = math.sqrt(8 / BATCH)
PROBLEM = ms.generators.superficial_preference()


def batches(seed: int) -> ms.Batches:
    """Mini-batches of the problem's samples."""
    return ms.Batches(*PROBLEM.sample(4096, seed), size=BATCH, seed=seed, replace=True)


def averages(losses: np.ndarray, decay: float) -> np.ndarray:
    """Exponential averages (T, 2) of losses (T, 2)."""
    found = losses.copy()
    for t in range(1, len(losses)):
        found[t] = decay * found[t - 1] + (1 - decay) * losses[t]
    return found


def depths(windows: int, seed: int) -> dict[float, float]:
    """For each decay the mean false gap of both modalities, over their noise."""
    drawn = batches(seed)
    with without_advice():
        run = ms.simulate(
            drawn.problem,
            ms.LinearScalarization(),
            batches=drawn,
            step_size=2e-3,
            steps=6000 + windows * WINDOW,
            init_scale=0.3,
        )
    losses = run.batch_loss_uni.values[6000:]
    noise = losses.std(axis=0)
    found = {}
    for decay in DECAYS:
        average = averages(losses, decay)[500:]
        cut = average[: len(average) // WINDOW * WINDOW].reshape(-1, WINDOW, 2)
        found[decay] = float(((cut[:, -1] - cut.min(axis=1)).mean(axis=0) / noise).mean())
    return found


def weight_of_the_noisier(decay: float, seeds: int) -> float:
    """Mean sigma of modality A at the end of MIMO's training."""
    found = []
    for seed in range(seeds):
        drawn = batches(seed)
        with without_advice():
            run = ms.simulate(
                drawn.problem,
                ms.MIMO(LAM, MU, f_star="running_minimum"),
                batches=drawn,
                decay=decay,
                step_size=5e-3,
                steps=STEPS,
                init_scale=0.3,
                seed=seed,
            )
        found.append(float(run.sigma.values[-1000:, 0].mean()))
    return float(np.mean(found))


def check(draws: int) -> Evidence:
    """Records of exact SGD, and the weights that follow, against the closed forms."""
    windows, seeds = max(draws // 3, 40), max(draws // 25, 8)
    measured = depths(windows, 0)
    law = {decay: ms.theory.minimum_bias(WINDOW, decay, skew=SKEW) for decay in DECAYS}
    noise = PROBLEM.unimodal_optima * math.sqrt(2 / BATCH)
    standing = STEPS - LEARNED - 500
    sigma = {decay: weight_of_the_noisier(decay, seeds) for decay in DECAYS}
    said = {
        decay: float(ms.theory.noisy_sigma(noise, MU, standing, decay, skew=SKEW)[0])
        for decay in DECAYS
    }
    off_depth = max(abs(measured[decay] / law[decay] - 1) for decay in DECAYS)
    off_sigma = max(abs(sigma[decay] - said[decay]) for decay in DECAYS)
    holds = off_depth <= ALLOWED_DEPTH and off_sigma <= ALLOWED_SIGMA and sigma[0.0] > 0.65
    example = Counterexample.shown_by(
        f"relative error of the false gap {off_depth:.2f}, error of sigma {off_sigma:.2f}",
        "import mimo_sim as ms",
        "p = ms.generators.superficial_preference()",
        "b = ms.Batches(*p.sample(4096), size=32, replace=True)",
        "r = ms.simulate(b.problem, ms.MIMO(2.0, 0.1, f_star='running_minimum'), batches=b, "
        "step_size=5e-3, steps=4000, init_scale=0.3)",
        "print(r.sigma.values[-1000:].mean(axis=0))",
    )
    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"Over {windows} windows of {WINDOW:,} steps the false gap is {measured[0.0]:.2f} "
        f"times the noise of a batch (law {law[0.0]:.2f}), {measured[0.9]:.2f} with decay = 0.9 "
        f"(law {law[0.9]:.2f}). Though all true gaps are zero, MIMO gives the noisier modality "
        f"{sigma[0.0]:.0%} of the weight (law {said[0.0]:.0%}), {sigma[0.9]:.0%} with decay = 0.9 "
        f"(law {said[0.9]:.0%}) and {sigma[0.97]:.0%} with 0.97. Here that is the modality that "
        "explains less.",
        numbers={
            "windows": windows,
            "runs for each decay": seeds,
            "false gap over noise, by decay": {str(key): value for key, value in measured.items()},
            "law": {str(key): value for key, value in law.items()},
            "sigma of the noisier modality, by decay": {
                str(key): value for key, value in sigma.items()
            },
            "law of sigma": {str(key): value for key, value in said.items()},
            "largest relative error of the false gap": off_depth,
            "largest error of sigma": off_sigma,
        },
        counterexample=None if holds else example,
        plot=functools.partial(_draw, sigma, said),
    )


def _draw(sigma: dict[float, float], said: dict[float, float], axes: Axes) -> None:
    axes.plot(list(said), list(said.values()), color="0.4", label="law")
    axes.plot(list(sigma), list(sigma.values()), "o", color=ms.plots.MODALITY_COLORS[0])
    axes.axhline(0.5, color=ms.plots.JOINT_COLOR, lw=0.8)
    axes.set_xlabel("decay")
    axes.set_ylabel("sigma of the noisier modality")
    axes.legend()
