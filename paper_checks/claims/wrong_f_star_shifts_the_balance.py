"""What a wrong f* does to the balance: nothing when the error is common to all modalities, much when it is not."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.stats import bootstrap

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIM = Claim(
    id="wrong-f-star-shifts-the-balance",
    topic="10 Numerics",
    says="Inaccurate estimates of f_k* mismeasure the gaps and spoil the balancing: a modality whose gap is made to look small stays behind.",
    source="[MIMO] as summarised: break condition of mechanism 3, failure signatures",
    assumptions="Scalar modalities with superficial preference, lam = 10, mu = 0.05, start at 1e-4; balance = half-time of the most explaining "
    "encoder over that of "
    "the one that joint training learns first (1 is balance).",
    how="statistical",
    recorded=Verdict.CONDITIONAL,
    false_alarm="0 of 30 other sets of seeds changed the verdict.",
)

LAM, MU, START = 10.0, 0.05, 1e-4
ERROR = 0.1  # of the most explaining modality's f*, 2 mu


LEFT = 0.01  # of its final squared norm: an encoder that has left the origin, while growth rates still hold


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ms.ChatteringWarning)
        warnings.simplefilter("ignore", ms.UnconvergedWarning)
        found = ms.simulate(
            problem,
            method,
            width=math.inf,
            init_scale=START,
            step_size=step,
            steps=steps,
            record_every=max(steps // 2000, 1),
        )
        times = ms.half_times(found).values
    return float(
        times[report.most_explaining] / times[report.first_learned]
    ), found.encoder_norm.values


def estimates(problem: ms.LateFusionProblem) -> dict[str, ms.MIMO | ms.Vanilla]:
    """The methods compared."""
    best = np.asarray(problem.unimodal_optima)
    own = ERROR * (
        np.arange(len(best)) == ms.theory.superficial_preference(problem).most_explaining
    )

    def given(values: np.ndarray) -> ms.MIMO:
        return ms.MIMO(lam=LAM, mu=MU, f_star=values.tolist())

    return {
        "joint training": ms.Vanilla(),
        "exact": ms.MIMO(lam=LAM, mu=MU),
        "zero": ms.MIMO(lam=LAM, mu=MU, f_star="zero"),
        "running minimum": ms.MIMO(lam=LAM, mu=MU, f_star="running_minimum"),
        "all too high by 0.3": given(best + 0.3),
        "most explaining too high by 0.1": given(best + own),
        "most explaining too low by 0.1": given(best - own),
    }


def tolerance(problem: ms.LateFusionProblem) -> float:
    """The over-estimate of the most explaining modality's f* at which both encoders grow equally fast from the origin, |C_k| sqrt(1 + lam^2 sigma_k^2)."""
    report = ms.theory.superficial_preference(problem)
    a, b = report.first_learned, report.most_explaining
    gaps = problem.y_second_moment / 2 - problem.unimodal_optima

    def lead(error: float) -> float:
        sigma = 1 / (1 + np.exp((gaps[a] - gaps[b] + error) / MU))  # of the most explaining of two
        rates = report.correlation[[b, a]] * np.sqrt(1 + LAM**2 * np.array([sigma, 1 - sigma]) ** 2)
        return float(rates[0] - rates[1])

    return float(brentq(lead, 0.0, 1.0))


