"""With fixed heads a uni-modal loss satisfies the PL inequality, with a known constant.

PL (Polyak-Lojasiewicz): |grad f|^2 >= 2 m (f - min f). So only a minimum has a zero gradient.
"""

from __future__ import annotations

import numpy as np

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.network import Array, least_loss

CLAIM = Claim(
    id="pl-fixed-heads",
    topic="6 PL condition",
    says="With U_k fixed, |grad f_k|^2 >= 2 m_k (f_k - min f_k) in W_k, with "
    "m_k = lambda_min(S_kk) sigma_min+(U_k)^2 (smallest eigenvalue, smallest positive singular "
    "value).",
    source="[MIMO] App. D, Assumptions 3 and 4, Proposition 2, with the toy's constants",
    assumptions="Squared loss, linear encoder. The minimum is over W_k at these heads. It is f_k* "
    "only if U_k has rank m.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

ROUND_OFF = 1e-6  # relative: the moments of 12 samples are conditioned up to some 1e8, rarely


class Regression:
    """f_k as a function of W_k at a fixed head u (m, h), from samples x (n, d) and y (n, m).

    The prediction u W x_i is linear in W. So f_k is the loss of a linear regression on the h d
    entries of W.
    """

    def __init__(self, x: Array, y: Array, u: Array) -> None:
        self.n = len(x)
        # kron(x, u) orders the entries as (d, h), as W transposed. The ratio does not depend on it.
        self.design, self.target = np.kron(x, u), y.ravel()
        self.best = np.linalg.lstsq(self.design, self.target.copy(), rcond=None)[0]

    def ratio(self, entries: Array, constant: float) -> float:
        """|grad f|^2 over 2 `constant` (f - min f)."""
        residual = self.design @ entries - self.target
        least = self.design @ self.best - self.target
        slope = self.design.T @ residual / self.n
        return float(slope @ slope / (constant * (residual @ residual - least @ least) / self.n))

    def minimum(self) -> float:
        """The smallest loss at this head."""
        return 0.5 * float(np.sum((self.design @ self.best - self.target) ** 2)) / self.n

    def flattest(self) -> Array:
        """Entries away from the best ones, in the direction of the smallest positive curvature."""
        values, vectors = np.linalg.eigh(self.design.T @ self.design / self.n)
        first = int(np.flatnonzero(values > 1e-9 * values[-1])[0])
        return np.asarray(self.best + 10.0 * vectors[:, first])


def ratios(rng: np.random.Generator) -> tuple[float, float, float]:
    """Three numbers of one random problem.

    The first two are the ratio of the two sides: the smallest one over random encoders, and the one
    at the worst encoder. The third says how far min f_k over W_k lies above f_k*, relative to
    f_k(0). The first is 0 if the package's f_k* is wrong.
    """
    n, d, m, h = 12, int(rng.integers(1, 5)), int(rng.integers(1, 4)), int(rng.integers(1, 5))
    x = rng.standard_normal((n, d)) * np.exp(0.5 * rng.standard_normal(d))
    y, u = rng.standard_normal((n, m)), rng.standard_normal((m, h))
    if m > 1 and h > 1 and rng.random() < 0.3:
        u[-1] = u[0]  # a head of lower rank: some outputs are out of reach
    problem = ms.LateFusionProblem.from_samples([x], y)
    singular = np.linalg.svd(u, compute_uv=False)
    smallest = singular[singular > 1e-10 * singular[0]].min()
    constant = float(np.linalg.eigvalsh(problem.sigma[0][0])[0] * smallest**2)
    regression = Regression(x, y, u)
    f_star = least_loss(x, y)
    above = (regression.minimum() - f_star) / (0.5 * float(np.mean(np.sum(y**2, axis=1))))
    at_random = []
    for scale in (1.0, 10.0, 100.0):
        for _ in range(5):
            entries = regression.best + rng.standard_normal(len(regression.best)) * scale
            at_random.append(regression.ratio(entries, constant))
    package_is_wrong = abs(f_star - float(problem.unimodal_optima[0])) > 1e-9 * f_star
    return (
        0.0 if package_is_wrong else min(at_random),
        regression.ratio(regression.flattest(), constant),
        above,
    )


def check(draws: int) -> Evidence:
    """Random data and heads, of full and of lower rank, with up to three outputs."""
    rng = np.random.default_rng(3)
    table = np.array([ratios(rng) for _ in range(max(draws, 50))])
    at_random, at_worst, above = table.T
    smallest = float(table[:, :2].min())
    tightest = float(np.abs(at_worst - 1).max())
    short = int((above > 1e-9).sum())
    holds = smallest >= 1 - ROUND_OFF
    example = Counterexample.shown_by(
        f"ratio {smallest:.3g}",
        "import mimo_sim as ms",
        "print(ms.LateFusionProblem.from_samples([[1.0, -1.0]], [1.0, -1.0]).unimodal_optima)",
    )
    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"Over {len(table)} random problems the ratio of both sides is never below "
        f"{smallest:.10f} (at random encoders never below {at_random.min():.2f}). The worst "
        f"encoder attains 1 to {tightest:.0e}: the constant cannot be raised. In {short} of the "
        "problems the fixed head has a rank below m, and min f_k lies above f_k*, by up to "
        f"{above.max():.0%} of f_k(0).",
        numbers={
            "problems": len(table),
            "smallest ratio": smallest,
            "smallest at random encoders": float(at_random.min()),
            "distance from 1 at the worst encoder": tightest,
            "problems whose head cannot reach f_k*": short,
            "largest such excess over f_k(0)": float(above.max()),
        },
        counterexample=None if holds else example,
    )
