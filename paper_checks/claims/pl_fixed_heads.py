"""With fixed heads a uni-modal loss satisfies the PL inequality with constant lambda_min(S_kk) sigma_min+(U_k)^2."""

from __future__ import annotations

import numpy as np

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.network import Array

CLAIM = Claim(
    id="pl-fixed-heads",
    topic="6 PL condition",
    says="With U_k fixed, |grad f_k|^2 >= 2 m_k (f_k - min f_k) in W_k with m_k = lambda_min(S_kk) sigma_min+(U_k)^2.",
    source="[MIMO] App. D, Assumptions 3 and 4, Proposition 2, with the toy's constants",
    assumptions="Squared loss, linear encoder; the minimum is over W_k at these heads, which is f_k* only if U_k has rank m.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

ROUND_OFF = 1e-6  # relative: the moments of 12 samples are conditioned up to some 1e8, rarely


def ratios(rng: np.random.Generator) -> tuple[float, float, float]:
    """|grad|^2 / (2 m (f - min f)), smallest over random encoders and at the worst one; and min f_k over W_k minus f_k*, relative to f_k(0)."""
    n, d, m, h = 12, int(rng.integers(1, 5)), int(rng.integers(1, 4)), int(rng.integers(1, 5))
    x = rng.standard_normal((n, d)) * np.exp(0.5 * rng.standard_normal(d))
    y, u = rng.standard_normal((n, m)), rng.standard_normal((m, h))
    if m > 1 and h > 1 and rng.random() < 0.3:
        u[-1] = u[0]  # a head of lower rank: some outputs are out of reach
    problem = ms.LateFusionProblem.from_samples([x], y)
    singular = np.linalg.svd(u, compute_uv=False)
    constant = float(
        np.linalg.eigvalsh(problem.sigma[0][0])[0]
        * singular[singular > 1e-10 * singular[0]].min() ** 2
    )
    design, target = (
        np.kron(x, u),
        y.ravel(),
    )  # prediction of sample i is u @ W @ x_i: linear in W, written out here as a regression on its h d entries
    best = np.linalg.lstsq(design, target.copy(), rcond=None)[0]

    def ratio(entries: Array) -> float:
        residual, least = design @ entries - target, design @ best - target
        slope = design.T @ residual / n
        return float(slope @ slope / (constant * (residual @ residual - least @ least) / n))

    values, vectors = np.linalg.eigh(design.T @ design / n)
    worst = best + 10.0 * vectors[:, int(np.flatnonzero(values > 1e-9 * values[-1])[0])]
    own = 0.5 * float(np.mean(np.sum((y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) ** 2, axis=1)))
    reachable = 0.5 * float(np.sum((design @ best - target) ** 2)) / n
    away = (
        abs(own - float(problem.unimodal_optima[0])) > 1e-9 * own
    )  # the package's f_k* must be the least-squares one
    # kron(x, u) orders entries as (d, h), i.e. W transposed; the ratio does not depend on the order
    random = min(
        ratio(best + rng.standard_normal(len(best)) * scale)
        for scale in (1.0, 10.0, 100.0)
        for _ in range(5)
    )
    return (
        random if not away else 0.0,
        ratio(worst),
        (reachable - own) / (0.5 * float(np.mean(np.sum(y**2, axis=1)))),
    )


def check(draws: int) -> Evidence:
    """Random data and heads, with up to three outputs and heads of full and of lower rank; gradients and minima from the linear regression in W_k."""
    rng = np.random.default_rng(3)
    table = np.array([ratios(rng) for _ in range(max(draws, 50))])
    smallest, tightest = float(table[:, :2].min()), float(np.abs(table[:, 1] - 1).max())
    short = int((table[:, 2] > 1e-9).sum())
    holds = smallest >= 1 - ROUND_OFF
    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"Over {len(table)} random problems the ratio of both sides is never below {smallest:.10f} (smallest at random encoders "
        f"{table[:, 0].min():.2f}), and the worst encoder attains 1 "
        f"to {tightest:.0e}: the constant cannot be raised. In {short} of them the fixed head has rank below m and min f_k lies above f_k*, by up to "
        f"{table[:, 2].max():.0%} of f_k(0).",
        numbers={
            "problems": len(table),
            "smallest ratio": smallest,
            "smallest at random encoders": float(table[:, 0].min()),
            "distance from 1 at the worst encoder": tightest,
            "problems whose head cannot reach f_k*": short,
            "largest such excess over f_k(0)": float(table[:, 2].max()),
        },
        counterexample=None
        if holds
        else Counterexample(
            f"ratio {smallest:.3g}",
            'python -c "import mimo_sim as ms; print(ms.LateFusionProblem.from_samples([[1.0, -1.0]], [1.0, -1.0]).unimodal_optima)"',
        ),
    )
