"""With identical modalities MIMO corrects nothing: it is the equally weighted sum."""

from __future__ import annotations

import numpy as np
import torch

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.network import Array

CLAIM = Claim(
    id="identical-modalities-get-no-correction",
    topic="11 Break conditions",
    says="If the gaps of the modalities are equal, MIMO corrects nothing: sigma_k = 1/K, and the "
    "run is that of f_mm + (lam / K) sum_k f_k.",
    source="[MIMO] Sec. 3.1 (summary: break condition of mechanism 1)",
    assumptions="Every modality has the same inputs and the same initial weights. Uni-modal heads "
    "follow the gradient of the objective.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

TOLERANCE = 1e-9  # relative, over a whole run; round-off is about 1e-13
STEPS, WIDTH, SAMPLES = 40, 3, 5


def equally_weighted(
    x: Array, y: Array, start: list[Array], lam: float, k: int, eta: float
) -> np.ndarray:
    """Gradient descent on f_mm + (lam / k) sum f_k, on raw samples by torch.

    Returns f_mm and the k encoder norms before each step and at the end (steps + 1, 1 + k).
    """
    inputs, target = torch.tensor(x), torch.tensor(y)
    v, u, w = (torch.tensor(np.stack([block] * k), requires_grad=True) for block in start)
    rows = []
    for _ in range(STEPS + 1):
        hidden = inputs @ w.transpose(1, 2)  # (k, n, h)
        joint = (hidden @ v.transpose(1, 2)).sum(0)
        uni = hidden @ u.transpose(1, 2)
        f_mm = 0.5 * (target - joint).square().sum(-1).mean()
        f_uni = 0.5 * (target - uni).square().sum(-1).mean(-1)
        rows.append([float(f_mm.detach()), *w.detach().flatten(1).norm(dim=1).tolist()])
        gradients = torch.autograd.grad(f_mm + lam / k * f_uni.sum(), (v, u, w))
        with torch.no_grad():
            for weight, gradient in zip((v, u, w), gradients, strict=True):
                weight -= eta * gradient
    return np.array(rows)


def errors(rng: np.random.Generator) -> tuple[float, float, float]:
    """Three largest distances in one random case.

    The distance of sigma from 1/K; the relative distance of the run from the equally weighted one;
    and the relative distance of the encoder norms from each other.
    """
    k = int(rng.integers(2, 4))
    lam = float(np.exp(rng.uniform(-1, 3)))
    mu = float(np.exp(rng.uniform(-5, 1)))
    x = rng.standard_normal((SAMPLES, 1))
    y = x * rng.standard_normal() + 0.3 * rng.standard_normal((SAMPLES, 1))
    start = [0.3 * rng.standard_normal(shape) for shape in ((1, WIDTH), (1, WIDTH), (WIDTH, 1))]
    problem = ms.LateFusionProblem.from_samples([x] * k, y)
    eta = 0.02 / ((1 + lam) * (1 + problem.y_second_moment))
    run = ms.simulate(
        problem, ms.MIMO(lam=lam, mu=mu), step_size=eta, steps=STEPS, initial=[start] * k
    )
    expected = equally_weighted(x, y, start, lam, k, eta)
    norms = run.encoder_norm.values
    found = np.column_stack([run.loss_mm.values, norms])
    return (
        float(np.abs(run.sigma.values - 1 / k).max()),
        float(np.abs(found / expected - 1).max()),
        float((np.ptp(norms, axis=1) / norms.mean(axis=1)).max()),
    )


def check(draws: int) -> Evidence:
    """Runs of the package, against a network that is trained on the equally weighted sum."""
    rng = np.random.default_rng(11)
    cases = [errors(rng) for _ in range(draws // 4)]
    sigma, run, apart = map(float, np.max(cases, axis=0))
    at_equal_gaps = [
        float(np.abs(ms.objective.sigma_weights([gap] * k, mu) - 1 / k).max())
        for k in range(2, 7)
        for gap in (0.0, 0.3, 1e6)
        for mu in (1e-6, 1.0)
    ]
    holds = max(sigma, run, apart, *at_equal_gaps) < TOLERANCE
    example = Counterexample.shown_by(
        "equal gaps 0.3, mu = 0.1",
        "import mimo_sim as ms",
        "print(ms.objective.sigma_weights([0.3, 0.3], 0.1), "
        "ms.objective.mimo_objective(1.0, [0.3, 0.3], 2.0, 0.1))",
    )
    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"Over {len(cases)} runs with 2 or 3 identical modalities, sigma stays within "
        f"{sigma:.0e} of 1/K. Losses and norms stay within {run:.0e} (relative) of a network that "
        "is trained on the equally weighted sum, and the encoders within "
        f"{apart:.0e} of each other.",
        numbers={
            "runs": len(cases),
            "largest distance of sigma from 1/K": sigma,
            "largest relative distance from the equally weighted run": run,
            "largest relative difference of encoder norms": apart,
            "distance of sigma at equal gaps up to 1e6": max(at_equal_gaps),
        },
        counterexample=None if holds else example,
    )
