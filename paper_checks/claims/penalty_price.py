"""What f_mm pays for a large penalty: a plateau, where the joint and the uni-modal optimum differ.

The plateau is there when the two optima need different directions of one encoder.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.network import Array
from paper_checks.runs import quietly

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIM = Claim(
    id="penalty-price",
    topic="5 Penalty",
    says="A large penalty closes the uni-modal gaps first, and leaves f_mm on a plateau for a long "
    "time.",
    source="[MIMO] ablation of lam (summary: design trade-offs); this project's theory of the toy",
    assumptions="Small weights. Time is flow time (step size times steps), so it does not count "
    "that a large lam needs smaller steps.",
    how="property-based",
    recorded=Verdict.CONDITIONAL,
)

LAM, SMOOTHING = 20.0, 0.05  # SMOOTHING is mu over E|y|^2
SCALES = (1e-3, 1e-6, 1e-12)
DEEP = 0.02  # a plateau is looked at when it is predicted above this part of the first excess
LONG = 2.0  # at the smallest u0 the plateau must last this many times as long as the gaps take
# Largest median distance of f_mm from the predicted height, half-way in time along the plateau,
# relative to that height.
NEAR = 0.5
MOST_STEPS, FLOW = 400_000, 500.0


def trained(problem: ms.LateFusionProblem, lam: float, scale: float) -> xr.Dataset:
    """A run of flow time FLOW, or as much of it as MOST_STEPS allow, at twice the default step."""
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
    """First time at which these values are below `level`; inf if never."""
    below = np.flatnonzero(values < level)
    return float(run.time[below[0]]) if len(below) else math.inf


def height(problem: ms.LateFusionProblem) -> float:
    """Excess of f_mm on the plateau, for m = 1.

    There each V_k W_k may only be a multiple of the uni-modal optimum. The best multiples come
    from least squares.
    """
    own = np.zeros((problem.num_modalities, len(problem.input_moment)))
    for k in range(problem.num_modalities):
        own[k, problem.features(k)] = np.linalg.lstsq(
            problem.sigma[k][k], problem.sigma_yx[k][0], rcond=None
        )[0]
    target = problem.cross_moment[0]
    cross = own @ target
    best = np.linalg.lstsq(problem.input_moment, target, rcond=None)[0]
    explained = cross @ np.linalg.solve(own @ problem.input_moment @ own.T, cross)
    return float(target @ best - explained) / 2


def plateau(run: xr.Dataset, level: float) -> tuple[float, float, float]:
    """Begin and end of the plateau with predicted height `level`, and the error of the height.

    It begins when the gaps have closed, and ends when f_mm falls below half the height. The error
    is measured half-way between, relative to the height.
    """
    first = float(run.excess_uni.values[0].max())
    start = when(run, run.excess_uni.values.max(axis=1), 1e-3 * first)
    end = when(run, run.excess_mm.values, level / 2)
    half_way = (start + min(end, float(run.time[-1]))) / 2
    middle = float(np.interp(half_way, run.time.values, run.excess_mm.values))
    return start, end, abs(middle / level - 1)


def speed(problem: ms.LateFusionProblem) -> float:
    """MIMO's flow time until f_mm has lost 99% of its excess, over joint training's."""
    joint, mimo = (
        when(run, run.excess_mm.values, 1e-2 * float(run.excess_mm[0]))
        for run in (trained(problem, 0.0, 1e-6), trained(problem, LAM, 1e-6))
    )
    return mimo / joint


def check(draws: int) -> Evidence:
    """Two inputs a modality: height and length of the plateau. One input: there must be none."""
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
    start, end, error = np.moveaxis(np.array(rows), 2, 0)  # each (problem, u0)
    length = end - start
    relative = length[:, -1] / start[:, -1]
    long = length[:, -1] > LONG * start[:, -1]
    lasting = float(np.mean(long))
    left = np.isfinite(length).all(axis=1) & long  # a long plateau that the run left at every u0
    increments = np.diff(length[left], axis=1)
    growth = float(np.median(increments[:, 1] / increments[:, 0])) if left.any() else math.nan
    steps = np.diff(np.log(1 / np.array(SCALES)))
    expected_growth = steps[1] / steps[0]
    distance = float(np.median(error[:, -1]))
    scalar = [
        ms.generators.random_problem((1, 1), seed, "superficial")
        for seed in range(max(draws // 20, 5))
    ]
    speeds = [speed(problem) for problem in [ms.generators.superficial_preference(), *scalar]]

    stuck = lasting > 0.8 and distance < NEAR and abs(growth / expected_growth - 1) < 0.2
    free = max(speeds) < 1
    if stuck and free:
        verdict = Verdict.CONDITIONAL
    elif stuck:
        verdict = Verdict.HOLDS
    else:
        verdict = Verdict.REFUTED
    shown = next(
        problem for problem in problems if height(problem) > DEEP * problem.y_second_moment
    )
    curves = {lam: trained(shown, lam, 1e-6) for lam in (0.0, 1.0, 5.0, LAM)}
    example = Counterexample.shown_by(
        "The Figure 1 problem: no plateau at lam = 20, mu = 1e-3",
        "import mimo_sim as ms",
        "p = ms.generators.superficial_preference()",
        "print([float(ms.simulate(p, ms.MIMO(lam=lam, mu=1e-3), width=float('inf'), "
        "init_scale=1e-6, step_size=2e-4, steps=50_000).excess_mm[-1]) "
        f"for lam in (0.0, 2.0, {LAM})])",
    )
    return Evidence(
        verdict=verdict,
        words=f"With two inputs a modality, {len(rows)} of {len(problems)} problems should have a "
        "plateau: at the loss that is left while V_k W_k must be parallel to the uni-modal "
        f"optimum. In {lasting:.0%} of them it lasts more than {LONG:g} times as long as the gaps "
        f"took to close (median {np.median(relative):.0f} times). Its height is {distance:.0%} off "
        "in the median. Its length is linear in ln(1/u0) (increments "
        f"{growth:.2f} : 1, expected {expected_growth:.0f} : 1), as at a second saddle. With one "
        f"input a modality there is no plateau, and lam = {LAM:g} learns f_mm in "
        f"{np.median(speeds):.2f} of joint training's flow time (at most {max(speeds):.2f}; "
        f"Figure 1: {speeds[0]:.2f}).",
        numbers={
            "lam": LAM,
            "problems with two inputs": len(problems),
            "with a predicted plateau": len(rows),
            "length over the time until the gaps closed, u0 = 1e-12": [
                value if math.isfinite(value) else "not left" for value in relative.tolist()
            ],
            "median distance from the predicted height": distance,
            "ratio of increments of the length": growth,
            "flow time to 1% of f_mm over joint training's, Figure 1 and scalar problems": speeds,
        },
        counterexample=None if verdict is Verdict.HOLDS else example,
        plot=functools.partial(_draw, curves, height(shown)),
    )


def _draw(runs: dict[float, xr.Dataset], level: float, axes: Axes) -> None:
    """f_mm over time for some penalties, on a problem with a plateau."""
    for i, (lam, run) in enumerate(runs.items()):
        axes.plot(
            run.time,
            run.excess_mm,
            color=ms.plots.METHOD_COLORS[i],
            label="joint training" if lam == 0 else rf"$\lambda$ = {lam:g}",
        )
    axes.axhline(level, color="0.6", lw=0.9, ls=":", label="predicted plateau")
    axes.set(
        xlabel="flow time",
        ylabel=r"$f_{mm} - \min f_{mm}$",
        xscale="log",
        yscale="log",
        ylim=(1e-8, None),
    )
    axes.legend()
