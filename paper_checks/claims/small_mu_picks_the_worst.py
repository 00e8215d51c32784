"""As mu goes to zero, sigma puts all weight on the worst modality, and fast."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.search import counterexample

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIM = Claim(
    id="small-mu-picks-the-worst",
    topic="2 Smoothed maximum",
    says="For mu -> 0 the smoothed maximum becomes the maximum, and sigma points at the worst "
    "modality: 1 - sigma_worst <= (K - 1) exp(-lead / mu), where the lead is the distance of the "
    "largest gap from the next. Gaps that share the maximum share the weight.",
    source="[MIMO] Sec. 3.2: smaller mu approximates the maximum better",
    assumptions="mu -> 0 at fixed gaps.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

# The other gaps, the lead of the largest one in units of mu, and how many share the maximum.
CASES = st.tuples(
    st.lists(st.floats(0, 10), min_size=2, max_size=6), st.floats(1e-3, 10), st.integers(1, 3)
)


def violates(case: tuple[list[float], float, int]) -> bool:
    """Whether the largest gaps get too little weight, or g_mu is too far from the maximum."""
    rest, lead_over_mu, copies = case
    mu = 0.05
    top = max(rest) + lead_over_mu * mu
    gaps = np.array(rest + [top] * copies)
    left = len(rest) * np.exp(-lead_over_mu) / copies
    sigma = ms.objective.sigma_weights(gaps, mu)
    excess = float(ms.objective.smoothed_maximum(gaps, mu)) - top
    slack = 1e-12 * top / mu + 1e-14  # the lead itself is rounded
    equal = np.ptp(sigma[-copies:]) == 0
    enough = 1 - left - slack <= copies * sigma[-1] <= 1 + slack
    near = mu * np.log(copies) - slack <= excess <= mu * (np.log(copies) + left) + slack
    return not (equal and enough and near)


def rate(gaps: list[float], mus: np.ndarray) -> tuple[float, np.ndarray]:
    """Slope of log(weight of the others) over 1/mu, and those weights."""
    worst = int(np.argmax(gaps))
    others = np.array(
        [np.delete(ms.objective.sigma_weights(gaps, float(mu)), worst).sum() for mu in mus]
    )
    return float(np.polyfit(1 / mus, np.log(others), 1)[0]), others


def check(draws: int) -> Evidence:
    """Search for a case outside the bound, and fit the rate."""
    found = counterexample(CASES, violates, draws)
    gaps, mus = [0.64, 0.36, 0.1], np.geomspace(0.28 / 40, 0.28 / 8, 12)
    slope, others = rate(gaps, mus)
    lead = gaps[0] - gaps[1]
    holds = found is None and abs(slope / -lead - 1) < 0.01
    example = Counterexample.shown_by(
        f"other gaps, lead / mu, copies = {found}",
        "import mimo_sim as ms",
        "print(ms.objective.sigma_weights([0.64, 0.36], 0.01))",
    )
    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"No case among {draws} leaves the bound. For gaps {gaps} the weight of the others "
        f"falls like exp({slope:.4f} / mu), and the lead is {lead:.2f}. Of two modalities the "
        f"other one has 1% of the weight left when the lead is {np.log(99):.1f} mu.",
        numbers={"draws": draws, "fitted rate": slope, "lead": lead},
        counterexample=None if holds else example,
        plot=functools.partial(_draw, lead / mus, others),
    )


def _draw(lead_over_mu: np.ndarray, others: np.ndarray, axes: Axes) -> None:
    dots, line = ms.plots.MODALITY_COLORS[0], ms.plots.JOINT_COLOR
    axes.semilogy(lead_over_mu, others, "o", color=dots, label="measured")
    axes.semilogy(lead_over_mu, np.exp(-lead_over_mu), "-", color=line, label="exp(-lead / mu)")
    axes.set_xlabel("lead of the largest gap / mu")
    axes.set_ylabel("weight left to the others")
    axes.legend()
