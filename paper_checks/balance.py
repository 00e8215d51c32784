"""One set of paired simulations for everything that is said about balance and its price: joint training against MIMO at the same step size."""

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
from paper_checks.statistics import median_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LAMBDAS, MUS = (1.0, 10.0, 100.0), (0.001, 0.01, 0.1, 1.0)  # the paper's grid
INIT_SCALE = 1e-3
PER_SCALAR, PER_PLANE = 6, 20  # draws per problem with inputs of dimension (1, 1), and (2, 2)
LEARNED = 1e-3  # f_mm counts as learned at this fraction of its initial excess
UNI_CLOSED = (
    1e-2  # and MIMO's run as converged when every uni-modal gap has closed to this fraction as well
)
EVEN = 1.25  # half-times within this factor count as similar rates
ROWS = 4000  # recorded: resolution of the times
DOUBLINGS = 4
MOST_STEPS = 400_000  # of MIMO
VANILLA_STEPS = 40_000  # beyond which joint training takes a larger step (its half-time ratio hardly depends on it, and by how much is measured)


@dataclass(frozen=True)
class Measured:
    """What one run showed; times are steps times step size.

    Attributes
    ----------
    converged : bool
        f_mm (and for MIMO the uni-modal gaps) closed, and the encoders' norms had stopped moving, within the budget.
    half_times : tuple of float
        Of the encoders' squared norms; NaN for one that was never learned.
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
        """|log(t_1 / t_2)|, zero when all encoders are learned together; NaN when one never was."""
        return float(np.ptp(np.log(self.half_times)))


@dataclass(frozen=True)
class Pair:
    """Joint training and MIMO(lam, mu) with exact f* on one problem at one step size, MIMO's default."""

    seed: int
    dims: tuple[int, ...]
    problem: ms.LateFusionProblem
    lam: float
    mu: float
    step_size: float
    vanilla: Measured
    mimo: Measured
    vanilla_step_size: float  # its own default

    @property
    def converged(self) -> bool:
        """Whether both half-time ratios are known."""
        return (
            self.vanilla.converged
            and self.mimo.converged
            and bool(np.isfinite([self.vanilla.log_ratio, self.mimo.log_ratio]).all())
        )

    @property
    def balanced(self) -> bool:
        """Whether MIMO's half-time ratio is known to be closer to 1 than joint training's. A run that did not converge counts against it."""
        return self.converged and self.mimo.log_ratio < self.vanilla.log_ratio


def learned_at(run: xr.Dataset, tolerance: float = LEARNED) -> float:
    """Flow time from which on f_mm's excess stays below `tolerance` of its start."""
    above = run.excess_mm.values > tolerance * run.excess_mm.values[0]
    return (
        math.inf
        if above[-1]
        else float(run.time.values[len(above) - above[::-1].argmax()] if above.any() else 0.0)
    )


