"""A small mu costs step size in proportion, once it is small enough."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.curvature import curvature
from paper_checks.network import (
    Objective,
    descend,
    exact_samples,
    random_data,
    random_network,
    random_objective,
    scalar_weights,
)
from paper_checks.runs import without_advice

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIM = Claim(
    id="smoothness-degrades-with-mu",
    topic="3 Smoothness",
    says="A smaller mu costs step size in proportion: the curvature of F grows like 1/mu.",
    source="[MIMO] Sec. 3.3 (the l_k^2 / mu in L); constants of the toy: "
    "mimo_sim.theory.smoothness",
    assumptions="mu in the paper's range {0.001, 0.01, 0.1, 1} and below; lam = 5; Figure 1's "
    "problem, and random ones with superficial preference.",
    how="property-based",
    recorded=Verdict.CONDITIONAL,
)

LAM = 5.0
MUS = 10.0 ** np.arange(-4, 0.5, 0.5)
SHOWN = (8, 6, 4, 2)  # where mu = 1, 0.1, 0.01 and 0.001 stand in MUS
STEP = 0.1  # of the counter-example


def tie_slopes(count: int) -> np.ndarray:
    """Slope of log curvature over log mu between 1e-8 and 1e-7, where gaps are tied.

    At random weights. The choice of f* ties the gaps.
    """
    rng = np.random.default_rng(14)
    data = random_data(rng, count)
    network = random_network(rng, data, 2, 0.6)
    drawn = random_objective(rng, data, (LAM, LAM * 1.0001), (1.0, 1.0001))
    level = descend(data, network, drawn, np.zeros(count), 0).f_uni[:, 0]
    small, large = (
        curvature(data, network, Objective(drawn.lam, np.full(count, mu), level)).objective
        for mu in (1e-8, 1e-7)
    )
    return np.asarray(np.log(small / large) / np.log(0.1))


def peak(problem: ms.LateFusionProblem, mu: float) -> float:
    """Largest curvature along a run with scalar weights from 0.1, at the package's step."""
    method = ms.MIMO(lam=LAM, mu=mu)
    signs = [float(np.sign(cross[0, 0])) for cross in problem.sigma_yx]
    step = 2 * ms.theory.default_step_size(problem, method)
    slowest = float(ms.theory.growth_rates(problem, 0.0, 1.0).min())
    steps = int(np.clip(10 / slowest / step, 1000, 200_000))
    run = ms.simulate(
        problem,
        method,
        step_size=step,
        steps=steps,
        initial=[([[0.1]], [[0.1 * sign]], [[0.1]]) for sign in signs],
        record_every=max(steps // 90, 1),
        record_maps=True,
    )
    network = scalar_weights(
        run.joint_map.values[:, 0], run.uni_map.values[:, 0], run.encoder_norm.values
    )
    points = len(run.step)
    objective = Objective(
        np.full(points, LAM), np.full(points, mu), np.tile(problem.unimodal_optima, (points, 1))
    )
    return float(curvature(exact_samples(problem, points), network, objective).objective.max())


def figure1_rises(mu: float) -> float:
    """Largest increase of F in a step of size STEP, on Figure 1's problem from weights 0.1."""
    with without_advice():
        run = ms.simulate(
            ms.generators.superficial_preference(),
            ms.MIMO(lam=LAM, mu=mu),
            step_size=STEP,
            steps=2000,
            initial=[([[0.1]], [[0.1]], [[0.1]])] * 2,
        )
    return float(np.diff(run.objective.values).max())


def check(draws: int) -> Evidence:
    """How the curvature grows as mu falls: where gaps are tied, and along runs."""
    ties = tie_slopes(max(draws // 4, 20))
    random = [
        ms.generators.random_problem((1, 1), seed, "superficial")
        for seed in range(max(draws // 60, 3))
    ]
    problems = [ms.generators.superficial_preference(), *random]
    peaks = np.array([[peak(problem, float(mu)) for mu in MUS] for problem in problems])
    slopes = np.diff(np.log(peaks), axis=1) / np.diff(np.log(MUS))
    small, large = slopes[:, 0], slopes[:, -2:].mean(axis=1)
    crossover = [float(MUS[1:][slope < -0.5].max(initial=0.0)) for slope in slopes]
    coarse, fine = max(figure1_rises(1.0), figure1_rises(0.1)), figure1_rises(0.001)

    at_ties = np.abs(ties + 1).max() < 0.05
    asymptotic = at_ties and np.median(np.abs(small + 1)) < 0.1
    everywhere = np.median(np.abs(large + 1)) < 0.2
    if asymptotic and everywhere:
        verdict = Verdict.HOLDS
    elif asymptotic and coarse < 1e-12 < fine:
        verdict = Verdict.CONDITIONAL
    else:
        verdict = Verdict.REFUTED
    shown = peaks[0][list(SHOWN)].tolist()
    example = Counterexample.shown_by(
        f"Figure 1's problem, lam = 5, eta = {STEP}: F falls in every step at mu = 1 and at "
        "mu = 0.1 alike; it rises at mu = 0.001",
        "import mimo_sim as ms",
        "s = [([[0.1]], [[0.1]], [[0.1]])] * 2",
        "p = ms.generators.superficial_preference()",
        f"print([float(ms.simulate(p, ms.MIMO(lam=5.0, mu=mu), step_size={STEP}, steps=2000, "
        "initial=s).objective.diff('step').max()) for mu in (1.0, 0.1, 0.001)])",
    )
    return Evidence(
        verdict=verdict,
        words=f"Where gaps are tied the curvature grows like mu^{np.median(ties):.3f} "
        f"({len(ties)} random points). Along runs the exponent is {np.median(small):.2f} (median) "
        f"at mu = 1e-4, but {np.median(large):.2f} at mu = 0.3 to 1: the cost starts when mu falls "
        f"below {np.median(crossover):.2g} (median of {len(problems)} problems). On Figure 1's "
        "problem mu = 1, 0.1, 0.01, 0.001 meet curvatures of "
        f"{', '.join(f'{value:.3g}' for value in shown)}.",
        numbers={
            "exponent at ties, median": float(np.median(ties)),
            "exponent at ties, furthest from -1": float(ties[np.abs(ties + 1).argmax()]),
            "exponent along runs, smallest mu": small.tolist(),
            "exponent along runs, mu 0.3 to 1": large.tolist(),
            "mu where the cost starts": crossover,
            "curvature of Figure 1's problem at mu = 1, 0.1, 0.01, 0.001": shown,
        },
        counterexample=None if verdict is Verdict.HOLDS else example,
        plot=functools.partial(_draw, peaks),
    )


def _draw(peaks: np.ndarray, axes: Axes) -> None:
    for i, row in enumerate(peaks):
        color = ms.plots.MODALITY_COLORS[i % len(ms.plots.MODALITY_COLORS)]
        label = "Figure 1's problem" if i == 0 else None
        axes.loglog(MUS, row / row[-1], color=color, label=label)
    axes.loglog(MUS, 1e-2 / MUS, "--", color=ms.plots.JOINT_COLOR, label="1 / mu")
    axes.set_xlabel("mu")
    axes.set_ylabel("curvature met, over mu = 1")
    axes.legend()
