"""Open question 3 in the toy: with all heads moving, no stationary point is a bad minimum."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.network import (
    Array,
    Data,
    Network,
    Objective,
    optima,
    random_data,
    random_objective,
    softmax,
)
from paper_checks.runs import quietly
from paper_checks.stationary import Landscape, way_down

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIM = Claim(
    id="landscape-no-bad-minima",
    topic="7 Moving heads",
    says="With all heads moving, every stationary point of MIMO's objective is lexicographically "
    "optimal or a strict saddle, if each encoder has at least min(2m, d_k) hidden units.",
    source="this project, docs/landscape.md, Theorem 1 (open question 3 of [MIMO] in the toy)",
    assumptions="Two linear layers, late fusion, squared loss, no weight decay. Any lam > 0, "
    "mu > 0 and any constant f*: f* need not be exact. Both head updates have these stationary "
    "points, and at each of them the same numbers of unstable directions.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

# Inputs of each modality, m, hidden units more than the widest sufficient width, and how many of
# 100 problems have this shape. All encoders of a network have one width.
SHAPES = (
    ((2,), 1, 0, 8),
    ((3,), 1, 2, 4),
    ((1, 1), 1, 0, 10),
    ((2, 2), 1, 0, 10),
    ((2, 2), 1, 2, 8),
    ((3, 3), 1, 0, 8),
    ((3, 1), 1, 0, 8),
    ((3, 2), 2, 1, 4),
    ((1, 1, 1), 2, 0, 8),
    ((2, 2, 2), 1, 0, 10),
    ((3, 1, 2), 1, 0, 6),
    ((2, 2), 2, 0, 6),
    ((3, 3), 2, 0, 4),
    ((1, 1, 1, 1), 2, 0, 8),
    ((1, 1, 1, 1), 1, 2, 4),
    ((2, 2, 2, 2), 1, 0, 6),
    ((3, 2, 1, 1), 1, 0, 4),
    ((2, 2, 2, 2), 2, 0, 4),
)
NARROW = (((2, 2), 1), ((3, 3), 1), ((3, 3), 2))  # inputs, m; one hidden unit too few
STARTS = 12.0  # for each of `draws`; most starts lead to a stationary point
LAM, MU = (0.1, 100.0), (0.03, 3.0)
FOUND = 1e-8  # largest gradient of a stationary point
OPTIMAL = 1e-8  # largest excess of any loss over its minimum
DOWN = -1e-6  # smallest curvature of a strict saddle, or lower; see `Kinds`
PACKAGE = 1e-6  # gradient that the package may report at a stationary point
WEIGHED = 1e-4  # below this lam sigma_k round-off hides the slope of f_k; the point is left out
LOOKS = 4  # stationary points of each shape that are handed to the package


@dataclass(frozen=True)
class Kinds:
    """Stationary points of one shape. Excess and curvature are those of each point.

    Let s be the slope of F in the maps at a point. Near the optimum the excess is about s^2. A
    saddle can be as flat as s^2 / c, with c the curvature of F in the maps. So a saddle that is
    almost optimal could fall between OPTIMAL and DOWN. It would count as `other`, against the
    claim.
    """

    excess: Array
    curvature: Array
    direction: Array  # curvature along the direction of the proof
    package: float  # the largest gradient that the package reports at these points
    hidden: int  # points that were left out because a weight sigma is too small

    @property
    def optimal(self) -> npt.NDArray[np.bool_]:
        """Which points are lexicographically optimal."""
        return self.excess < OPTIMAL

    @property
    def saddle(self) -> npt.NDArray[np.bool_]:
        """Which points are strict saddles."""
        return ~self.optimal & (self.curvature < DOWN)

    @property
    def other(self) -> npt.NDArray[np.bool_]:
        """Which points are neither: they would refute the claim."""
        return ~self.optimal & ~self.saddle


def with_wrong_f_star(rng: np.random.Generator, objective: Objective) -> Objective:
    """Every second problem gets constants for f* that are off by up to one in both directions."""
    shift = rng.uniform(-1, 1, objective.f_star.shape)
    shift[::2] = 0
    return Objective(objective.lam, objective.mu, objective.f_star + shift)


def problem_of(data: Data, dims: tuple[int, ...], b: int) -> ms.LateFusionProblem:
    """Data set b without the empty inputs."""
    inputs = [x[:, :dim] for x, dim in zip(data.x[b], dims, strict=True)]
    return ms.LateFusionProblem.from_samples(inputs, data.y[b])


def reported(
    data: Data, dims: tuple[int, ...], network: Network, objective: Objective, points: int
) -> float:
    """The largest gradient that `ms.simulate` reports at some of these points."""
    largest = 0.0
    for b in range(min(points, len(data.y))):
        method = ms.MIMO(
            lam=float(objective.lam[b]),
            mu=float(objective.mu[b]),
            f_star=tuple(objective.f_star[b].tolist()),
        )
        run = quietly(
            problem_of(data, dims, b),
            method,
            width=network.w.shape[2],
            steps=1,
            step_size=1e-9,
            initial=[
                (v, u, w[:, :dim]) for (v, u, w), dim in zip(network.initial(b), dims, strict=True)
            ],
        )
        largest = max(largest, math.sqrt(float(run.grad_norm_sq[0])))
    return largest


def kinds(
    rng: np.random.Generator, dims: tuple[int, ...], outputs: int, count: int, more: int = 0
) -> Kinds:
    """Stationary points of `count` random problems, each looked for from one random start.

    The width is the sufficient one of the widest encoder, and `more`. Modalities with fewer inputs
    than others are filled up with inputs that are always zero, and weights zero.
    """
    modalities, dim = len(dims), max(dims)
    samples = 4 * modalities * dim
    data = random_data(rng, count, modalities, dim, outputs, samples)
    used = np.arange(dim) < np.array(dims)[:, None]  # (K, d)
    data = Data(data.x * used[:, None], data.y)
    objective = with_wrong_f_star(rng, random_objective(rng, data, LAM, MU))
    width = max(int(ms.theory.sufficient_width(problem_of(data, dims, 0)).max()) + more, 1)
    landscape = Landscape.of(data, objective, width)
    size = np.exp(0.7 * rng.standard_normal((count, 1)) - 0.3)
    theta = size * rng.standard_normal((count, landscape.weights))
    encoders = landscape.split(theta)[1]  # a view
    encoders *= used[:, None]
    theta = landscape.stationary(theta)
    point = landscape.at(theta)
    arrived = np.linalg.norm(point.gradient, axis=1) < FOUND
    sigma = softmax(point.f_uni - objective.f_star, objective.mu)
    found = arrived & (objective.lam * sigma.min(axis=1) > WEIGHED)
    landscape, theta, data = landscape.take(found), theta[found], data.take(found)
    point = landscape.at(theta)
    joint, single = optima(data)
    p, w = landscape.split(theta)
    network = Network(p[:, :, :outputs], p[:, :, outputs:], w)
    return Kinds(
        excess=np.maximum(point.f_mm - joint, (point.f_uni - single).max(axis=1)),
        curvature=np.asarray(np.linalg.eigvalsh(point.hessian)[:, 0], dtype=np.float64),
        direction=way_down(landscape, theta, point),
        package=reported(data, dims, network, landscape.objective, LOOKS),
        hidden=int(np.sum(arrived & ~found)),
    )


def check(draws: int) -> Evidence:
    """Stationary points of networks that are wide enough, and of networks one unit narrower."""
    rng = np.random.default_rng(17)
    wide = [
        kinds(rng, dims, m, max(round(STARTS * draws * share / 100), 8), more)
        for dims, m, more, share in SHAPES
    ]
    narrow = [kinds(rng, dims, m, max(draws // 2, 20), more=-1) for dims, m in NARROW]
    total = sum(len(one.excess) for one in wide)
    optimal, saddles, other = (
        sum(int(getattr(one, name).sum()) for one in wide)
        for name in ("optimal", "saddle", "other")
    )
    curvature = np.concatenate([one.curvature[one.saddle] for one in wide])
    direction = np.concatenate([one.direction[one.saddle] for one in wide])
    gradient = max(one.package for one in wide)
    hidden = sum(one.hidden for one in wide)
    bad = sum(int(one.other.sum()) for one in narrow)
    tried = sum(len(one.excess) for one in narrow)
    holds = other == 0 and direction.max() < 0 and gradient < PACKAGE and optimal > 0
    verdict = Verdict.HOLDS if holds else Verdict.REFUTED
    by_k = {
        f"K = {k}": sum(
            len(one.excess) for one, shape in zip(wide, SHAPES, strict=True) if len(shape[0]) == k
        )
        for k in sorted({len(shape[0]) for shape in SHAPES})
    }
    return Evidence(
        verdict=verdict,
        words=f"{total} stationary points were found by a damped Newton method from random starts, "
        "with up to 4 modalities, 2 outputs and 3 inputs, of equal and unequal modalities, at the "
        f"sufficient width and up to 2 units above. {optimal} are lexicographically "
        f"optimal, {saddles} are strict saddles, {other} are anything else. The flattest saddle "
        f"has the curvature {curvature.max():.1e}. At each saddle the direction that the proof "
        f"names leads downwards ({np.median(direction / curvature):.0%} of the steepest curvature "
        "in the median). In every second problem f* is wrong by up to 1, and nothing changes. "
        f"({hidden} more points were left out: there lam sigma_k is below {WEIGHED:g} for a "
        "modality, and round-off hides its slope.) The "
        f"package's own gradient at these points is at most {gradient:.0e}. The width matters: "
        f"with one hidden unit less, {bad} of {tried} stationary points are not optimal and have "
        f"no curvature below {DOWN:g}.",
        numbers={
            "stationary points": total,
            "stationary points by number of modalities": by_k,
            "lexicographically optimal": optimal,
            "strict saddles": saddles,
            "anything else": other,
            "left out: a weight too small": hidden,
            "curvature of the flattest saddle": float(curvature.max()),
            "largest curvature along the direction of the proof": float(direction.max()),
            "largest gradient that the package reports there": gradient,
            "one unit too narrow: stationary points": tried,
            "one unit too narrow: not optimal, and no way down": bad,
        },
        counterexample=None if holds else _shown(max(other, 1)),
        plot=functools.partial(_draw, wide, narrow),
    )


def _shown(count: int) -> Counterexample:
    """How to see a stationary point that is neither optimal nor a strict saddle."""
    return Counterexample.shown_by(
        f"{count} stationary points that are neither optimal nor strict saddles",
        "from paper_checks.claims.landscape_no_bad_minima import check",
        "print(check(200).numbers)",
    )


def _draw(wide: list[Kinds], narrow: list[Kinds], axes: Axes) -> None:
    """Excess against smallest curvature: the lower right must be empty."""
    colors = ms.plots.MODALITY_COLORS
    for rows, color, marker, label in (
        (wide, colors[0], "o", "wide enough"),
        (narrow, colors[1], "x", "one unit too narrow"),
    ):
        excess = np.concatenate([one.excess for one in rows])
        curvature = np.concatenate([one.curvature for one in rows])
        axes.plot(np.maximum(excess, 1e-16), curvature, marker, color=color, ms=3, label=label)
    axes.axvline(OPTIMAL, color="0.6", lw=0.9, ls=":")
    axes.set(
        xscale="log",
        xlabel="largest excess of a loss over its minimum",
        ylabel="smallest curvature of F",
    )
    axes.set_yscale("symlog", linthresh=1e-3)
    axes.legend()
