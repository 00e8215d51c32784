"""Simulations in pairs, for all claims about balance and its price.

A pair is joint training and MIMO, on the same problem and at the same step size where possible.
The pairs cover the paper's grid of lam and mu. They are simulated once, for all claims together.
"""

from __future__ import annotations

import functools
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr
from hypothesis import strategies as st

import mimo_sim as ms
from paper_checks.caches import CLEAR
from paper_checks.runs import quietly
from paper_checks.statistics import median_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LAMBDAS, MUS = (1.0, 10.0, 100.0), (0.001, 0.01, 0.1, 1.0)  # the paper's grid
INIT_SCALE = 1e-3
PER_SCALAR, PER_PLANE = 6, 20  # draws for each problem with inputs of dimension (1, 1), and (2, 2)
LEARNED = 1e-3  # f_mm is learned when its excess has fallen to this fraction of its start
UNI_CLOSED = 1e-2  # MIMO's run has converged when also every gap has fallen to this fraction
EVEN = 1.25  # half-times within this factor count as similar rates
ROWS = 4000  # recorded in a run: the resolution of the times
DOUBLINGS = 4  # of a run's length, at most
MOST_STEPS = 400_000  # of MIMO

# Most steps of joint training, for 1.5 predicted learning times. Where MIMO's step size would need
# more steps, joint training takes a larger step size. Its half-time ratio hardly depends on the
# step size (that is measured).
VANILLA_STEPS = 40_000


@dataclass(frozen=True)
class Measured:
    """What one run showed. Times are flow times: steps times step size.

    Attributes
    ----------
    converged : bool
        Within the budget, f_mm was learned (and with MIMO the gaps closed), and the encoders'
        norms had stopped moving.
    half_times : tuple of float
        Of the encoders' squared norms. NaN for one that was never learned.
    learned_at : float
        When f_mm's excess fell to LEARNED of its start for good; inf when it did not.
    steps : int
        Length of the run.
    """

    converged: bool
    half_times: tuple[float, ...]
    learned_at: float
    steps: int

    @property
    def log_ratio(self) -> float:
        """|log(t_1 / t_2)|: zero when all encoders are learned together, NaN when one never was."""
        return float(np.ptp(np.log(self.half_times)))


@dataclass(frozen=True)
class Pair:
    """Joint training and MIMO(lam, mu) with exact f* on one problem.

    `step_size` is MIMO's, `vanilla_step_size` the default one of joint training.
    """

    seed: int
    dims: tuple[int, ...]
    problem: ms.LateFusionProblem
    lam: float
    mu: float
    step_size: float
    vanilla: Measured
    mimo: Measured
    vanilla_step_size: float

    @property
    def converged(self) -> bool:
        """Whether both half-time ratios are known."""
        ratios = [self.vanilla.log_ratio, self.mimo.log_ratio]
        finite = bool(np.isfinite(ratios).all())
        return self.vanilla.converged and self.mimo.converged and finite

    @property
    def balanced(self) -> bool:
        """Whether MIMO's half-time ratio is known to be closer to 1 than joint training's.

        A run that did not converge counts against MIMO.
        """
        return self.converged and self.mimo.log_ratio < self.vanilla.log_ratio

    @property
    def key(self) -> tuple[tuple[int, ...], int]:
        """What names the problem on all points of the grid."""
        return self.dims, self.seed


def learned_at(run: xr.Dataset, tolerance: float = LEARNED) -> float:
    """Flow time from which on f_mm's excess stays below `tolerance` of its start; inf if never."""
    above = run.excess_mm.values > tolerance * run.excess_mm.values[0]
    if above[-1]:
        return math.inf
    if not above.any():
        return 0.0
    return float(run.time.values[len(above) - above[::-1].argmax()])


