"""Lesson 2, too little, too much: penalties around the threshold, a plateau, chattering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from mimo_sim import theory
from mimo_sim._checks import FloatArray, check_positive
from mimo_sim.course._panels import lettered, plot_modalities, step_axis
from mimo_sim.dynamics import half_times, simulate
from mimo_sim.plots._style import (
    JOINT_COLOR,
    LEGEND_BOX,
    METHOD_COLORS,
    dashes,
    modality_color,
    modality_line,
    plain_ticks,
    style,
)
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO

if TYPE_CHECKING:
    import xarray as xr

RECORDED = 10  # every so many steps are recorded
WINDOW = (0.5, 0.8)  # part of the way to the first arrival on which growth is measured
TICKS = (0.25, 0.5, 1, 2, 5, 10)


def sweep_penalties(
    problem: LateFusionProblem,
    factors: Sequence[float],
    *,
    mu: float = 0.01,
    step_size: float = 5e-4,
    steps: int = 60_000,
    init_scale: float = 1e-9,
    seed: int = 0,
) -> xr.Dataset:
    r"""Train by MIMO with the penalties ``factors`` times :math:`\lambda^*`.

    Parameters
    ----------
    problem : LateFusionProblem
        With superficial preference, so that the threshold is positive and finite.
    factors : sequence of float
        Multiples of :func:`mimo_sim.theory.order_threshold`, > 0.
    mu : float
        Smoothing, > 0, in units of the loss.
    step_size, steps, init_scale, seed
        As in :func:`mimo_sim.simulate`.

    Returns
    -------
    xarray.Dataset
        Dimensions factor, modality. ``half_time`` in steps; ``rate``, the measured growth of
        :math:`\ln |W_k|` per flow time; ``law``, the predicted one
        (:func:`mimo_sim.theory.growth_rates`). The attribute ``threshold`` is :math:`\lambda^*`.

    Raises
    ------
    ValueError
        If the threshold is 0 or infinite, and for a factor that is not positive.
    """
    import xarray as xr

    threshold = theory.order_threshold(problem, mu)
    if not 0 < threshold < np.inf:
        raise ValueError(
            "`problem` must have a positive, finite order threshold at this mu. "
            f"Got a threshold of {threshold:g} at mu={mu:g}."
        )
    half, rates, laws = [], [], []
    for factor in factors:
        check_positive("factors", factor)
        lam = factor * threshold
        run = simulate(
            problem,
            MIMO(lam=lam, mu=mu),
            step_size=step_size,
            steps=steps,
            init_scale=init_scale,
            seed=seed,
            record_every=RECORDED,
        )
        law = theory.growth_rates(problem, lam, mu)
        arrival = np.log(1 / init_scale) / law.max()
        window = run.sel(step=np.array(WINDOW) * arrival / step_size, method="nearest")
        slope = np.log(window.encoder_norm).diff("step") / window.time.diff("step")
        half.append(half_times(run).values)
        rates.append(slope.values[0])
        laws.append(law)
    over = ("factor", "modality")
    data: dict[str, Any] = {"half_time": (over, np.array(half), {"units": "steps"})}
    data |= {"rate": (over, np.array(rates)), "law": (over, np.array(laws))}
    coords = {"factor": list(factors), "modality": list(problem.names)}
    return xr.Dataset(data, coords, {"threshold": threshold, "mu": mu})


def draw_sweep(data: xr.Dataset) -> Figure:
    """Growth, half-times and their ratio over the penalty (:func:`sweep_penalties`)."""
    with style():
        figure = Figure(figsize=(9.6, 3.1), layout="constrained")
        axes = figure.subplots(1, 3)
        for k, name in enumerate(data.modality.values):
            one, dots = data.isel(modality=k), {"marker": "os"[k % 2], "ms": 5}
            line: dict[str, Any] = modality_line(k)
            axes[0].plot(data.factor, one.law, label=f"{name}, law", **line)
            measured = {"color": modality_color(k), "ls": "", **dots}
            axes[0].plot(data.factor, one.rate, label=f"{name}, measured", **measured)
            axes[1].plot(data.factor, one.half_time, label=str(name), **line, **dots)
        ratio = data.half_time.isel(modality=1) / data.half_time.isel(modality=0)
        axes[2].plot(data.factor, ratio, "o-", ms=5, color=JOINT_COLOR)
        axes[2].axhline(1, color="0.6", lw=0.8)
        first, second = data.modality.values[:2]
        lettered(axes, ("Growth near zero", "Half-times", f"{second}'s half-time over {first}'s"))
        axes[0].set(ylabel="rate (1 / flow time)", ylim=(0, None))
        axes[1].set(ylabel="gradient-descent step", ylim=(0, None))
        axes[1].yaxis.set_major_formatter("{x:,.0f}")
        axes[2].set(ylabel="ratio", ylim=(0.8, None))
        for ax in axes:
            ax.set(xscale="log", xlabel=r"penalty $\lambda / \lambda^*$ (dotted line: 1)")
            plain_ticks(ax.xaxis, TICKS)
            ax.axvline(1, color="0.4", lw=1, ls=":")
        axes[0].legend(loc="upper left", frameon=True, edgecolor="none", framealpha=1)
        axes[1].legend(loc="upper right")
    return figure


def plateau_height(problem: LateFusionProblem) -> float:
    r"""What is left of f_mm while each encoder knows only what its modality needs alone (m = 1).

    There the part :math:`V_k W_k` of the joint map is a multiple :math:`a_k N_k^*` of the best map
    of modality k alone. The best multiples come from least squares:

    .. math:: \min_a \tfrac12 E\,(y - \sum_k a_k N_k^* x_k)^2 - \min f_{mm}.

    Parameters
    ----------
    problem : LateFusionProblem
        With one output.

    Returns
    -------
    float
        In units of the loss. It is 0 where every modality has one input.

    Raises
    ------
    ValueError
        For more than one output.
    """
    if problem.output_dim != 1:
        raise ValueError(
            f"`problem` must have one output (m = 1). Got output_dim={problem.output_dim}."
        )
    own = np.zeros((problem.num_modalities, len(problem.input_moment)))
    for k, best in enumerate(problem.unimodal_maps):
        own[k, problem.features(k)] = best[0]
    cross = own @ problem.cross_moment[0]
    inner = own @ problem.input_moment @ own.T
    explained = cross @ np.linalg.lstsq(inner, cross, rcond=None)[0]
    return float((problem.y_second_moment - explained) / 2 - problem.joint_optimum)


def draw_plateau(runs: Mapping[float, xr.Dataset], level: float) -> Figure:
    """What is left of the worst uni-modal gap, and of f_mm, over flow time; a curve per penalty.

    Parameters
    ----------
    runs : mapping from lam to Dataset
        Runs of one problem; lam = 0 is joint training.
    level : float
        The predicted height of the plateau (:func:`plateau_height`).
    """
    with style():
        figure = Figure(figsize=(9.0, 3.2), layout="constrained")
        axes = figure.subplots(1, 2, sharex=True)
        for i, (lam, run) in enumerate(runs.items()):
            look = {"color": METHOD_COLORS[i % len(METHOD_COLORS)], "ls": dashes(i)}
            label = "joint training" if lam == 0 else rf"MIMO, $\lambda$ = {lam:g}"
            if lam > 0:
                axes[0].plot(run.time, run.excess_uni.max("modality"), label=label, **look)
            axes[1].plot(run.time, run.excess_mm, label=label, **look)
        axes[1].axhline(level, color="0.5", lw=1, ls=":", label="predicted plateau")
        lettered(axes, ("Worst uni-modal gap", "Multi-modal loss"))
        axes[0].set(ylabel="largest $f_k - f_k^*$")
        axes[1].set(ylabel=r"$f_{mm} - \min f_{mm}$")
        for ax in axes:
            ax.set(xlabel="flow time (step size × steps)", yscale="log", ylim=(1e-6, 3))
            ax.legend(loc="lower left", **LEGEND_BOX)
    return figure


def draw_chattering(runs: Mapping[str, xr.Dataset], distances: Sequence[FloatArray]) -> Figure:
    """The weights sigma while the gaps close, for two runs, and how two such runs drift apart.

    Parameters
    ----------
    runs : mapping from a title to a Dataset
        Two runs of MIMO on two modalities. They recorded every step.
    distances : two arrays (T,)
        For each of the runs, the distance from another run that began almost the same, step by
        step.
    """
    with style():
        figure = Figure(figsize=(9.6, 3.0), layout="constrained")
        axes = figure.subplots(1, 3)
        for ax, run in zip(axes, runs.values(), strict=False):
            first = max(int(half_times(run).min()) - 40, 0)
            last = first + 80
            plot_modalities(ax, run.sel(step=slice(first, last)), "sigma", r"\sigma_{}", lw=1.2)
            step_axis(ax)
            ax.set(ylabel=r"weight $\sigma_k$", ylim=(-0.04, 1.34), xlim=(first, last))
            ax.set_yticks([0, 0.5, 1])
            ax.legend(loc="upper right", ncols=2)
        for i, (title, distance) in enumerate(zip(runs, distances, strict=True)):
            look = {"color": METHOD_COLORS[i + 1], "ls": dashes(i), "lw": 1.2}
            axes[2].semilogy(np.maximum(distance, 1e-18), label=title, **look)
        step_axis(axes[2])
        axes[2].set(ylabel="distance of two runs", ylim=(1e-18, 1e3))
        axes[2].legend(loc="upper right")
        lettered(axes, (*runs, "Two almost equal starts"))
    return figure
