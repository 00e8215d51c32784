"""Open question 3, measured: does the PL inequality survive when all heads move?"""

from __future__ import annotations

import numpy as np
import xarray as xr
from hypothesis import strategies as st
from matplotlib.axes import Axes

import mimo_sim as ms
from mimo_sim import plots
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.network import Array, Objective, descend, optima, random_data, random_network
from paper_checks.runs import quietly
from paper_checks.search import counterexample

CLAIM = Claim(
    id="pl-moving-heads",
    topic="7 Moving heads",
    says="Along training with all heads moving, |grad f_k|^2 >= 2 |U_k(t)|^2 lambda_min(S_kk) (f_k - f_k*) in W_k, with |U_k(t)| the largest singular value.",
    source="[MIMO] App. D without Assumption 3 (open question 3)",
    assumptions="Small steps; full batch. Holds at every step for scalar targets; for several outputs the smallest singular value must take the "
    "place of |U_k|.",
    how="property-based",
    recorded=Verdict.CONDITIONAL,
)

LAM, MU, WIDTH, STEPS, LOOKS = 5.0, 0.1, 4, 2000, 32
ROUND_OFF = 1e-7  # of the ratio, at gaps above SMALLEST
SMALLEST = 1e-8
DECAYED = 1e-9  # of the first gap: followed down to here
ONE = 1000.0  # penalty at which f_mm's part of the gradient is negligible in the counter-example, 1e-6 of it


def along(
    rng: np.random.Generator, outputs: int, count: int, scale: float
) -> tuple[Array, Array, Array, Array]:
    """Steps looked at; ratios of both sides with the largest and with the smallest singular value of U_k; gaps, all (network, look, k).

    Ratios are NaN where the gap is closed.
    """
    data = random_data(rng, count, dim=2, outputs=outputs, samples=12)
    start = random_network(rng, data, WIDTH, scale)
    stars, method = optima(data)[1], ms.MIMO(lam=LAM, mu=MU)
    size = [
        max(
            sum(float(np.linalg.norm(block, 2)) ** 2 for block in triple)
            for triple in start.initial(b)
        )
        for b in range(count)
    ]
    step = np.array(
        [
            2 * ms.theory.default_step_size(data.problem(b), method, init_norm_squared=size[b])
            for b in range(count)
        ]
    )
    keep = np.unique(np.r_[0, np.geomspace(1, STEPS, LOOKS).astype(int)])
    run = descend(
        data,
        start,
        Objective(np.full(count, LAM), np.full(count, MU), stars),
        step,
        STEPS,
        keep=keep.tolist(),
    )
    shape = (count, len(keep), 2)
    u, w = run.kept.u.reshape(*shape, outputs, WIDTH), run.kept.w.reshape(*shape, WIDTH, 2)
    x, n = data.x[:, None], data.x.shape[2]
    missing = data.y[:, None, None] - x @ w.swapaxes(-1, -2) @ u.swapaxes(
        -1, -2
    )  # (network, look, k, n, m)
    gaps = 0.5 * (missing**2).sum(axis=(-1, -2)) / n - stars[:, None]
    slopes = ((u.swapaxes(-1, -2) @ missing.swapaxes(-1, -2) @ x / n) ** 2).sum(axis=(-1, -2))
    curved = np.linalg.eigvalsh(data.x.swapaxes(-1, -2) @ data.x / n)[..., 0][:, None]
    singular = np.linalg.svd(u, compute_uv=False)
    bound = 2 * curved * np.where(gaps > SMALLEST, gaps, np.nan)
    return (
        keep,
        slopes / (bound * singular[..., 0] ** 2),
        slopes / (bound * singular[..., -1] ** 2),
        gaps,
    )


