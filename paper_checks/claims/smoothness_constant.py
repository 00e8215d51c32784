"""F is L-smooth with L <= L_mm + lam (max L_k + max l_k^2 / mu)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.curvature import Curvature, curvature
from paper_checks.network import (
    Objective,
    descend,
    exact_samples,
    random_data,
    random_network,
    random_objective,
    scalar_weights,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIM = Claim(
    id="smoothness-constant",
    topic="3 Smoothness",
    says="F is L-smooth with L <= L_mm + lam (max_k L_k + max_k l_k^2 / mu), where f_mm is "
    "L_mm-smooth and f_k is L_k-smooth and l_k-Lipschitz. The package's own constant, with "
    "l_k^2 / (2 mu), covers what its runs meet.",
    source="[MIMO] Sec. 3.3; constants of the toy: mimo_sim.theory.smoothness",
    assumptions="The constants are measured where F is: along runs, at random weights, and where "
    "gaps are tied.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

SLACK = 1e-9
LOOKS = (0, 3, 10, 30, 100, 300)  # steps


def along_network_runs(count: int) -> tuple[Curvature, Objective]:
    """Curvature at the LOOKS of `count` runs of gradient descent, and the objectives there.

    In a third of the runs the gaps are tied at the start, by the choice of f*.
    """
    rng = np.random.default_rng(12)
    data = random_data(rng, count)
    start = random_network(rng, data, 2, 0.6)
    drawn = random_objective(rng, data, (0.1, 30), (0.001, 1))
    at_start = descend(data, start, drawn, np.zeros(count), 0).f_uni[:, 0]
    tied = np.arange(count) % 3 == 0
    f_star = np.where(tied[:, None], at_start - 0.1, drawn.f_star)
    objective = Objective(drawn.lam, drawn.mu, f_star)
    stated = curvature(data, start, objective).stated_for_runs(objective, count)
    run = descend(data, start, objective, 0.5 / stated, max(LOOKS), keep=LOOKS)
    index = np.repeat(np.arange(count), len(LOOKS))
    return curvature(data.take(index), run.kept, objective.take(index)), objective.take(index)


def package_run(seed: int, lam: float, mu: float) -> tuple[float, float, float]:
    """A run of the package with scalar weights from a small start.

    Returns the largest curvature along it, and two bounds on that: the stated formula with the
    constants of the run, and the constant that the package predicts before the run.
    """
    problem = ms.generators.random_problem(
        (1, 1), seed, "none" if seed % 2 else "superficial", noise_variance=0.1
    )
    method = ms.MIMO(lam=lam, mu=mu)
    run = ms.simulate(
        problem,
        method,
        steps=30_000,
        width=1,
        init_scale=0.05,
        seed=seed,
        record_every=500,
        record_maps=True,
    )
    points = len(run.step)
    network = scalar_weights(
        run.joint_map.values[:, 0], run.uni_map.values[:, 0], run.encoder_norm.values
    )
    objective = Objective(
        np.full(points, lam), np.full(points, mu), np.tile(problem.unimodal_optima, (points, 1))
    )
    curves = curvature(exact_samples(problem, points), network, objective)
    first = run.isel(step=0)
    start = first.encoder_norm**2 + first.head_norm**2 + first.uni_head_norm**2
    predicted = ms.theory.smoothness(problem, method, init_norm_squared=float(start.max()))
    stated = curves.stated_for_runs(objective, 1)[0]
    return float(curves.objective.max()), float(stated), predicted


def check(draws: int) -> Evidence:
    """Eigenvalues of F's Hessian, against the formula with every constant measured the same way."""
    curves, objective = along_network_runs(max(draws // 2, 24))
    share = curves.objective / curves.stated(objective)
    halved = Objective(objective.lam, 2 * objective.mu, objective.f_star)
    half = curves.objective / curves.stated(halved)  # l_k^2 / (2 mu) instead of l_k^2 / mu
    rng = np.random.default_rng(13)
    runs = []
    for seed in range(max(draws // 10, 10)):
        lam, mu = float(np.exp(rng.uniform(-1, 3))), float(np.exp(rng.uniform(-6, 0)))
        runs.append(package_run(seed, lam, mu))
    measured, stated, predicted = np.array(runs).T
    covered = float((measured / predicted).max())
    below_stated = max(share.max(), (measured / stated).max()) <= 1 + SLACK
    holds = bool(below_stated and covered <= 1)
    worst = int(np.argmax(measured / predicted))
    example = Counterexample.shown_by(
        f"random_problem((1, 1), {worst}): curvature {measured[worst]:.4g}, the package's constant "
        f"{predicted[worst]:.4g}",
        "import mimo_sim as ms",
        "p = ms.generators.superficial_preference()",
        "print([ms.theory.smoothness(p, ms.MIMO(mu=mu)) for mu in (1.0, 0.1, 0.01)])",
    )
    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"At {len(share)} points the curvature of F is at most {share.max():.3f} of the "
        f"stated L (median {np.median(share):.2f}). Even l_k^2 / (2 mu) instead of l_k^2 / mu "
        f"would do here ({half.max():.3f}). Along {len(runs)} runs of the package it is "
        f"{np.median(measured / stated):.2f} of L in the median, and at most {covered:.2f} of the "
        "constant from which the package takes its step (median "
        f"{np.median(measured / predicted):.2f}).",
        numbers={
            "points": len(share),
            "largest share of the stated L": float(share.max()),
            "median share": float(np.median(share)),
            "largest share with l^2 / (2 mu)": float(half.max()),
            "runs of the package": len(runs),
            "median share of the stated L over a run": float(np.median(measured / stated)),
            "largest share of the package's constant": covered,
            "median share of the package's constant": float(np.median(measured / predicted)),
        },
        counterexample=None if holds else example,
        plot=functools.partial(_draw, measured, stated, predicted),
    )


def _draw(measured: np.ndarray, stated: np.ndarray, predicted: np.ndarray, axes: Axes) -> None:
    first, second = ms.plots.MODALITY_COLORS[:2]
    ends = [measured.min(), predicted.max()]
    axes.loglog(measured, stated, "o", color=first, label="stated formula, constants of the run")
    axes.loglog(measured, predicted, "s", color=second, label="the package's L before the run")
    axes.loglog(ends, ends, color=ms.plots.JOINT_COLOR, label="equal")
    axes.set_xlabel("largest Hessian eigenvalue met along a run")
    axes.set_ylabel("bound")
    axes.legend()
