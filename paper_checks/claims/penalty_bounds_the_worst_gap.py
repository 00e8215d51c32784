"""How far a minimiser of the penalised objective misses the constraint: at most price / lam."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.network import Array, Data, optima, random_data, random_network, softmax

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIM = Claim(
    id="penalty-bounds-the-worst-gap",
    topic="5 Penalty",
    says="A minimiser of f_mm + lam g has g - min g <= (f_mm(lexicographic solution) - inf f_mm)"
    "/lam.",
    source="[MIMO] Sec. 3.1, Eq. 8 against Eq. 10",
    assumptions="The lexicographic solution makes the worst gap as small as possible, and then "
    "f_mm. The statement is meant for a minimiser, or for any point that monotone descent reaches "
    "from the lexicographic solution. In a wide network one point is optimal for every loss, and "
    "the statement says 0 = 0. So the width is 1 here, where V_k W_k and U_k W_k share one "
    "direction.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

LAMS = (0.3, 1.0, 3.0, 30.0, 100.0, 300.0)
ROUND_OFF = 1e-7  # of the right-hand side: the minimiser is known to 1e-8 in the gradient
# A point counts as a minimiser when at most this part of the gradient at the start is left. The
# sigma of this gradient is not computed by the package.
STATIONARY = 1e-3
STEPS = 10_000


def smoothed_excess(gaps: Array, mu: float) -> float:
    """How far g_mu lies above its minimum mu log K; written out here."""
    top = float(gaps.max())
    return top + mu * float(np.log(np.mean(np.exp((gaps - top) / mu))))


@dataclass(frozen=True)
class FixedHeads:
    """A problem in the encoders w (K, d) alone: a convex one.

    The heads are single units, fixed to the numbers v and u (K,). Samples are x (K, n, d), y (n,).
    """

    x: Array
    y: Array
    v: Array
    u: Array
    mu: float
    f_star: Array
    best_joint: float

    def residuals(self, w: Array) -> tuple[Array, Array]:
        """Of the joint prediction (n,), and of the uni-modal ones (K, n)."""
        hidden = (self.x @ w[:, :, None])[..., 0]
        return self.y - self.v @ hidden, self.y - self.u[:, None] * hidden

    def f_mm(self, w: Array) -> float:
        """The multi-modal loss."""
        return 0.5 * float(np.mean(self.residuals(w)[0] ** 2))

    def gaps(self, w: Array) -> Array:
        """The gaps (K,)."""
        return np.asarray(0.5 * np.mean(self.residuals(w)[1] ** 2, axis=1) - self.f_star)

    def slope(self, w: Array, lam: float, sigma: Array) -> Array:
        """Gradient of f_mm + lam sum_k sigma_k f_k."""
        joint, own = self.residuals(w)
        back = self.v[:, None] * joint + (lam * sigma * self.u)[:, None] * own
        return np.asarray(-(back[:, None] @ self.x / len(self.y))[:, 0])

    def lexicographic(self) -> Array:
        """The encoders with which every uni-modal loss is smallest."""
        alone = [np.linalg.lstsq(own, self.y, rcond=None)[0] for own in self.x]
        return np.asarray(np.stack(alone) / self.u[:, None])

    def minimiser(self, lam: float, start: Array) -> Array:
        """The minimiser of F, by quasi-Newton steps with the package's objective and sigma."""

        def value(flat: Array) -> tuple[float, Array]:
            w = flat.reshape(start.shape)
            gaps = self.gaps(w)
            sigma = ms.objective.sigma_weights(gaps, self.mu)
            objective = ms.objective.mimo_objective(self.f_mm(w), gaps, lam, self.mu)
            return float(objective), self.slope(w, lam, sigma).ravel()

        end = minimize(value, start.ravel(), jac=True, method="BFGS", options={"gtol": 1e-9})
        return np.asarray(end.x.reshape(start.shape))

    def share(self, lam: float) -> float:
        """lam (g - min g) / (f_mm(lexicographic) - inf f_mm); inf if no minimiser was found."""
        start = self.lexicographic()
        price = self.f_mm(start) - self.best_joint
        end = self.minimiser(lam, start)
        gaps = self.gaps(end)
        left = np.linalg.norm(self.slope(end, lam, softmax(gaps, np.asarray(self.mu))))
        first = np.linalg.norm(self.slope(start, lam, np.zeros(len(self.u))))
        if left / first >= STATIONARY:
            return float("inf")
        return lam * smoothed_excess(gaps, self.mu) / price


def fixed_heads(
    data: Data, b: int, v: Array, u: Array, mu: float, lams: tuple[float, ...] = LAMS
) -> list[float]:
    """The share of the bound that data set b uses with these heads, over `lams`."""
    joint, single = optima(data.take(np.array([b])))
    problem = FixedHeads(data.x[b], data.y[b, :, 0], v, u, mu, single[0], joint[0])
    return [problem.share(lam) for lam in lams]


