"""lam = 1 is too weak, lam >= 10 works: against the order threshold lam*."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

import mimo_sim as ms
from paper_checks import balance
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.search import counterexample
from paper_checks.statistics import median_interval, wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIM = Claim(
    id="lam-one-is-too-weak",
    topic="9 Balance",
    says="A penalty of lam = 1 is too weak to balance; lam >= 10 works.",
    source="[MIMO] ablation of lam (summary: design trade-offs)",
    assumptions="The toy under superficial preference, exact f*. Strong enough means above lam*, where MIMO with a small mu reverses the order of learning.",
    how="statistical",
    recorded=Verdict.CONDITIONAL,
    false_alarm="0 of 30 other sets of seeds, each with fresh problems for the whole grid, changed the verdict.",
)

ROUND_OFF = 1e-9
SMALL_MU = (0.001, 0.01)
STEP_SIZE = 5e-4
PENALTIES = (1.0, 10.0)
FIRST_TRIED = (3.18, 0.125)


def threshold(problem: ms.LateFusionProblem) -> float:
    """lam* = sqrt((|C_A| / |C_B|)^2 - 1) of two modalities, by hand: A has the larger |C_k|."""
    first, second = sorted(
        (float(np.linalg.norm(cross)) for cross in problem.sigma_yx), reverse=True
    )
    return math.sqrt((first / second) ** 2 - 1)


def first_learned(problem: ms.LateFusionProblem, lam: float) -> int:
    """The modality whose encoder MIMO(lam, 0.01) brings to half its final squared norm first."""
    return int(np.argmin(balance.compare(problem, lam, 0.01, step_size=STEP_SIZE).mimo.half_times))


def strong_enough(case: tuple[float, float]) -> bool:
    """Whether lam = 1 already makes B the first."""
    return first_learned(balance.preference(case), 1.0) == 1


def check(draws: int) -> Evidence:
    """How often lam* lies below 1, between 1 and 10, above 10; whether simulated orders obey it; how even the half-times are at either lam."""
    problems = [
        ms.generators.random_problem((1, 1), seed=1000 + seed, require="superficial")
        for seed in range(draws // 2)
    ]
    by_hand = np.array([threshold(problem) for problem in problems])
    stated = np.array([ms.theory.order_threshold(problem) for problem in problems])
    same = bool(np.allclose(by_hand, stated, rtol=ROUND_OFF, atol=0))
    weak, enough = int((by_hand > 1).sum()), int((by_hand <= 10).sum())
    weak_share, enough_share = wilson(weak, len(problems)), wilson(enough, len(problems))

    cells = {(cell.lam, cell.mu): cell for cell in balance.cells(draws)}
    told = [
        pair
        for lam in PENALTIES
        for mu in balance.MUS
        for pair in cells[lam, mu].known
        if pair.mimo.log_ratio > math.log(balance.EVEN)
    ]
    obeyed = sum(
        _reversed(pair) == (pair.lam > ms.theory.order_threshold(pair.problem, pair.mu))
        for pair in told
    )
    obeyed_share = wilson(obeyed, len(told))
    gains, evens = [], {}
    for mu in SMALL_MU:
        one, ten = cells[1.0, mu], cells[10.0, mu]
        strong = {(pair.dims, pair.seed): pair.mimo.log_ratio for pair in ten.known}
        gains += [
            pair.mimo.log_ratio - strong[pair.dims, pair.seed]
            for pair in one.known
            if (pair.dims, pair.seed) in strong
        ]
        evens[mu] = [(cell.even, len(cell.pairs)) for cell in (one, ten)]
    gain = median_interval(gains) if gains else (math.nan, math.nan, math.nan)
    found = counterexample(balance.PREFERENCES, strong_enough, draws // 8)

    stronger = same and gain[1] > 0 and obeyed > 0.8 * len(told)
    always, mostly = (
        weak_share[0] > 0.95 and enough_share[0] > 0.95 and found is None,
        weak_share[0] > 0.1 and enough_share[0] > 0.8,
    )
    verdict = (
        Verdict.REFUTED
        if not stronger
        else Verdict.HOLDS
        if always
        else Verdict.CONDITIONAL
        if mostly
        else Verdict.REFUTED
    )
    (even_one, n_one), (even_ten, n_ten) = evens[0.01]
    words = (
        f"lam* exceeds 1 in {weak} of {len(problems)} random problems (95% interval {weak_share[0]:.0%} to {weak_share[1]:.0%}) and 10 in "
        f"{len(problems) - enough}: lam = 1 is too weak in that share of them, not always. At mu = 0.01 the half-times lie within a factor "
        f"{balance.EVEN} in {even_one} of {n_one} problems with lam = 1 and in {even_ten} of {n_ten} with lam = 10. Where they differ by more, "
        f"the order is the one that lam* tells in {obeyed} of {len(told)} runs."
    )
    numbers = {
        "problems": len(problems),
        "lam* above 1": weak,
        "95% interval of the share": weak_share,
        "lam* at most 10": enough,
        "95% interval of that share": enough_share,
        "quantiles of lam* (5, 50, 95%)": np.quantile(by_hand, (0.05, 0.5, 0.95)).tolist(),
        "formula agrees with the package": same,
        "runs with half-times apart": len(told),
        "order as lam* tells": obeyed,
        "95% interval of the share ": obeyed_share,
        "median fall of |log ratio| from lam = 1 to 10, with 95% interval": gain,
        "even at lam = 1 and 10, by mu": {f"{mu:g}": pair for mu, pair in evens.items()},
    }
    return Evidence(
        verdict,
        words,
        numbers,
        _shown(found) if verdict is not Verdict.HOLDS else None,
        functools.partial(_draw, by_hand),
    )


def _reversed(pair: balance.Pair) -> bool:
    return bool(
        np.argmin(pair.mimo.half_times)
        == ms.theory.superficial_preference(pair.problem).most_explaining
    )


def _shown(found: tuple[float, float] | None) -> Counterexample:
    """A problem on which lam = 1 is enough (the first one tried when the search found none), and Figure 1's at "
    "the least whole scale for which lam = 10 is not."""
    found = found if found is not None else FIRST_TRIED
    far = next(
        scale
        for scale in range(3, 100)
        if threshold(ms.generators.superficial_preference(scale=scale)) > 10
    )
    beyond = ms.generators.superficial_preference(scale=far)
    weak, strong = threshold(balance.preference(found)), threshold(beyond)
    code = (
        f"import mimo_sim as ms; g = ms.generators.superficial_preference; r = lambda p, lam, n: ms.half_times(ms.simulate(p, ms.MIMO(lam=lam, mu=0.01), "
        f"step_size=1e-4, steps=n, record_every=10, width=float('inf'))).values; "
        f"print(r({balance.preference_code(found)}, 1.0, 200_000), r(g(scale={far}.0), 10.0, 100_000))"
    )
    case = (
        f"{balance.preference_code(found)[14:]} (lam* = {weak:.2f}): lam = 1 makes B the first. "
        f"Figure 1's problem with scale={far} (lam* = {strong:.2f}): lam = 10 does not"
    )
    return Counterexample(case, f'python -c "{code}"')


def _draw(thresholds: Any, ax: Axes) -> None:
    from mimo_sim.plots import MODALITY_COLORS

    ax.plot(
        np.sort(thresholds),
        np.arange(1, len(thresholds) + 1) / len(thresholds),
        color=MODALITY_COLORS[0],
        drawstyle="steps-post",
    )
    for lam in PENALTIES:
        ax.axvline(lam, color="0.5", ls=":")
    ax.set(
        xscale="log",
        xlabel=r"order threshold $\lambda^*$",
        ylabel="share of random problems below",
        ylim=(0, 1.02),
    )