def guarantee(problem: ms.LateFusionProblem, lam: float) -> tuple[bool, float, float, float]:
    """Whether log g falls as fast as its moving PL constant would have it without f_mm; part of the time that g rises; constant at the start over the end; and
    when it reaches half its end over when g has halved."""
    mu = 0.05 * problem.y_second_moment
    method = ms.MIMO(lam=lam, mu=mu)
    run = quietly(
        problem,
        method,
        steps=60_000,
        init_scale=1e-3,
        record_every=60,
        step_size=ms.theory.default_step_size(problem, method),
    )
    excess, time = run.excess_uni.values, run.time.values
    top = excess.max(axis=1, keepdims=True)
    g = top[:, 0] + mu * np.log(np.exp((excess - top) / mu).mean(axis=1))
    least = np.array([np.linalg.eigvalsh(problem.sigma[k][k])[0] for k in range(2)])
    constant = (run.uni_head_norm.values**2 * least).min(axis=1) / 2
    followed = g > DECAYED * g[0]
    promised = (
        2
        * lam
        * np.concatenate([[0.0], np.cumsum((constant[1:] + constant[:-1]) / 2 * np.diff(time))])
    )
    kept = bool(
        (np.log(g[0] / g[followed]) >= promised[followed] - 0.05).all()
    )  # 5%: sums over 60 steps for integrals
    half = time[int((constant > constant[-1] / 2).argmax())] / time[int((g < g[0] / 2).argmax())]
    return (
        kept,
        float(np.mean(np.diff(g)[followed[1:]] > 0)),
        float(constant[0] / constant[-1]),
        float(half),
    )


def two_outputs(second: float) -> xr.Dataset:
    """One modality with S = I and C = diag(1, second), m = d = 2, trained on f_1 all but alone."""
    problem = ms.LateFusionProblem([[np.eye(2)]], [np.diag([1.0, second])], 1 + second**2)
    return quietly(
        problem,
        ms.MIMO(lam=ONE),
        width=2,
        init_scale=1e-2,
        steps=4000,
        step_size=0.02 / ONE,
        record_every=20,
    )


def largest_shortfall(second: float) -> float:
    """Smallest |grad f_1|^2 (heads included, so at least the encoder's) over 2 |U|^2 (f_1 - f_1*), with |U|^2 >= |U|_F^2 / 2."""
    run = two_outputs(second)
    gap, head = run.excess_uni.values[:, 0], run.uni_head_norm.values[:, 0]
    return float(np.min(run.grad_norm_sq.values / ONE**2 / (head**2 * gap)))


