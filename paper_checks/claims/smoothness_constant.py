"""F is L-smooth with L <= L_mm + lam (max L_k + max l_k^2 / mu)."""

from __future__ import annotations

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
    says="F is L-smooth with L <= L_mm + lam (max_k L_k + max_k l_k^2 / mu), where f_mm is L_mm-smooth and f_k is L_k-smooth and l_k-Lipschitz. The package's "
    "own constant, with l_k^2 / (2 mu), covers what its runs meet.",
    source="[MIMO] Sec. 3.3; constants of the toy: mimo_sim.theory.smoothness",
    assumptions="Constants measured where F is: along runs, at random weights, and where gaps are tied.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

SLACK = 1e-9


def along_network_runs(count: int) -> tuple[Curvature, Objective]:
    """Curvature at 6 points of `count` runs of gradient descent, a third of them with gaps tied at the start by the choice of f*."""
    rng = np.random.default_rng(12)
    data = random_data(rng, count)
    start = random_network(rng, data, 2, 0.6)
    drawn = random_objective(rng, data, (0.1, 30), (0.001, 1))
    at_start = descend(data, start, drawn, np.zeros(count), 0).f_uni[:, 0]
    tied = np.arange(count) % 3 == 0
    objective = Objective(
        drawn.lam, drawn.mu, np.where(tied[:, None], at_start - 0.1, drawn.f_star)
    )
    local = curvature(data, start, objective).stated_for_runs(objective, count)
    run = descend(data, start, objective, 0.5 / local, 300, keep=(0, 3, 10, 30, 100, 300))
    index = np.repeat(np.arange(count), 6)
    return curvature(data.take(index), run.kept, objective.take(index)), objective.take(index)


def package_run(seed: int, lam: float, mu: float) -> tuple[float, float, float]:
    """Largest curvature along a run of the package with scalar weights from a small start, the stated and the package's constant for it."""
    problem = ms.generators.random_problem(
        (1, 1), seed, ("superficial", "none")[seed % 2], noise_variance=0.1
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
    net = scalar_weights(
        run.joint_map.values[:, 0], run.uni_map.values[:, 0], run.encoder_norm.values
    )
    objective = Objective(
        np.full(points, lam), np.full(points, mu), np.tile(problem.unimodal_optima, (points, 1))
    )
    curves = curvature(exact_samples(problem, points), net, objective)
    largest = float(
        max(
            np.sum(
                [
                    run.encoder_norm[0, k] ** 2,
                    run.head_norm[0, k] ** 2,
                    run.uni_head_norm[0, k] ** 2,
                ]
            )
            for k in range(2)
        )
    )
    constant = ms.theory.smoothness(problem, method, init_norm_squared=largest)
    return (
        float(curves.objective.max()),
        float(curves.stated_for_runs(objective, 1)[0]),
        constant,
    )


def check(draws: int) -> Evidence:
    """True Hessian eigenvalues by differentiating F twice, against the formula with every constant measured the same way."""
    curves, objective = along_network_runs(max(draws // 2, 24))
    share = curves.objective / curves.stated(objective)
    half = curves.objective / (
        curves.joint
        + objective.lam
        * (curves.single.max(axis=1) + (curves.slopes**2).max(axis=1) / (2 * objective.mu))
    )
    rng = np.random.default_rng(13)
    runs = np.array(
        [
            package_run(seed, float(np.exp(rng.uniform(-1, 3))), float(np.exp(rng.uniform(-6, 0))))
            for seed in range(max(draws // 10, 10))
        ]
    )
    measured, stated, constant = runs.T
    covered = float((measured / constant).max())
    holds = bool(max(share.max(), (measured / stated).max()) <= 1 + SLACK and covered <= 1)
    worst = int(np.argmax(measured / constant))

    def plot(axes: Axes) -> None:
        ends = [measured.min(), constant.max()]
        axes.loglog(
            measured,
            stated,
            "o",
            color=ms.plots.MODALITY_COLORS[0],
            label="stated formula, constants of the run",
        )
        axes.loglog(
            measured,
            constant,
            "s",
            color=ms.plots.MODALITY_COLORS[1],
            label="the package's L before the run",
        )
        axes.loglog(ends, ends, color=ms.plots.JOINT_COLOR, label="equal")
        axes.set_xlabel("largest Hessian eigenvalue met along a run")
        axes.set_ylabel("bound")
        axes.legend()

    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"At {len(share)} points the largest Hessian eigenvalue is at most {share.max():.3f} of the stated L (median {np.median(share):.2f}); "
        f"even l_k^2 / (2 mu) instead of "
        f"l_k^2 / mu would do here ({half.max():.3f}). Along {len(runs)} runs it is {np.median(measured / stated):.2f} of L in the median, and at "
        f"most {covered:.2f} of the "
        f"constant from which the package takes its step (median {np.median(measured / constant):.2f}).",
        numbers={
            "points": len(share),
            "largest share of the stated L": float(share.max()),
            "median share": float(np.median(share)),
            "largest share with l^2 / (2 mu)": float(half.max()),
            "runs of the package": len(runs),
            "median share of the stated L over a run": float(np.median(measured / stated)),
            "largest share of the package's constant": covered,
            "median share of the package's constant": float(np.median(measured / constant)),
        },
        counterexample=None
        if holds
        else Counterexample(
            f"random_problem((1, 1), {worst}): curvature {measured[worst]:.4g}, the package's constant {constant[worst]:.4g}",
            'python -c "import mimo_sim as ms; p = ms.generators.superficial_preference(); print([ms.theory.smoothness(p, ms.MIMO(mu=mu)) for mu in '
            '(1.0, 0.1, 0.01)])"',
        ),
        plot=plot,
    )
