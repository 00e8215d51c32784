"""An extrapolated learning curve promises only what it has already shown: the easy one wins."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.search import counterexample

CLAIM = Claim(
    id="extrapolation-rewards-progress",
    topic="10 Numerics",
    says="With f_k* = the limit of the fitted curve a + b r^e, the gap of a falling curve is at "
    "most a constant times what the curve has fallen so far. So a modality that has made no "
    "progress gets the least weight, however much it has still to learn.",
    source="this project's law of MIMOLoss(f_star='extrapolation')",
    assumptions="Losses that never rise, E >= 3 epochs. The constant is "
    "ms.theory.extrapolation_reach(E): 9.5 for E = 3, 2.5 for E = 10.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

ROUND_OFF = 1e-6  # estimates are kept in float32
ENDS = [(count, place) for count in (2, 5, 9) for place in range(count)]
FALLS = st.lists(
    st.tuples(st.integers(0, 64), st.integers(0, 64)).map(
        lambda pair: (pair[0] / 64, pair[1] / 64)
    ),
    min_size=2,
    max_size=12,
)


def estimates(curves: np.ndarray) -> np.ndarray:
    """f* (K,) of MIMOLoss after epochs of one step each with these losses (E, K)."""
    import torch

    mimo = ms.MIMOLoss(f_star="extrapolation", decay=0.0)
    for row in torch.tensor(curves):
        mimo(row.sum(), row)
        mimo.end_epoch()
    return np.array(mimo.report()["f_star"])


def curves_of(falls: list[tuple[float, float]]) -> np.ndarray:
    """Curves (E, 2) that fall by these steps, down to 0.5."""
    steps = np.array([*falls, (0.0, 0.0)])
    return np.asarray(0.5 + steps[::-1].cumsum(axis=0)[::-1])


def check(draws: int) -> Evidence:
    """Search falling curves whose gap is above the bound."""
    largest, nearest = -np.inf, 0.0

    def beyond(falls: list[tuple[float, float]]) -> bool:
        nonlocal largest
        curves = curves_of(falls)
        gaps = curves[-1] - estimates(curves)
        bound = ms.theory.extrapolation_reach(len(curves)) * (curves[0] - curves[-1])
        largest = max(largest, float((gaps - bound).max()))
        return bool((gaps > bound + ROUND_OFF).any())

    found = counterexample(FALLS, beyond, draws)
    for count, place in ENDS:
        sudden = [(float(i == place) / 64, 0.0) for i in range(count)]  # these come nearest
        found = sudden if found is None and beyond(sudden) else found
        curves = curves_of(sudden)
        reached = (curves[-1] - estimates(curves))[0] * 64
        nearest = max(nearest, reached / ms.theory.extrapolation_reach(len(curves)))
    # An easy modality in the middle of its fall, and one that has hardly begun.
    epochs = np.arange(8)
    easy, slow = 1.5 * 0.8**epochs + 0.5, 2.0 - 1e-3 * epochs
    last = np.stack([easy, slow], axis=1)
    gaps = last[-1] - estimates(last)
    sigma = ms.objective.sigma_weights(gaps, 0.1)
    holds = found is None and sigma[0] > 0.9
    example = Counterexample.shown_by(
        f"falls {found}",
        "import numpy as np, torch, mimo_sim as ms",
        "m = ms.MIMOLoss(f_star='extrapolation', decay=0.0)",
        "[(m(row.sum(), row), m.end_epoch()) for row in torch.tensor([[2., 2.], [1., 1.9], "
        "[.5, 1.8]])]",
        "print(m.report())",
    )
    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"No falling curve among {draws} has a gap above the bound (some reach "
        f"{nearest:.0%} of it). An easy modality on its way from 2 to 0.5 has the gap "
        f"{gaps[0]:.2f}; one that stands at 1.99 of 2 has {gaps[1]:.3f}. At mu = 0.1 the easy one "
        f"gets {sigma[0]:.1%} of the weight.",
        numbers={
            "largest gap minus bound": largest,
            "largest gap over bound, curves that fall in one step": nearest,
            "gap of the easy modality": float(gaps[0]),
            "gap of the slow modality": float(gaps[1]),
            "sigma of the easy modality": float(sigma[0]),
        },
        counterexample=None if holds else example,
    )
