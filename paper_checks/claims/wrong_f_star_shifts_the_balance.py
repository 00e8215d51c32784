"""What a wrong f* does to the balance: nothing if the error is the same for all, else much."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.stats import bootstrap

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.runs import quietly, without_advice

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIM = Claim(
    id="wrong-f-star-shifts-the-balance",
    topic="10 Numerics",
    says="Inaccurate estimates of f_k* make the gaps wrong and spoil the balance: a modality whose "
    "gap is made to look small stays behind.",
    source="[MIMO] as summarised: break condition of mechanism 3, failure signatures",
    assumptions="Scalar modalities with superficial preference, lam = 10, mu = 0.05, start at "
    "1e-4. Balance is the half-time of the most explaining encoder, over that of the encoder that "
    "joint training learns first (1 is balance).",
    how="statistical",
    recorded=Verdict.CONDITIONAL,
    false_alarm="0 of 30 other sets of seeds changed the verdict.",
)

LAM, MU, START = 10.0, 0.05, 1e-4
ERROR = 0.1  # of the most explaining modality's f*: 2 mu
COMMON = 0.3  # error of every f*
# An encoder has left the origin when its squared norm is this part of the final one. Growth rates
# still hold there.
LEFT = 0.01
LEVEL = 1.02  # below this ratio the most explaining encoder counts as first or level
RESAMPLES = 2000

# What the methods compared are called in the ledger.
COMMON_ERROR = f"all too high by {COMMON}"
TOO_HIGH = f"most explaining too high by {ERROR}"
TOO_LOW = f"most explaining too low by {ERROR}"


def leaving_ratio(norms: np.ndarray) -> float:
    """When modality 1's encoder leaves the origin, over when modality 0's does."""
    squared = norms**2
    when = (squared >= LEFT * squared[-1]).argmax(axis=0)
    return float(when[1] / when[0])


def run(problem: ms.LateFusionProblem, method: ms.MIMO | ms.Vanilla) -> tuple[float, np.ndarray]:
    """Balance, and the encoder norms along the run."""
    report = ms.theory.superficial_preference(problem)
    step = 2 * ms.theory.default_step_size(problem, ms.MIMO(lam=LAM, mu=MU))
    steps = int(min(50 / (step * float(ms.theory.growth_rates(problem, 0.0, 1.0).min())), 200_000))
    found = quietly(
        problem,
        method,
        init_scale=START,
        step_size=step,
        steps=steps,
        record_every=max(steps // 2000, 1),
    )
    with without_advice():
        times = ms.half_times(found).values
    balance = times[report.most_explaining] / times[report.first_learned]
    return float(balance), found.encoder_norm.values


def estimates(problem: ms.LateFusionProblem) -> dict[str, ms.MIMO | ms.Vanilla]:
    """The methods compared."""
    best = np.asarray(problem.unimodal_optima)
    most = ms.theory.superficial_preference(problem).most_explaining
    own = ERROR * (np.arange(len(best)) == most)

    def given(values: np.ndarray) -> ms.MIMO:
        return ms.MIMO(lam=LAM, mu=MU, f_star=values.tolist())

    return {
        "joint training": ms.Vanilla(),
        "exact": ms.MIMO(lam=LAM, mu=MU),
        "zero": ms.MIMO(lam=LAM, mu=MU, f_star="zero"),
        "running minimum": ms.MIMO(lam=LAM, mu=MU, f_star="running_minimum"),
        COMMON_ERROR: given(best + COMMON),
        TOO_HIGH: given(best + own),
        TOO_LOW: given(best - own),
    }


def tolerance(problem: ms.LateFusionProblem) -> float:
    """How far the most explaining modality's f* may be over-estimated.

    At that error both encoders grow equally fast from the origin, at the rate
    |C_k| sqrt(1 + lam^2 sigma_k^2).
    """
    report = ms.theory.superficial_preference(problem)
    a, b = report.first_learned, report.most_explaining
    gaps = problem.y_second_moment / 2 - problem.unimodal_optima

    def lead(error: float) -> float:
        sigma = 1 / (1 + np.exp((gaps[a] - gaps[b] + error) / MU))  # of b
        rates = report.correlation[[b, a]] * np.sqrt(1 + LAM**2 * np.array([sigma, 1 - sigma]) ** 2)
        return float(rates[0] - rates[1])

    return float(brentq(lead, 0.0, 1.0))


@dataclass
class Comparison:
    """Random problems under all estimates.

    Attributes
    ----------
    balance : dict
        Method -> its balance on each problem.
    reversible : list of bool
        For each problem, whether lam is above 1.5 lam*.
    common : float
        Largest relative difference between the paths with a common error and with the exact f*.
    """

    balance: dict[str, list[float]] = field(default_factory=dict)
    reversible: list[bool] = field(default_factory=list)
    common: float = 0.0

    def add(self, problem: ms.LateFusionProblem) -> None:
        """Simulate all methods on one more problem."""
        paths = {}
        for name, method in estimates(problem).items():
            value, paths[name] = run(problem, method)
            self.balance.setdefault(name, []).append(value)
        self.reversible.append(ms.theory.order_threshold(problem, MU) < LAM / 1.5)
        exact = paths["exact"]
        difference = float(np.abs(paths[COMMON_ERROR] - exact).max() / exact.max())
        self.common = max(self.common, difference)

    def median(self, name: str) -> float:
        """Median balance of a method."""
        return float(np.nanmedian(self.balance[name]))

    def first(self, name: str) -> int:
        """On how many reversible problems the most explaining encoder is first or level."""
        return int(np.sum(np.array(self.balance[name])[self.reversible] < LEVEL))


def random_problem(seed: int) -> ms.LateFusionProblem:
    """A problem with superficial preference and some noise."""
    return ms.generators.random_problem((1, 1), seed, "superficial", noise_variance=0.1)


def price_of_zero(compared: Comparison, more: list[ms.LateFusionProblem]) -> np.ndarray:
    """|log balance| with f* = 0 minus that with the exact f*, on each problem.

    Problems differ much, so `more` problems are added to those compared.
    """
    off = {}
    for name in ("zero", "exact"):
        extra = [run(problem, estimates(problem)[name])[0] for problem in more]
        off[name] = np.abs(np.log(compared.balance[name] + extra))
    price = off["zero"] - off["exact"]
    return np.asarray(price[np.isfinite(price)])


def around_tolerance(allowed: float) -> tuple[float, float]:
    """Leaving ratios on Figure 1's problem, with 0.85 and 1.15 of the tolerated error of f_2*."""
    figure1 = ms.generators.superficial_preference()
    best = figure1.unimodal_optima

    def ratio(share: float) -> float:
        f_star = [float(best[0]), float(best[1] + share * allowed)]
        return leaving_ratio(run(figure1, ms.MIMO(lam=LAM, mu=MU, f_star=f_star))[1])

    return ratio(0.85), ratio(1.15)


