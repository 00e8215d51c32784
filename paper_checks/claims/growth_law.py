"""Near the origin MIMO grows each encoder at the rate |C_k| sqrt(1 + lam^2 sigma_k(0)^2)."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.runs import MANY_OUTPUTS, quietly
from paper_checks.search import counterexample

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIM = Claim(
    id="growth-law",
    topic="8 Superficial preference",
    says="From small weights |W_k| grows at the rate |C_k| sqrt(1 + lam^2 sigma_k(0)^2), where "
    "sigma(0) is the sigma of a network whose parameters are all zero.",
    source="this project's theory of [MIMO] Algorithm 1 (explains the trend of its Figure 1)",
    assumptions="Uni-modal heads follow the gradient of the objective. |C_k| is the largest "
    "singular value. The fastest direction has had time to dominate.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

SCALE, GROWTH = 1e-12, 1e9
# Of the fastest rate. The rate of the discrete steps, log(1 + eta rate) / eta, is what is compared,
# so the step is no source of error.
STEP = 0.01
# Relative error. Other parts of the start have fallen below 1e-6 of |W|^2, and |W| = 1e-3 moves
# sigma by less than 1e-5.
ALLOWED = 1e-5
ALIGNED = math.log(1e3)  # growth that a mode must have had before it is measured
LAMS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)  # of the sweep on the Figure 1 problem

Case = tuple[ms.LateFusionProblem, float, float, ms.solvers.FStarRule]
CASES: st.SearchStrategy[Case] = st.tuples(
    ms.testing.problems(dims=1, output_dim=1, num_modalities=2)
    | ms.testing.problems(dims=(1, 2), output_dim=MANY_OUTPUTS),
    ms.testing.eighths(0, 80),
    ms.testing.eighths(2, 16),
    st.sampled_from(("exact", "zero", "running_minimum")),
)


def lead(singular: np.ndarray) -> float:
    """How far the largest singular value lies above the second one, relative to it."""
    second = singular[1] if len(singular) > 1 else 0.0
    return float((singular[0] - second) / singular[0])


def rates(
    case: Case, scale: float = SCALE, growth: float = GROWTH
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Growth of log |W_k| in one step: predicted (K,) and measured (K,).

    The third array says which modalities had time to align: the largest singular direction has
    left the second one behind.
    """
    problem, lam, mu, f_star = case
    own = [np.linalg.svd(block, compute_uv=False) for block in problem.sigma_yx]
    fastest = max(float(values[0]) for values in own) * math.hypot(1, lam)
    eta = STEP / fastest
    predicted = np.log1p(eta * ms.theory.growth_rates(problem, lam, mu, f_star=f_star))
    steps = int(math.log(growth) / predicted.max())
    run = quietly(
        problem,
        ms.MIMO(lam=lam, mu=mu, f_star=f_star),
        step_size=eta,
        steps=steps,
        init_scale=scale,
        record_every=max(steps // 2, 1),
    )
    norms, taken = run.encoder_norm.values, run.step.values
    ahead = np.array([lead(values) for values in own])
    aligned = np.asarray(predicted * taken[1] * ahead > ALIGNED)
    return predicted, np.log(norms[2] / norms[1]) / (taken[2] - taken[1]), aligned


def errors(case: Case) -> np.ndarray:
    """Relative errors of the measured rates, of the encoders that had time to align."""
    predicted, measured, aligned = rates(case)
    return np.asarray(np.abs(measured / predicted - 1)[aligned])


def sweep_figure1() -> tuple[np.ndarray, np.ndarray]:
    """Rates over LAMS on the Figure 1 problem (lam, K): by the law, and as measured.

    NaN where the encoder had no time to align. The start is so small that also the slower one has.
    """
    figure1 = ms.generators.superficial_preference()
    law, found = [], []
    for lam in LAMS:
        predicted, measured, aligned = rates((figure1, lam, 0.1, "exact"), 1e-40, 1e37)
        per_time = ms.theory.growth_rates(figure1, lam, 0.1) / predicted
        law.append(predicted * per_time)
        found.append(np.where(aligned, measured * per_time, np.nan))
    return np.array(law), np.array(found)


def check(draws: int) -> Evidence:
    """Search problems, lam, mu and f* rules for a rate that differs from the law."""
    seen: list[float] = []

    def differs(case: Case) -> bool:
        found = errors(case)
        seen.extend(found.tolist())
        return bool((found > ALLOWED).any())

    found = counterexample(CASES, differs, draws)
    law, measured = sweep_figure1()
    holds = found is None and len(seen) >= draws
    largest = max(seen, default=math.nan)
    case = "too few encoders aligned"
    if found is not None:
        problem, lam, mu, f_star = found
        case = f"lam = {lam}, mu = {mu}, f_star = {f_star}, {problem!r}"
    example = Counterexample.shown_by(
        case,
        "import numpy as np, mimo_sim as ms",
        "p = ms.generators.superficial_preference()",
        "run = ms.simulate(p, ms.MIMO(lam=10.0, mu=0.1), width=float('inf'), init_scale=1e-12, "
        "step_size=1e-3, steps=1500, record_every=500)",
        "print(np.diff(np.log(run.encoder_norm.values), axis=0) / 0.5, "
        "ms.theory.growth_rates(p, 10.0, 0.1))",
    )
    without, ten = measured[LAMS.index(0.0)], measured[LAMS.index(10.0)]
    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"Over {draws} random cases ({len(seen)} encoders, lam up to 10) the measured rate "
        f"differs from the law by at most {largest:.1e}, relatively. On the Figure 1 problem the "
        f"rates of the two encoders are {without[0]:.2f} : {without[1]:.2f} at lam = 0, and "
        f"{ten[0]:.2f} : {ten[1]:.2f} at lam = 10.",
        numbers={
            "cases": draws,
            "encoders measured": len(seen),
            "largest relative difference": largest,
            "lam": list(LAMS),
            "rates on the Figure 1 problem, mu = 0.1": [
                [value if math.isfinite(value) else None for value in row]
                for row in measured.tolist()
            ],
        },
        counterexample=None if holds else example,
        plot=functools.partial(_draw, law, measured),
    )


def _draw(law: np.ndarray, measured: np.ndarray, axes: Axes) -> None:
    """Lines: the law. Dots: simulated."""
    for k in range(2):
        color = ms.plots.MODALITY_COLORS[k]
        axes.plot(LAMS, law[:, k], color=color, label=f"modality {k + 1}, law")
        axes.plot(
            LAMS, measured[:, k], "o", ms=4, color=color, label=f"modality {k + 1}, simulated"
        )
    axes.set(
        xlabel=r"$\lambda$ (Figure 1 problem, $\mu$ = 0.1)",
        ylabel=r"growth rate of $|W_k|$",
        yscale="log",
    )
    axes.legend()