def trained(data: Data, b: int, mu: float) -> list[float]:
    """The same with all heads moving, over LAMS, in a network of width 1.

    The package trains it from the lexicographic solution. inf if F ever rises.
    """
    x, y = data.x[b], data.y[b, :, 0]
    best_joint, best_single = optima(data.take(np.array([b])))
    alone = [np.linalg.lstsq(own, y, rcond=None)[0] for own in x]
    # The best V_k W_k along the directions that the uni-modal optima impose.
    features = np.stack([own @ best for own, best in zip(x, alone, strict=True)], axis=1)
    share = np.linalg.lstsq(features, y, rcond=None)[0]
    price = 0.5 * float(np.mean((y - features @ share) ** 2)) - best_joint[0]
    start = []
    for best, part in zip(alone, share, strict=True):
        root = float(np.sqrt(np.linalg.norm(best)))
        # A second output that is always zero changes nothing, and the engine has one compiled
        # loop for all problems with several outputs.
        start.append(
            (np.array([[part * root], [0.0]]), np.array([[root], [0.0]]), (best / root)[None])
        )
    problem = ms.LateFusionProblem.from_samples(list(x), np.stack([y, 0 * y], axis=1))
    largest = max(sum(np.linalg.norm(block, 2) ** 2 for block in triple) for triple in start)
    shares = []
    for lam in LAMS:
        method = ms.MIMO(lam=lam, mu=mu)
        run = ms.simulate(
            problem,
            method,
            initial=start,
            steps=STEPS,
            step_size=ms.theory.default_step_size(
                problem, method, init_norm_squared=float(largest)
            ),
            record_every=STEPS // 20,
        )
        if np.diff(run.objective).max() > 1e-12 * float(run.objective[0]):
            return [float("inf")]
        gaps = run.loss_uni.values[-1] - best_single[0]
        shares.append(lam * smoothed_excess(gaps, mu) / price)
    return shares


def exponent(table: Array) -> float:
    """The power of lam with which the gap falls at the largest penalties, median of the rows."""
    scale = np.log(LAMS[-1] / LAMS[-2])
    return float(np.median(np.log(table[:, -1] / table[:, -2]) / scale)) - 1


def check(draws: int) -> Evidence:
    """Random problems with fixed heads (solved to optimality), and with moving ones (trained).

    In the scalar case a quarter of the bound must be attained.
    """
    rng = np.random.default_rng(11)
    count, few = max(draws // 16, 10), max(draws // 40, 4)
    data = random_data(rng, count, dim=2, samples=30)
    heads = random_network(rng, data, width=1, scale=1.0)
    mus = 10.0 ** rng.uniform(-2, -0.5, count)
    v, u = np.exp(heads.v[..., 0, 0] / 2), np.exp(heads.u[..., 0, 0] / 2)
    fixed = np.array([fixed_heads(data, b, v[b], u[b], float(mus[b])) for b in range(count)])
    moving = np.array([trained(data, b, float(mus[b])) for b in range(few)])
    slopes = [0.0, 0.0]
    if moving.shape[1] == len(LAMS):
        slopes = [exponent(fixed), exponent(moving)]
    # y = x; v = 1, u = 2 and lam = 1/4 give f_mm and lam f_1 the same curvature.
    one = Data(np.array([[[[1.0], [-1.0]]]]), np.array([[[1.0], [-1.0]]]))
    attained = fixed_heads(one, 0, np.ones(1), np.full(1, 2.0), 0.1, (0.25,))[0]
    holds = max(fixed.max(), moving.max()) <= 1 + ROUND_OFF and max(slopes) < -1 + 0.1
    example = Counterexample.shown_by(
        f"shares of the bound {fixed.max():.3g} (fixed heads), {moving.max():.3g} (trained); "
        f"exponents {slopes}",
        "import mimo_sim as ms",
        "p = ms.generators.random_problem((2, 2), 1)",
        "print([ms.simulate(p, ms.MIMO(lam=lam, mu=0.1), width=1, steps=20_000).gap.values[-1] "
        "for lam in (1.0, 10.0, 100.0)])",
    )
    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"With fixed heads ({count} problems, lam from {LAMS[0]:g} to {LAMS[-1]:g}) the gap "
        f"is at most {fixed.max():.3f} of the bound, with trained heads ({few} problems) "
        f"{moving.max():.3f}. The bound is loose: the gap falls like lam^{slopes[0]:.2f} and "
        f"lam^{slopes[1]:.2f}, because it grows quadratically around the points that satisfy the "
        "constraint. With fixed heads a quarter of the bound is enough (proof: complete the "
        f"squares), and one scalar modality attains {attained:.4f}.",
        numbers={
            "problems, fixed heads": count,
            "problems, trained": few,
            "lam": list(LAMS),
            "largest share of the bound by lam, fixed heads": fixed.max(axis=0).tolist(),
            "largest share of the bound by lam, trained": moving.max(axis=0).tolist(),
            "exponent of lam, fixed heads and trained": slopes,
            "share attained by one scalar modality": attained,
        },
        counterexample=None if holds else example,
        plot=functools.partial(_draw, {"fixed heads": fixed, "trained": moving}),
    )


def _draw(tables: dict[str, Array], axes: Axes) -> None:
    """The gap, and its bound, over lam. Unit: the bound at lam = 1."""
    lams = np.array(LAMS)
    for i, (name, table) in enumerate(tables.items()):
        axes.plot(
            lams,
            np.median(table, axis=0) / lams,
            "o-",
            ms=4,
            color=ms.plots.MODALITY_COLORS[i],
            label=f"{name}, median",
        )
    axes.plot(lams, 1 / lams, ":", color=ms.plots.JOINT_COLOR, label="bound")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel=r"$\lambda$",
        ylabel=r"$(g - \min g)\,/\,(f_{mm}(lex) - \inf f_{mm})$",
    )
    axes.legend()