def check(draws: int) -> Evidence:
    """Random problems under seven estimates, the price of f* = 0, and the tolerated error."""
    count = max(draws // 10, 12)
    compared = Comparison()
    for seed in range(count):
        compared.add(random_problem(seed))
    price = price_of_zero(compared, [random_problem(seed) for seed in range(count, 3 * count)])
    interval = bootstrap(
        (price,),
        np.median,
        confidence_level=0.99,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(16),
        method="percentile",
    ).confidence_interval
    allowed = tolerance(ms.generators.superficial_preference())
    within, beyond = around_tolerance(allowed)

    medians = {name: compared.median(name) for name in compared.balance}
    ordered = medians[TOO_HIGH] > medians["exact"] > medians[TOO_LOW]
    shifts = interval.low > 0 and ordered and within < 1 < beyond
    if not shifts:
        verdict = Verdict.REFUTED
    elif compared.common < 1e-6:
        verdict = Verdict.CONDITIONAL
    else:
        verdict = Verdict.HOLDS
    reversible = sum(compared.reversible)
    words = (
        f"Errors that are the same for all modalities do nothing (paths differ by "
        f"{compared.common:.0e}). Others shift the balance. The median ratio is "
        f"{medians['exact']:.2f} with the exact f*, {medians['zero']:.2f} with f* = 0, "
        f"{medians['running minimum']:.2f} with the running minimum, and "
        f"{medians['joint training']:.2f} with joint training. The price of f* = 0 in |log ratio| "
        f"is {np.median(price):.2f} (99% interval {interval.low:.2f} to {interval.high:.2f}). Of "
        f"{reversible} problems with lam > 1.5 lam*, the most explaining encoder is first or level "
        f"in {compared.first('exact')} with the exact f*, in {compared.first('zero')} with 0, and "
        f"in {compared.first('running minimum')} with the running minimum. In Figure 1's problem "
        f"the order is no longer reversed when f_2* is over-estimated by more than {allowed:.3f} "
        f"(leaving times {within:.2f} and {beyond:.2f} at 0.85 and 1.15 of it)."
    )
    example = Counterexample.shown_by(
        "Figure 1's problem: f* wrong by 0.3 for both modalities gives the run of the exact f*",
        "import mimo_sim as ms",
        "p = ms.generators.superficial_preference()",
        "a, b = (ms.simulate(p, ms.MIMO(lam=10.0, mu=0.05, f_star=f), step_size=1e-3, steps=5000, "
        "init_scale=1e-4) for f in ('exact', (p.unimodal_optima + 0.3).tolist()))",
        "print(float(abs(a.encoder_norm - b.encoder_norm).max()), ms.half_times(a).values)",
    )
    return Evidence(
        verdict=verdict,
        words=words,
        numbers={
            "problems": count,
            **{f"median ratio, {name}": value for name, value in medians.items()},
            "problems for the price of f* = 0": len(price),
            "99% interval (bootstrap) of the price of f* = 0": [
                float(interval.low),
                float(interval.high),
            ],
            "false-alarm rate of that interval": 0.01,
            "problems with lam above 1.5 lam*": reversible,
            "of these, ratio below 1.02": [f"{name}: {compared.first(name)}" for name in medians],
            "paths with a common error, relative difference": compared.common,
            "tolerated over-estimate in Figure 1's problem": allowed,
            "times of leaving the origin, second over first modality, at 0.85 and 1.15 of it": [
                within,
                beyond,
            ],
        },
        counterexample=None if verdict is Verdict.HOLDS else example,
        plot=functools.partial(_draw, compared.balance),
    )


def _draw(balance: dict[str, list[float]], axes: Axes) -> None:
    colors = ms.plots.MODALITY_COLORS
    for i, values in enumerate(balance.values()):
        color = colors[i % len(colors)]
        axes.plot(np.array(values), np.full(len(values), i), "o", alpha=0.5, color=color)
        axes.plot(np.nanmedian(values), i, "|", markersize=18, color=ms.plots.JOINT_COLOR)
    axes.set_xscale("log")
    axes.set_yticks(range(len(balance)), list(balance))
    axes.axvline(1.0, color=ms.plots.JOINT_COLOR, linewidth=0.8)
    axes.set_xlabel("half-time ratio (1 is balance)")
    axes.set_ylabel("estimate of f*")
