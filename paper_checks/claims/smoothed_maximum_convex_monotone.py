"""The smoothed maximum is convex and monotone in the gaps."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.search import counterexample

CLAIM = Claim(
    id="smoothed-maximum-convex-monotone",
    topic="2 Smoothed maximum",
    says="g_mu is convex in the gaps, and increases with each of them and with mu. Its curvature "
    "is at most 1/(2 mu).",
    source="[MIMO] Sec. 3.2: g_mu is a smoothing function of the maximum",
    assumptions="As a function of the gaps. As a function of the weights F is not convex, because "
    "the losses are not.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

ROUND_OFF = 1e-12  # relative to the largest number involved

# Two vectors of gaps, given as pairs; where between them to look; and mu.
PAIRS = st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=1, max_size=6)
CASES = st.tuples(PAIRS, st.floats(0, 1), st.floats(1e-3, 1e3))


def g(gaps: np.ndarray, mu: float) -> float:
    """The package's smoothed maximum."""
    return float(ms.objective.smoothed_maximum(gaps, mu))


def violates(case: tuple[list[tuple[float, float]], float, float]) -> bool:
    """Whether a property fails by more than round-off.

    The properties are convexity between two points, growth in the gaps and in mu, and that a
    shift of all gaps shifts g_mu by the same.
    """
    pairs, share, mu = case
    a, b = np.array(pairs).T
    slack = ROUND_OFF * (max(np.abs(a).max(), np.abs(b).max()) + mu * len(a) + 1e-300) * 10
    chord = share * g(a, mu) + (1 - share) * g(b, mu)
    convex = g(share * a + (1 - share) * b, mu) <= chord + slack
    monotone = g(np.maximum(a, b), mu) >= max(g(a, mu), g(b, mu)) - slack
    grows_with_mu = g(a, 2 * mu) >= g(a, mu) - slack
    shifted = abs(g(a + b[0], mu) - g(a, mu) - b[0]) <= slack
    return not (convex and monotone and grows_with_mu and shifted)


def eigenvalues(gaps: np.ndarray, mu: float) -> np.ndarray:
    """Eigenvalues of mu times the second derivative, by torch."""

    def smoothed(values: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(ms.objective.smoothed_maximum(values, mu))

    second = torch.func.jacrev(torch.func.jacrev(smoothed))(torch.tensor(gaps))
    return np.asarray(mu * torch.linalg.eigvalsh(second).numpy())


def check(draws: int) -> Evidence:
    """Search for two vectors of gaps that break a property, and differentiate g_mu twice."""
    found = counterexample(CASES, violates, draws)
    rng = np.random.default_rng(2)
    sizes, mus = rng.integers(2, 7, draws), np.exp(rng.uniform(-6, 3, draws))
    spectra = [
        eigenvalues(mu * 3 * rng.standard_normal(K), mu) for K, mu in zip(sizes, mus, strict=True)
    ]
    spectra.append(eigenvalues(np.zeros(2), 0.1))  # two equal gaps attain 1/2
    lowest = min(spectrum.min() for spectrum in spectra)
    highest = max(spectrum.max() for spectrum in spectra)
    holds = found is None and lowest > -1e-9 and abs(highest - 0.5) < 1e-9
    example = Counterexample.shown_by(
        f"pairs of gaps, share, mu = {found}",
        "import mimo_sim as ms",
        "print([float(ms.objective.smoothed_maximum([a, 0.0], 1.0)) for a in (-1.0, 0.0, 1.0)])",
    )
    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"No pair of gap vectors among {draws} breaks convexity or monotony. The curvature "
        f"times mu lies between {lowest:.0e} and {highest:.4f}. Two equal gaps attain 1/2.",
        numbers={
            "draws": draws,
            "smallest curvature times mu": float(lowest),
            "largest curvature times mu": float(highest),
        },
        counterexample=None if holds else example,
    )
