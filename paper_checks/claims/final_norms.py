"""Where the encoders' norms end: the nuclear norm of what the heads must realise."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.runs import MANY_OUTPUTS, quietly
from paper_checks.search import counterexample

CLAIM = Claim(
    id="final-norms",
    topic="8 Superficial preference",
    says="From small weights the encoder ends at |W_k|_F^2 = nuclear norm of [M_k; N_k] with MIMO, and of M_k alone (|M_k| for m = 1) with joint training.",
    source="this project's theory of [MIMO] Algorithm 1 (the plateaus of its Figure 1)",
    assumptions="Gradient reading of the head update; a converged run; u0 -> 0 and step -> 0 (extrapolated from two step sizes).",
    how="property-based",
    recorded=Verdict.HOLDS,
)

STEPS = 6000
ALLOWED = 1e-3  # of the largest squared norm: what the extrapolation leaves, O(eta^2), where O(eta) is some 1e-2
CLOSED = 1e-9  # losses' excess that counts as converged

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
    """|W_k|_F^2 from least squares and singular values of the maps."""
    joint = np.linalg.lstsq(problem.input_moment, problem.cross_moment.T, rcond=None)[0].T
    maps = [joint[:, problem.features(k)] for k in range(problem.num_modalities)]
    if method.lam > 0:
        own = [
            np.linalg.lstsq(problem.sigma[k][k], problem.sigma_yx[k].T, rcond=None)[0].T
            for k in range(problem.num_modalities)
        ]
        maps = [np.vstack(pair) for pair in zip(maps, own, strict=True)]
    return np.array([np.linalg.svd(both, compute_uv=False).sum() for both in maps])


def difference(case: Case) -> float | None:
    """Largest deviation of the squared norms from the law, relative to the largest of them; None where the run has not converged."""
    problem, method = case
    predicted, step, ends = (
        ms.theory.final_encoder_norms(problem, method) ** 2,
        ms.theory.default_step_size(problem, method),
        [],
    )
    for parts in (1, 2):
        total = STEPS * parts
        run = quietly(
            problem,
            method,
            step_size=step / parts,
            steps=total,
            init_scale=1e-5,
            record_every=total,
        )
        if float(run.excess_mm[-1]) > CLOSED or (
            method.lam > 0 and float(run.excess_uni[-1].max()) > CLOSED
        ):
            return None
        ends.append(run.encoder_norm.values[-1] ** 2)
    measured = 2 * ends[1] - ends[0]
    expected = truth(problem, method)
    return float(
        max(np.abs(measured - predicted).max(), np.abs(expected - predicted).max()) / expected.max()
    )


def check(draws: int) -> Evidence:
    """Random problems with one and two outputs, joint training and MIMO, each at two step sizes."""
    seen: list[float | None] = []

    def look(case: Case) -> bool:
        seen.append(difference(case))
        return seen[-1] is not None and seen[-1] > ALLOWED

    searched = max(draws // 2, 40)
    found = counterexample(CASES, look, searched)
    measured = [value for value in seen if value is not None]
    figure1 = ms.generators.superficial_preference()
    norms = [
        ms.theory.final_encoder_norms(figure1, method).tolist()
        for method in (ms.Vanilla(), ms.MIMO())
    ]
    holds = found is None and len(measured) >= 0.8 * len(seen)
    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"In {len(measured)} of {len(seen)} random runs that converged within {STEPS:,} steps the squared norms differ from the law by at most "
        f"{max(measured, default=float('nan')):.1e} of the largest (the others are not judged). Figure 1's encoders end at {norms[0][0]:.3f} and "
        f"{norms[0][1]:.3f} with joint training, "
        f"{norms[1][0]:.3f} and {norms[1][1]:.3f} with MIMO.",
        numbers={
            "runs": len(seen),
            "converged": len(measured),
            "largest relative difference": max(measured, default=float("nan")),
            "Figure 1 norms, joint training": norms[0],
            "Figure 1 norms, MIMO": norms[1],
        },
        counterexample=None
        if holds
        else Counterexample(
            f"{found}" if found else f"only {len(measured)} of {len(seen)} runs converged",
            'python -c "import mimo_sim as ms; p = ms.generators.superficial_preference(); '
            "run = ms.simulate(p, ms.MIMO(lam=2.0, mu=0.5), width=float('inf'), steps=20_000, init_scale=1e-5); "
            'print(run.encoder_norm.values[-1], ms.theory.final_encoder_norms(p, ms.MIMO(lam=2.0, mu=0.5)))"',
        ),
    )