def measure(
    problem: ms.LateFusionProblem, method: ms.Vanilla | ms.MIMO, step_size: float, guess: float
) -> Measured:
    """Train for flow time `guess`, doubled until the run has converged, at most DOUBLINGS times."""
    for doubling in range(DOUBLINGS + 1):
        steps = min(math.ceil(guess * 2**doubling / step_size), MOST_STEPS)
        every = max(1, steps // ROWS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ms.ChatteringWarning)
            run = ms.simulate(
                problem,
                method,
                step_size=step_size,
                steps=steps,
                init_scale=INIT_SCALE,
                width=math.inf,
                record_every=every,
                engine="gram",
            )
        when = learned_at(run)
        closed = math.isfinite(when) and (
            method.lam == 0
            or bool((run.excess_uni.values[-1] <= UNI_CLOSED * run.excess_uni.values[0]).all())
        )
        if not closed and doubling < DOUBLINGS and steps < MOST_STEPS:
            continue
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            half = ms.half_times(run).values * step_size
        converged = closed and not any(
            issubclass(w.category, ms.UnconvergedWarning) for w in caught
        )
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
    """One pair of runs, at MIMO's default step size unless another is given."""
    method = ms.MIMO(lam=lam, mu=mu)
    eta = ms.theory.default_step_size(problem, method) if step_size is None else step_size
    times = ms.theory.learning_times(problem, INIT_SCALE)
    guess = float(times[np.isfinite(times)].max())
    vanilla = measure(problem, ms.Vanilla(), max(eta, 1.5 * guess / VANILLA_STEPS), 1.5 * guess)
    mimo = measure(problem, method, eta, 1.5 * guess / math.sqrt(1 + lam))
    return Pair(
        seed,
        problem.dims,
        problem,
        lam,
        mu,
        eta,
        vanilla,
        mimo,
        ms.theory.default_step_size(problem, ms.Vanilla()),
    )


@functools.cache
def pairs(draws: int) -> tuple[Pair, ...]:
    """Every (lam, mu) of the paper's grid on random problems that satisfy the conditions of superficial preference."""
    which = [((1, 1), seed) for seed in range(max(draws // PER_SCALAR, 12))] + [
        ((2, 2), seed) for seed in range(max(draws // PER_PLANE, 4))
    ]
    problems = [
        (seed, ms.generators.random_problem(dims, seed=seed, require="superficial"))
        for dims, seed in which
    ]
    return tuple(
        compare(problem, lam, mu, seed)
        for lam in LAMBDAS
        for mu in MUS
        for seed, problem in problems
    )


@dataclass(frozen=True)
class Cell:
    """All pairs of one (lam, mu)."""

    lam: float
    mu: float
    pairs: tuple[Pair, ...]

    @property
    def known(self) -> tuple[Pair, ...]:
        """Those of which both half-time ratios are known."""
        return tuple(pair for pair in self.pairs if pair.converged)

    def ratios(self, who: Literal["vanilla", "mimo"]) -> tuple[float, float, float]:
        """Median half-time ratio and its 95% interval, over the known pairs; NaN without any."""
        if not self.known:
            return math.nan, math.nan, math.nan
        middle, low, high = map(
            math.exp, median_interval([getattr(pair, who).log_ratio for pair in self.known])
        )
        return middle, low, high

    @property
    def even(self) -> int:
        """How many MIMO runs are known to learn all encoders within a factor EVEN."""
        return sum(pair.mimo.log_ratio <= math.log(EVEN) for pair in self.known)


def cells(draws: int) -> tuple[Cell, ...]:
    """:func:`pairs`, by lam and mu."""
    return tuple(
        Cell(lam, mu, tuple(p for p in pairs(draws) if (p.lam, p.mu) == (lam, mu)))
        for lam in LAMBDAS
        for mu in MUS
    )


# Problems as few small numbers, for counter-examples a reader can type: |C_A| / |C_B| = scale * sqrt(explained), and lead > 1 makes A grow first.
PREFERENCES = st.tuples(st.integers(1, 7), st.integers(9, 24)).map(
    lambda n: (n[1] / 8 / math.sqrt(n[0] / 8), n[0] / 8)
)


def preference(case: tuple[float, float]) -> ms.LateFusionProblem:
    """The Figure 1 problem with this scale and this part explained by A, relative to B."""
    return ms.generators.superficial_preference(scale=round(case[0], 2), explained=(case[1], 1.0))


def preference_code(case: tuple[float, float]) -> str:
    """:func:`preference` as code."""
    return f"ms.generators.superficial_preference(scale={round(case[0], 2)}, explained=({case[1]}, 1.0))"


def draw_ratios(draws: int, ax: Axes) -> None:
    """Median half-time ratios over lam, one line per mu, with their intervals."""
    from mimo_sim.plots import METHOD_COLORS

    found = cells(draws)
    for i, mu in enumerate(MUS):
        values = np.array([cell.ratios("mimo") for cell in found if cell.mu == mu])
        spread = np.abs(values[:, 1:] - values[:, :1]).T
        ax.errorbar(
            np.array(LAMBDAS) * 1.07**i,
            values[:, 0],
            spread,
            color=METHOD_COLORS[1 + i],
            marker="o",
            capsize=2,
            label=rf"MIMO, $\mu$ = {mu:g}",
        )
    ax.axhline(
        found[0].ratios("vanilla")[0], color=METHOD_COLORS[0], ls="--", label="joint training"
    )
    ax.axhline(1.0, color="0.7", lw=0.8)
    ax.set(
        xscale="log",
        yscale="log",
        xlabel=r"penalty $\lambda$",
        ylabel="half-time ratio (median)",
        ylim=(0.97, 3.6),
    )
    ax.set_xticks(LAMBDAS, [f"{lam:g}" for lam in LAMBDAS])
    ax.set_yticks((1.0, 1.25, 1.5, 2.0, 3.0), ("1", "1.25", "1.5", "2", "3"))
    ax.minorticks_off()
    ax.legend(ncols=2)


def clear_caches() -> None:
    """Forget the simulations."""
    pairs.cache_clear()


CLEAR.append(clear_caches)
