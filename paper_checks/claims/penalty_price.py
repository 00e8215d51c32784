"""What f_mm pays for a large penalty: a plateau, where the joint and the uni-modal optimum need different directions of one encoder."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

import mimo_sim as ms
from mimo_sim import plots
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.runs import Array, quietly

CLAIM = Claim(
    id="penalty-price",
    topic="5 Penalty",
    says="A large penalty closes the uni-modal gaps first and leaves f_mm on a plateau for a long time.",
    source="[MIMO] ablation of lam (summary: design trade-offs); this project's theory of the toy",
    assumptions="Small weights; time is flow time (step size times steps), so that the smaller step a large lam needs is not counted.",
    how="property-based",
    recorded=Verdict.CONDITIONAL,
)

LAM, SMOOTHING = 20.0, 0.05  # mu over E|y|^2
SCALES = (1e-3, 1e-6, 1e-12)
DEEP = 0.02  # predicted plateaus below this part of the first excess are not looked at
LONG = 2.0  # times the time until the gaps have closed: what a plateau must last at the smallest u0
NEAR = 0.5  # largest median distance of f_mm from the predicted height half-way (in time) along the plateau, relative to that height
MOST_STEPS, FLOW = 400_000, 500.0


def trained(problem: ms.LateFusionProblem, lam: float, scale: float) -> xr.Dataset:
    """A run of flow time FLOW, or of as much of it as MOST_STEPS allow, at twice the default step."""
    method = ms.MIMO(lam=lam, mu=SMOOTHING * problem.y_second_moment) if lam else ms.Vanilla()
    step = 2 * ms.theory.default_step_size(problem, method)
    steps = int(min(MOST_STEPS, FLOW / step))
    return quietly(
        problem,
        method,
        steps=steps,
        step_size=step,
        init_scale=scale,
        record_every=max(steps // 4000, 1),
    )


def when(run: xr.Dataset, values: Array, level: float) -> float:
    """First time at which these values are below `level`."""
    below = np.flatnonzero(values < level)
    return float(run.time[below[0]]) if len(below) else math.inf


def height(problem: ms.LateFusionProblem) -> float:
    """Excess of f_mm when each V_k W_k may only be a multiple of the uni-modal optimum N_k: by least squares over the K multiples (m = 1)."""
    every = range(problem.num_modalities)
    own = np.zeros((problem.num_modalities, len(problem.input_moment)))
    for k in every:
        own[k, problem.features(k)] = np.linalg.lstsq(
            problem.sigma[k][k], problem.sigma_yx[k][0], rcond=None
        )[0]
    cross = own @ problem.cross_moment[0]
    best = np.linalg.lstsq(problem.input_moment, problem.cross_moment[0], rcond=None)[0]
    return (
        float(
            problem.cross_moment[0] @ best
            - cross @ np.linalg.solve(own @ problem.input_moment @ own.T, cross)
        )
        / 2
    )


def plateau(run: xr.Dataset, level: float) -> tuple[float, float, float]:
    """When the gaps have closed, when f_mm falls below half the predicted height, and its distance from that height half-way between, relative to it."""
    start, end = (
        when(run, run.excess_uni.values.max(axis=1), 1e-3 * float(run.excess_uni.values[0].max())),
        when(run, run.excess_mm.values, level / 2),
    )
    middle = float(
        np.interp(
            (start + min(end, float(run.time[-1]))) / 2, run.time.values, run.excess_mm.values
        )
    )
    return start, end, abs(middle / level - 1)


def check(draws: int) -> Evidence:
    """Problems with two inputs a modality: height of the plateau and its length over u0; problems with one: no plateau, and MIMO is faster."""
    problems = [
        ms.generators.random_problem((2, 2), seed, "superficial")
        for seed in range(max(draws // 10, 10))
    ]
    rows = []
    for problem in problems:
        level = height(problem)
        runs = [trained(problem, LAM, scale) for scale in SCALES]
        if level > DEEP * float(runs[0].excess_mm[0]):
            rows.append([plateau(run, level) for run in runs])
    table = np.array(rows)  # (problem, u0, (closed, left, distance))
    spent = table[:, :, 1] - table[:, :, 0]
    long = spent[:, -1] > LONG * table[:, -1, 0]
    lasting = float(np.mean(long))
    left = (
        np.isfinite(spent).all(axis=1) & long
    )  # a plateau that is there, and was left at every u0
    steps = np.diff(np.log(1 / np.array(SCALES)))
    increments = np.diff(spent[left], axis=1)
    growth = float(np.median(increments[:, 1] / increments[:, 0])) if left.any() else math.nan
    distance = float(np.median(table[:, -1, 2]))
    scalar = [
        ms.generators.random_problem((1, 1), seed, "superficial")
        for seed in range(max(draws // 20, 5))
    ]
    speed = []
    for problem in [ms.generators.superficial_preference(), *scalar]:
        times = [
            when(run, run.excess_mm.values, 1e-2 * float(run.excess_mm[0]))
            for run in (trained(problem, 0.0, 1e-6), trained(problem, LAM, 1e-6))
        ]
        speed.append(times[1] / times[0])
    free = max(speed) < 1
    stuck = lasting > 0.8 and distance < NEAR and abs(growth / (steps[1] / steps[0]) - 1) < 0.2
    verdict = Verdict.CONDITIONAL if stuck and free else Verdict.HOLDS if stuck else Verdict.REFUTED
    example = next(
        problem for problem in problems if height(problem) > DEEP * problem.y_second_moment
    )
    shown = {lam: trained(example, lam, 1e-6) for lam in (0.0, 1.0, 5.0, LAM)}
    code = (
        "import mimo_sim as ms; p = ms.generators.superficial_preference(); "
        "print([float(ms.simulate(p, ms.MIMO(lam=lam, mu=1e-3), width=float('inf'), init_scale=1e-6, step_size=2e-4, steps=50_000).excess_mm[-1]) "
        f"for lam in (0.0, 2.0, {LAM})])"
    )
    return Evidence(
        verdict=verdict,
        words=f"With two inputs a modality, {len(rows)} of {len(problems)} problems should have a plateau, at the loss that is left while V_k W_k "
        "must be parallel to the uni-modal optimum; "
        f"{lasting:.0%} of them have one that lasts more than {LONG:g} times as long as the gaps took to close (median "
        f"{np.median(spent[:, -1] / table[:, -1, 0]):.0f} times), "
        f"{distance:.0%} off in height in the median, of a length linear in ln(1/u0) (increments {growth:.2f} : 1, {steps[1] / steps[0]:.0f} : 1 "
        "expected): a second saddle. With one input "
        f"a modality there is none, and lam = {LAM:g} learns f_mm in {np.median(speed):.2f} of joint training's flow time (at most {max(speed):.2f}; "
        f"Figure 1: {speed[0]:.2f}).",
        numbers={
            "lam": LAM,
            "problems with two inputs": len(problems),
            "with a predicted plateau": len(rows),
            "length over the time until the gaps closed, u0 = 1e-12": [
                value if math.isfinite(value) else "not left"
                for value in (spent[:, -1] / table[:, -1, 0]).tolist()
            ],
            "median distance from the predicted height": distance,
            "ratio of increments of the length": growth,
            "flow time to 1% of f_mm over joint training's, Figure 1 and scalar problems": speed,
        },
        counterexample=None
        if verdict is Verdict.HOLDS
        else Counterexample(
            "The Figure 1 problem: no plateau at lam = 20, mu = 1e-3", f'python -c "{code}"'
        ),
        plot=lambda ax: draw(ax, shown, height(example)),
    )


def draw(ax: Axes, runs: dict[float, xr.Dataset], level: float) -> None:
    """f_mm over time for some penalties on a problem with a plateau."""
    for i, (lam, run) in enumerate(runs.items()):
        ax.plot(
            run.time,
            run.excess_mm,
            color=plots.METHOD_COLORS[i],
            label="joint training" if lam == 0 else rf"$\lambda$ = {lam:g}",
        )
    ax.axhline(level, color="0.6", lw=0.9, ls=":", label="predicted plateau")
    ax.set(
        xlabel="flow time",
        ylabel=r"$f_{mm} - \min f_{mm}$",
        xscale="log",
        yscale="log",
        ylim=(1e-8, None),
    )
    ax.legend()
