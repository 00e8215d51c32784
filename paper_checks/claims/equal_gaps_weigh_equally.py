"""Equal gaps give every modality the weight 1/K."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.curvature import flat, torch_losses
from paper_checks.network import random_data, random_network
from paper_checks.search import counterexample

CLAIM = Claim(
    id="equal-gaps-weigh-equally",
    topic="2 Smoothed maximum",
    says="Equal gaps give sigma_k = 1/K, whatever mu is. Then MIMO's step is that of the sum f_mm "
    "+ (lam / K) sum_k f_k, and nothing is corrected. Gaps that are not equal are weighed "
    "differently.",
    source="[MIMO] Algorithm 1; the summary's break condition of mechanism 1",
    assumptions="K >= 1, mu > 0.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

# The common gap, K, mu, and how far one gap lies above the others, in units of mu.
CASES = st.tuples(st.floats(-1e6, 1e6), st.integers(1, 8), st.floats(1e-6, 1e6), st.floats(1e-3, 5))


def violates(case: tuple[float, int, float, float]) -> bool:
    """Whether a weight is wrong, in NumPy or torch.

    Equal gaps must be weighed equally. A gap that lies `lead` mu above the others must get
    exp(lead) times their weight.
    """
    gap, K, mu, lead = case
    equal = ms.objective.sigma_weights(np.full(K, gap), mu)
    tensor = ms.objective.sigma_weights(torch.full((K,), gap, dtype=torch.float64), mu).numpy()
    uneven = max(np.abs(equal - 1 / K).max(), np.abs(tensor - 1 / K).max()) > 1e-15
    if K == 1:
        return bool(uneven)
    ahead = ms.objective.sigma_weights(np.r_[lead * mu, np.zeros(K - 1)], mu)
    return bool(uneven or abs(ahead[0] / ahead[1] / np.exp(lead) - 1) > 1e-12)


def weighted_sum_error(seed: int) -> float:
    """A step of the package at equal gaps, against a step on the equally weighted sum by autograd.

    Returns the largest difference of the maps. The gaps are made equal by the choice of f_star.
    """
    rng = np.random.default_rng([6, seed])
    data = random_data(rng, 1)
    network, lam, eta = random_network(rng, data, 2, 0.5), 3.0, 0.02
    theta = flat(network)[0].requires_grad_()
    losses = torch_losses(theta, torch.tensor(data.x[0]), torch.tensor(data.y[0]), 2)
    (slope,) = torch.autograd.grad(losses[0] + lam / 2 * losses[1:].sum(), theta)
    # One input, one output, width 2: v, u and w are three blocks of the same size.
    v, u, w = (theta - eta * slope).detach().reshape(3, 2, 2).numpy()
    run = ms.simulate(
        data.problem(0),
        ms.MIMO(lam=lam, mu=0.05, f_star=(losses[1:].detach().numpy() - 0.1).tolist()),
        step_size=eta,
        steps=1,
        initial=network.initial(0),
        record_maps=True,
    )
    errors = (
        run.joint_map.values[1, 0] - (v * w).sum(1),
        run.uni_map.values[1, 0] - (u * w).sum(1),
        run.sigma.values[0] - 0.5,
    )
    return float(max(np.abs(error).max() for error in errors))


def check(draws: int) -> Evidence:
    """Search gaps and mu over twelve orders of magnitude, and compare single steps."""
    found = counterexample(CASES, violates, draws)
    count = max(draws // 10, 5)
    step = max(weighted_sum_error(seed) for seed in range(count))
    holds = found is None and step < 1e-12
    example = Counterexample.shown_by(
        f"gap, K, mu, lead / mu = {found}",
        "import mimo_sim as ms",
        "print(ms.objective.sigma_weights([0.3, 0.3, 0.3], 0.1))",
    )
    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"In none of {draws} cases (K up to 8, gaps up to 1e6, mu from 1e-6 to 1e6) do the "
        "weights differ from 1/K. A gap that is larger by x times mu gets exp(x) times the weight. "
        f"{count} steps of the package at equal gaps are those of the equally weighted sum, to "
        f"{step:.0e}.",
        numbers={"draws": draws, "steps compared": count, "largest difference of maps": step},
        counterexample=None if holds else example,
    )