def measure(
    problem: ms.LateFusionProblem, method: ms.Vanilla | ms.MIMO, step_size: float, guess: float
) -> Measured:
    """Train for the flow time `guess`, and double it until the run has converged."""
    for doubling in range(DOUBLINGS + 1):
        steps = min(math.ceil(guess * 2**doubling / step_size), MOST_STEPS)
        run = quietly(
            problem,
            method,
            step_size=step_size,
            steps=steps,
            init_scale=INIT_SCALE,
            record_every=max(1, steps // ROWS),
            engine="gram",
        )
        when = learned_at(run)
        gaps_closed = (run.excess_uni.values[-1] <= UNI_CLOSED * run.excess_uni.values[0]).all()
        closed = math.isfinite(when) and (method.lam == 0 or bool(gaps_closed))
        if not closed and doubling < DOUBLINGS and steps < MOST_STEPS:
            continue
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            half = ms.half_times(run).values * step_size
        moving = any(issubclass(warning.category, ms.UnconvergedWarning) for warning in caught)
        converged = closed and not moving
        if converged:
            break
    return Measured(converged, tuple(map(float, half)), when, steps)


def compare(
    problem: ms.LateFusionProblem,
    lam: float,
    mu: float,
    seed: int = 0,
    step_size: float | None = None,
) -> Pair:
    """Simulate one pair, at MIMO's default step size unless another is given."""
    method = ms.MIMO(lam=lam, mu=mu)
    eta = ms.theory.default_step_size(problem, method) if step_size is None else step_size
    times = ms.theory.learning_times(problem, INIT_SCALE)
    guess = float(times[np.isfinite(times)].max())
    larger_step = max(eta, 1.5 * guess / VANILLA_STEPS)
    return Pair(
        seed=seed,
        dims=problem.dims,
        problem=problem,
        lam=lam,
        mu=mu,
        step_size=eta,
        vanilla=measure(problem, ms.Vanilla(), larger_step, 1.5 * guess),
        mimo=measure(problem, method, eta, 1.5 * guess / math.sqrt(1 + lam)),
        vanilla_step_size=ms.theory.default_step_size(problem, ms.Vanilla()),
    )


@functools.cache
def pairs(draws: int) -> tuple[Pair, ...]:
    """Pairs for every (lam, mu) of the grid, on random problems with superficial preference."""
    scalar = [((1, 1), seed) for seed in range(max(draws // PER_SCALAR, 12))]
    plane = [((2, 2), seed) for seed in range(max(draws // PER_PLANE, 4))]
    problems = [
        (seed, ms.generators.random_problem(dims, seed=seed, require="superficial"))
        for dims, seed in scalar + plane
    ]
    return tuple(
        compare(problem, lam, mu, seed)
        for lam in LAMBDAS
        for mu in MUS
        for seed, problem in problems
    )


CLEAR.append(pairs.cache_clear)


@dataclass(frozen=True)
class Cell:
    """All pairs of one point (lam, mu) of the grid."""

    lam: float
    mu: float
    pairs: tuple[Pair, ...]

    @property
    def known(self) -> tuple[Pair, ...]:
        """The pairs of which both half-time ratios are known."""
        return tuple(pair for pair in self.pairs if pair.converged)

    def ratios(self, who: Literal["vanilla", "mimo"]) -> tuple[float, float, float]:
        """Median half-time ratio of the known pairs, with its 95% interval; NaN without any."""
        if not self.known:
            return math.nan, math.nan, math.nan
        logs = [getattr(pair, who).log_ratio for pair in self.known]
        middle, low, high = map(math.exp, median_interval(logs))
        return middle, low, high

    @property
    def even(self) -> int:
        """How many MIMO runs are known to learn all encoders within a factor EVEN."""
        return sum(pair.mimo.log_ratio <= math.log(EVEN) for pair in self.known)


def cells(draws: int) -> tuple[Cell, ...]:
    """The pairs, sorted by lam and mu."""
    every = pairs(draws)
    return tuple(
        Cell(lam, mu, tuple(pair for pair in every if (pair.lam, pair.mu) == (lam, mu)))
        for lam in LAMBDAS
        for mu in MUS
    )


def falls(weak: Cell, strong: Cell) -> list[float]:
    """How far MIMO's |log ratio| falls from `weak` to `strong`, on each problem known at both."""
    at_strong = {pair.key: pair.mimo.log_ratio for pair in strong.known}
    return [
        pair.mimo.log_ratio - at_strong[pair.key] for pair in weak.known if pair.key in at_strong
    ]


# Problems given by two small numbers (scale, explained), for counter-examples that are easy to
# type: |C_A| / |C_B| = scale * sqrt(explained). It is above 1, so that A grows first.
PREFERENCES = st.tuples(st.integers(1, 7), st.integers(9, 24)).map(
    lambda n: (n[1] / 8 / math.sqrt(n[0] / 8), n[0] / 8)
)


def preference(case: tuple[float, float]) -> ms.LateFusionProblem:
    """The Figure 1 problem with this scale of A, and this much explained by A relative to B."""
    return ms.generators.superficial_preference(scale=round(case[0], 2), explained=(case[1], 1.0))


def preference_name(case: tuple[float, float]) -> str:
    """The problem of :func:`preference` for a reader."""
    return f"superficial_preference(scale={round(case[0], 2)}, explained=({case[1]}, 1.0))"


def preference_code(case: tuple[float, float]) -> str:
    """The problem of :func:`preference` as code."""
    return f"ms.generators.{preference_name(case)}"


def draw_ratios(draws: int, axes: Axes) -> None:
    """Median half-time ratios over lam with their intervals, one line for each mu."""
    found = cells(draws)
    for i, mu in enumerate(MUS):
        values = np.array([cell.ratios("mimo") for cell in found if cell.mu == mu])
        axes.errorbar(
            np.array(LAMBDAS) * 1.07**i,
            values[:, 0],
            np.abs(values[:, 1:] - values[:, :1]).T,
            color=ms.plots.METHOD_COLORS[1 + i],
            marker="o",
            capsize=2,
            label=rf"MIMO, $\mu$ = {mu:g}",
        )
    joint = found[0].ratios("vanilla")[0]
    axes.axhline(joint, color=ms.plots.METHOD_COLORS[0], ls="--", label="joint training")
    axes.axhline(1.0, color="0.7", lw=0.8)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel=r"penalty $\lambda$",
        ylabel="half-time ratio (median)",
        ylim=(0.97, 3.6),
    )
    axes.set_xticks(LAMBDAS, [f"{lam:g}" for lam in LAMBDAS])
    axes.set_yticks((1.0, 1.25, 1.5, 2.0, 3.0), ("1", "1.25", "1.5", "2", "3"))
    axes.minorticks_off()
    axes.legend(ncols=2)
