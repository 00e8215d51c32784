"""Near the origin MIMO grows each encoder at the rate |C_k| sqrt(1 + lam^2 sigma_k(0)^2)."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st
from matplotlib.axes import Axes

import mimo_sim as ms
from mimo_sim import plots
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.runs import MANY_OUTPUTS, quietly
from paper_checks.search import counterexample

CLAIM = Claim(
    id="growth-law",
    topic="8 Superficial preference",
    says="From small weights |W_k| grows at the rate |C_k| sqrt(1 + lam^2 sigma_k(0)^2), with sigma(0) the weights of the zero network.",
    source="this project's theory of [MIMO] Algorithm 1 (explains the trend of its Figure 1)",
    assumptions="Gradient reading of the head update; |C_k| is the largest singular value; the fastest direction has had time to dominate.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

SCALE, GROWTH = 1e-12, 1e9
STEP = 0.01  # times the fastest rate; the discrete rate log(1 + eta rate)/eta is compared, so the step is no source of error
ALLOWED = 1e-5  # relative: other parts of the start have fallen below 1e-6 of |W|^2, and |W| = 1e-3 moves sigma by less than 1e-5
ALIGNED = math.log(1e3)  # growth that a mode must have had before it is measured

Case = tuple[ms.LateFusionProblem, float, float, ms.solvers.FStarRule]
CASES: st.SearchStrategy[Case] = st.tuples(
    ms.testing.problems(dims=1, output_dim=1, num_modalities=2)
    | ms.testing.problems(dims=(1, 2), output_dim=MANY_OUTPUTS),
    ms.testing.eighths(0, 80),
    ms.testing.eighths(2, 16),
    st.sampled_from(("exact", "zero", "running_minimum")),
)


def rates(
    case: Case, scale: float = SCALE, growth: float = GROWTH
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted and measured growth per step of log |W_k|, and which modalities had time to align."""
    problem, lam, mu, f_star = case
    own = [np.linalg.svd(block, compute_uv=False) for block in problem.sigma_yx]
    fastest = max(float(values[0]) for values in own) * math.hypot(1, lam)
    eta = STEP / fastest
    predicted = np.log1p(eta * ms.theory.growth_rates(problem, lam, mu, f_star=f_star))
    steps = int(math.log(growth) / predicted.max())
    method = ms.MIMO(lam=lam, mu=mu, f_star=f_star)
    run = quietly(
        problem,
        method,
        step_size=eta,
        steps=steps,
        init_scale=scale,
        record_every=max(steps // 2, 1),
    )
    norms, taken = run.encoder_norm.values, run.step.values
    # the largest singular direction has to leave the second one behind as well
    ahead = np.array(
        [values[0] - (values[1] if len(values) > 1 else 0.0) for values in own]
    ) / np.array([values[0] for values in own])
    aligned = np.asarray(predicted * taken[1] * ahead > ALIGNED)
    return predicted, np.log(norms[2] / norms[1]) / (taken[2] - taken[1]), aligned


def violates(case: Case) -> bool:
    """Whether an aligned encoder grows at another rate."""
    predicted, measured, aligned = rates(case)
    return bool((np.abs(measured / predicted - 1)[aligned] > ALLOWED).any())


def check(draws: int) -> Evidence:
    """Search problems, penalties, smoothings and f* rules for a rate that differs; then the Figure 1 problem over lam."""
    seen: list[float] = []

    def look(case: Case) -> bool:
        predicted, measured, aligned = rates(case)
        seen.extend(np.abs(measured / predicted - 1)[aligned].tolist())
        return violates(case)

    found = counterexample(CASES, look, draws)
    figure1, lams, sweep = (
        ms.generators.superficial_preference(),
        (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0),
        [],
    )
    for lam in lams:
        predicted, measured, aligned = rates(
            (figure1, lam, 0.1, "exact"), 1e-40, 1e37
        )  # so small that the slower modality aligns, too
        per_time = ms.theory.growth_rates(figure1, lam, 0.1) / predicted
        sweep.append((predicted * per_time, np.where(aligned, measured * per_time, np.nan)))
    holds = found is None and len(seen) >= draws
    text = (
        ""
        if found is None
        else f"lam = {found[1]}, mu = {found[2]}, f_star = {found[3]}, {found[0]!r}"
    )
    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"Over {draws} random cases ({len(seen)} encoders, lam up to 10) the measured rate differs from the law by at most "
        f"{max(seen, default=math.nan):.1e}, "
        f"relatively. On the Figure 1 problem lam = 0 gives rates {sweep[0][1][0]:.2f} : {sweep[0][1][1]:.2f} and lam = 10 {sweep[5][1][0]:.2f} : "
        f"{sweep[5][1][1]:.2f}.",
        numbers={
            "cases": draws,
            "encoders measured": len(seen),
            "largest relative difference": max(seen, default=math.nan),
            "lam": list(lams),
            "rates on the Figure 1 problem, mu = 0.1": [
                [value if math.isfinite(value) else None for value in row[1].tolist()]
                for row in sweep
            ],
        },
        counterexample=None
        if holds
        else Counterexample(
            text or "too few encoders aligned",
            'python -c "import numpy as np, mimo_sim as ms; p = ms.generators.superficial_preference(); '
            "run = ms.simulate(p, ms.MIMO(lam=10.0, mu=0.1), width=float('inf'), init_scale=1e-12, step_size=1e-3, steps=1500, record_every=500); "
            'print(np.diff(np.log(run.encoder_norm.values), axis=0) / 0.5, ms.theory.growth_rates(p, 10.0, 0.1))"',
        ),
        plot=lambda ax: draw(ax, lams, sweep),
    )


def draw(ax: Axes, lams: tuple[float, ...], sweep: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Law (lines) and measurement (dots) over lam, where the second modality was measured, too."""
    for k in range(2):
        ax.plot(
            lams,
            [row[0][k] for row in sweep],
            color=plots.MODALITY_COLORS[k],
            label=f"modality {k + 1}, law",
        )
        ax.plot(
            lams,
            [row[1][k] for row in sweep],
            "o",
            ms=4,
            color=plots.MODALITY_COLORS[k],
            label=f"modality {k + 1}, simulated",
        )
    ax.set(
        xlabel=r"$\lambda$ (Figure 1 problem, $\mu$ = 0.1)",
        ylabel=r"growth rate of $|W_k|$",
        yscale="log",
    )
    ax.legend()