def check(draws: int) -> Evidence:
    """Independent networks with one and two outputs, small and large starts; the decay it would guarantee, on scalar problems; a smallest counter-example."""
    rng, count = np.random.default_rng(13), max(draws // 10, 12)
    tables = {m: [along(rng, m, count, scale) for scale in (1e-2, 0.5)] for m in (1, 2)}
    largest = {m: [np.asarray(rows[1]) for rows in tables[m]] for m in (1, 2)}
    scalar = min(float(np.nanmin(rows)) for rows in largest[1])
    smallest = min(float(np.nanmin(rows[2])) for rows in tables[2])
    open_points = [np.isfinite(rows) for rows in largest[2]]
    broken = float(
        np.mean(
            np.concatenate(
                [(rows[ok] < 1) for rows, ok in zip(largest[2], open_points, strict=True)]
            )
        )
    )
    at_end = float(np.mean([(rows[:, -1] < 1).any(axis=1) for rows in largest[2]]))
    found = counterexample(
        st.integers(1, 8).map(lambda n: n / 8), lambda second: largest_shortfall(second) < 1, 8
    )
    problems = [ms.generators.random_problem((1, 1), seed) for seed in range(max(draws // 10, 12))]
    decay = np.array(
        [[guarantee(problem, lam) for problem in problems] for lam in (1.0, 10.0)], dtype=float
    )
    holds_for_one, holds_with_least = scalar >= 1 - ROUND_OFF, smallest >= 1 - ROUND_OFF
    unbroken = found is None and broken == 0
    verdict = (
        Verdict.REFUTED
        if not (holds_for_one and holds_with_least)
        else Verdict.HOLDS
        if unbroken
        else Verdict.CONDITIONAL
    )
    second = found or 0.125
    code = (
        f"import numpy as np, mimo_sim as ms; p = ms.LateFusionProblem([[np.eye(2)]], [np.diag([1.0, {second}])], {1 + second**2}); "
        f"r = ms.simulate(p, ms.MIMO(lam={ONE}), width=2, init_scale=1e-2, steps=4000, step_size={0.02 / ONE}, record_every=200); "
        f"print('below 1:', r.grad_norm_sq.values / {ONE**2} / (r.uni_head_norm.values**2 * r.excess_uni.values)[:, 0])"
    )
    return Evidence(
        verdict=verdict,
        words=f"With one output the inequality held at all {2 * count} x {len(tables[1][0][0])} looks of {2 * count} trainings (smallest ratio "
        f"{scalar:.4f}), from the first step on. With two it is "
        f"broken at {broken:.0%} of the looks and still at the last one in {at_end:.0%} of trainings, because U_k grows one output at a time; with "
        "the smallest singular value it "
        f"always held ({smallest:.4f}). The constant itself starts at {np.median(decay[:, :, 2]):.0e} of its end and passes half of that "
        f"{np.median(decay[:, :, 3]):.1f} times later than g halves, "
        f"and the decay it promises for g alone is kept in {decay[0, :, 0].mean():.0%} of scalar problems at lam = 1 but {decay[1, :, 0].mean():.0%} "
        "at lam = 10, where f_mm's "
        f"gradient makes g rise for {decay[1, :, 1].mean():.0%} of the time: a guarantee for the whole of training stays open.",
        numbers={
            "trainings for each number of outputs": 2 * count,
            "smallest ratio, one output": scalar,
            "smallest ratio, two outputs": min(float(np.nanmin(rows)) for rows in largest[2]),
            "smallest ratio with the smallest singular value, two outputs": smallest,
            "looks that break it, two outputs": broken,
            "trainings that break it at the last look": at_end,
            "constant at the start over the end, median": float(np.median(decay[:, :, 2])),
            "time of half the constant over time of half of g, median": float(
                np.median(decay[:, :, 3])
            ),
            "promised decay of g kept, lam = 1 and 10": decay[:, :, 0].mean(axis=1).tolist(),
            "part of the time g rises, lam = 1 and 10": decay[:, :, 1].mean(axis=1).tolist(),
        },
        counterexample=None
        if verdict is Verdict.HOLDS
        else Counterexample(
            f"K = 1, m = d = h = 2, S = I, C = diag(1, {second}), lam = {ONE:g}: ratio down to {largest_shortfall(second):.2g}",
            f'python -c "{code}"',
        ),
        plot=lambda ax: draw(ax, tables),
    )


def draw(ax: Axes, tables: dict[int, list[tuple[Array, Array, Array, Array]]]) -> None:
    """Smallest ratio over the trainings at each look."""
    for i, (m, rows) in enumerate(tables.items()):
        keep, largest, least, _ = rows[0]
        ax.plot(
            keep + 1,
            np.nan_to_num(largest, nan=np.inf).min(axis=(0, 2)),
            color=plots.MODALITY_COLORS[i],
            label=rf"m = {m}, with $|U_k|$",
        )
        if m > 1:
            ax.plot(
                keep + 1,
                np.nan_to_num(least, nan=np.inf).min(axis=(0, 2)),
                ls="--",
                color=plots.MODALITY_COLORS[i],
                label=rf"m = {m}, smallest singular value",
            )
    ax.axhline(1.0, color=plots.JOINT_COLOR, ls=":", label="the inequality")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="gradient-descent step + 1",
        ylabel="left side over right side, smallest",
    )
    ax.legend()
