"""Where the encoders' norms end: the nuclear norm of the map that the heads must realise."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.moments import joint_map, unimodal_map
from paper_checks.runs import MANY_OUTPUTS, quietly
from paper_checks.search import counterexample

CLAIM = Claim(
    id="final-norms",
    topic="8 Superficial preference",
    says="From small weights the encoder ends at |W_k|_F^2 = nuclear norm (sum of the singular "
    "values) of the map that its heads realise: of [M_k; N_k] with MIMO, of M_k alone with joint "
    "training (|M_k| for m = 1).",
    source="this project's theory of [MIMO] Algorithm 1 (the plateaus of its Figure 1)",
    assumptions="M_k is modality k's part of the best joint map, N_k its best map alone. "
    "Uni-modal heads follow the gradient of the objective; a converged run; u0 -> 0 and step "
    "size -> 0 (extrapolated from two step sizes).",
    how="property-based",
    recorded=Verdict.HOLDS,
)

STEPS = 6000
# Allowed difference, relative to the largest squared norm. The extrapolation leaves O(eta^2) of an
# O(eta) that is about 1e-2.
ALLOWED = 1e-3
CLOSED = 1e-9  # a run has converged when no loss is farther above its minimum

Case = tuple[ms.LateFusionProblem, ms.Vanilla | ms.MIMO]

METHODS = st.just(ms.Vanilla()) | ms.testing.mimo_methods(
    lam=ms.testing.eighths(4, 32),
    mu=ms.testing.eighths(4, 16),
    f_star=st.just("exact"),
    heads=st.just("gradient"),
)
CASES: st.SearchStrategy[Case] = st.tuples(
    ms.testing.problems(output_dim=MANY_OUTPUTS, dims=st.integers(1, 2))
    | ms.testing.problems(output_dim=1, dims=1, num_modalities=2),
    METHODS,
)


def truth(problem: ms.LateFusionProblem, method: ms.Vanilla | ms.MIMO) -> np.ndarray:
    """|W_k|_F^2 (K,) from least squares and singular values of the maps."""
    joint = joint_map(problem)
    norms = []
    for k in range(problem.num_modalities):
        realised = joint[:, problem.features(k)]
        if method.lam > 0:
            realised = np.vstack([realised, unimodal_map(problem, k)])
        norms.append(np.linalg.svd(realised, compute_uv=False).sum())
    return np.array(norms)


def final_squared_norms(
    problem: ms.LateFusionProblem, method: ms.Vanilla | ms.MIMO, step_size: float, steps: int
) -> np.ndarray | None:
    """|W_k|_F^2 (K,) at the end of a run; None where it has not converged."""
    run = quietly(
        problem,
        method,
        step_size=step_size,
        steps=steps,
        init_scale=1e-5,
        record_every=steps,
    )
    joint_open = float(run.excess_mm[-1]) > CLOSED
    uni_open = method.lam > 0 and float(run.excess_uni[-1].max()) > CLOSED
    if joint_open or uni_open:
        return None
    return np.asarray(run.encoder_norm.values[-1] ** 2)


def difference(case: Case) -> float | None:
    """Largest deviation of the squared norms from the law, relative to the largest of them.

    None where a run has not converged.
    """
    problem, method = case
    predicted = ms.theory.final_encoder_norms(problem, method) ** 2
    step = ms.theory.default_step_size(problem, method)
    coarse = final_squared_norms(problem, method, step, STEPS)
    if coarse is None:
        return None
    fine = final_squared_norms(problem, method, step / 2, STEPS * 2)
    if fine is None:
        return None
    measured = 2 * fine - coarse
    expected = truth(problem, method)
    error = max(np.abs(measured - predicted).max(), np.abs(expected - predicted).max())
    return float(error / expected.max())


def check(draws: int) -> Evidence:
    """Random problems with one and two outputs, joint training and MIMO, at two step sizes each."""
    seen: list[float | None] = []

    def differs(case: Case) -> bool:
        error = difference(case)
        seen.append(error)
        return error is not None and error > ALLOWED

    searched = max(draws // 2, 40)
    found = counterexample(CASES, differs, searched)
    measured = [value for value in seen if value is not None]
    largest = max(measured, default=math.nan)
    figure1 = ms.generators.superficial_preference()
    vanilla, mimo = (
        ms.theory.final_encoder_norms(figure1, method).tolist()
        for method in (ms.Vanilla(), ms.MIMO())
    )
    holds = found is None and len(measured) >= 0.8 * len(seen)
    example = Counterexample.shown_by(
        f"{found}" if found else f"only {len(measured)} of {len(seen)} runs converged",
        "import mimo_sim as ms",
        "p = ms.generators.superficial_preference()",
        "run = ms.simulate(p, ms.MIMO(lam=2.0, mu=0.5), width=float('inf'), steps=20_000, "
        "init_scale=1e-5)",
        "print(run.encoder_norm.values[-1], "
        "ms.theory.final_encoder_norms(p, ms.MIMO(lam=2.0, mu=0.5)))",
    )
    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"{len(measured)} of {len(seen)} random runs converged within {STEPS:,} steps (the "
        "others are not judged). In them the squared norms differ from the law by at most "
        f"{largest:.1e} of the largest. Figure 1's encoders end at {vanilla[0]:.3f} and "
        f"{vanilla[1]:.3f} with joint training, at {mimo[0]:.3f} and {mimo[1]:.3f} with MIMO.",
        numbers={
            "runs": len(seen),
            "converged": len(measured),
            "largest relative difference": largest,
            "Figure 1 norms, joint training": vanilla,
            "Figure 1 norms, MIMO": mimo,
        },
        counterexample=None if holds else example,
    )