def check(draws: int) -> Evidence:
    """Random problems under seven estimates; a bootstrap interval for the price of f* = 0; the tolerated error of Figure 1's problem against prediction."""
    count = max(draws // 10, 12)
    problems = [
        ms.generators.random_problem((1, 1), seed, "superficial", noise_variance=0.1)
        for seed in range(count)
    ]
    reversible = np.array(
        [ms.theory.order_threshold(problem, MU) < LAM / 1.5 for problem in problems]
    )
    balance: dict[str, list[float]] = {}
    common = 0.0
    for problem in problems:
        paths = {}
        for name, method in estimates(problem).items():
            value, paths[name] = run(problem, method)
            balance.setdefault(name, []).append(value)
        common = max(
            common,
            float(
                np.abs(paths["all too high by 0.3"] - paths["exact"]).max() / paths["exact"].max()
            ),
        )
    medians = {name: float(np.nanmedian(values)) for name, values in balance.items()}
    more = [
        ms.generators.random_problem((1, 1), seed, "superficial", noise_variance=0.1)
        for seed in range(count, 3 * count)
    ]
    extra = {
        name: [run(problem, estimates(problem)[name])[0] for problem in more]
        for name in ("zero", "exact")
    }  # the price differs much between problems
    off = {name: np.abs(np.log(balance[name] + values)) for name, values in extra.items()}
    price = (off["zero"] - off["exact"])[np.isfinite(off["zero"] - off["exact"])]
    interval = bootstrap(
        (price,),
        np.median,
        confidence_level=0.99,
        n_resamples=2000,
        rng=np.random.default_rng(16),
        method="percentile",
    ).confidence_interval
    first = {
        name: int(np.sum(np.array(values)[reversible] < 1.0 + 0.02))
        for name, values in balance.items()
    }

    figure1 = ms.generators.superficial_preference()
    allowed = tolerance(figure1)
    best = figure1.unimodal_optima
    around = [
        leaving_ratio(
            run(
                figure1,
                ms.MIMO(lam=LAM, mu=MU, f_star=[float(best[0]), float(best[1] + share * allowed)]),
            )[1]
        )
        for share in (0.85, 1.15)
    ]
    predicted = around[0] < 1 < around[1]

    harmless = common < 1e-6
    shifts = bool(
        interval.low > 0
        and medians["most explaining too high by 0.1"]
        > medians["exact"]
        > medians["most explaining too low by 0.1"]
        and predicted
    )
    verdict = (Verdict.CONDITIONAL if harmless else Verdict.HOLDS) if shifts else Verdict.REFUTED

    def plot(axes: Axes) -> None:
        for i, (name, values) in enumerate(balance.items()):
            axes.plot(
                np.array(values),
                np.full(count, i),
                "o",
                alpha=0.5,
                color=ms.plots.MODALITY_COLORS[i % 6],
            )
            axes.plot(medians[name], i, "|", markersize=18, color=ms.plots.JOINT_COLOR)
        axes.set_xscale("log")
        axes.set_yticks(range(len(balance)), list(balance))
        axes.axvline(1.0, color=ms.plots.JOINT_COLOR, linewidth=0.8)
        axes.set_xlabel("half-time ratio (1 is balance)")
        axes.set_ylabel("estimate of f*")

    return Evidence(
        verdict=verdict,
        words=f"Errors common to all modalities do nothing (paths differ by {common:.0e}). Others shift the balance: median ratio "
        f"{medians['exact']:.2f} with exact f*, "
        f"{medians['zero']:.2f} with f* = 0, {medians['running minimum']:.2f} with the running minimum, {medians['joint training']:.2f} for joint "
        f"training; the price of f* = 0 in "
        f"|log ratio| is {np.median(price):.2f} (99% interval {interval.low:.2f} to {interval.high:.2f}). Of {int(reversible.sum())} problems with "
        f"lam > 1.5 lam* the most explaining encoder is first or level in {first['exact']} with exact f*, in {first['zero']} "
        f"with 0 and in {first['running minimum']} with the running minimum. In Figure 1's problem over-estimating f_2* by more than {allowed:.3f} "
        f"undoes the reversal "
        f"(leaving times {around[0]:.2f} and {around[1]:.2f} at 0.85 and 1.15 of it).",
        numbers={
            "problems": count,
            **{f"median ratio, {name}": value for name, value in medians.items()},
            "problems for the price of f* = 0": len(price),
            "99% interval (bootstrap) of the price of f* = 0": [
                float(interval.low),
                float(interval.high),
            ],
            "false-alarm rate of that interval": 0.01,
            "problems with lam above 1.5 lam*": int(reversible.sum()),
            "of these, ratio below 1.02": [f"{name}: {value}" for name, value in first.items()],
            "paths with a common error, relative difference": common,
            "tolerated over-estimate in Figure 1's problem": allowed,
            "times of leaving the origin, second over first modality, at 0.85 and 1.15 of it": around,
        },
        counterexample=None
        if verdict == Verdict.HOLDS
        else Counterexample(
            "Figure 1's problem: f* wrong by 0.3 for both modalities gives the run of the exact f*",
            'python -c "import mimo_sim as ms; p = ms.generators.superficial_preference(); a, b = (ms.simulate(p, ms.MIMO(lam=10.0, mu=0.05, '
            "f_star=f), step_size=1e-3, "
            "steps=5000, init_scale=1e-4) for f in ('exact', (p.unimodal_optima + 0.3).tolist())); print(float(abs(a.encoder_norm - "
            'b.encoder_norm).max()), ms.half_times(a).values)"',
        ),
        plot=plot,
    )
