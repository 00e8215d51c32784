"""The atlas of rules: for each one the encoders of Figure 1, and a map of who waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from mimo_sim.plots._style import grey_line, modality_line, note, plain_ticks, style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

COLUMNS = 4  # rules in a row of the figure; each takes two panels
WIDTH, ROW, HEAD, FOOT = 12.6, 2.25, 0.15, 0.75  # inches: of the figure, a row, above, below
WAITS = mpl.colors.LogNorm(1 / 8, 8)
WAIT_TICKS = (0.125, 0.25, 0.5, 1, 2, 4, 8)
RATIO_TICKS = (1, 2, 3, 5)
SHOWN_TIME = 40.0  # matched time, over which encoder norms are drawn
SLICE = 16 / 9  # the explained ratio of the maps: that of Figure 1


def draw_rules(data: xr.Dataset) -> Figure:
    """One pair of panels per rule: encoder norms on Figure 1's problem, and the map of the wait.

    Parameters
    ----------
    data : Dataset
        Of :func:`mimo_sim.studies.rules.compute`.
    """
    rows = -(-data.sizes["rule"] // COLUMNS)
    with style(), mpl.rc_context({"axes.titlesize": 8.5, "xtick.labelsize": 7}):
        height = rows * ROW + HEAD + FOOT
        figure = Figure(figsize=(WIDTH, height))
        grid = figure.add_gridspec(
            rows,
            1,
            left=0.045,
            right=0.905,
            top=1 - (HEAD + 0.35) / height,
            bottom=(FOOT + 0.4) / height,
            hspace=0.55,
        )
        mesh = None
        for row in range(rows):
            cells = grid[row].subgridspec(1, COLUMNS, wspace=0.16)
            for column in range(min(COLUMNS, data.sizes["rule"] - row * COLUMNS)):
                i = row * COLUMNS + column
                pair: Any = cells[column].subgridspec(1, 2, wspace=0.3).subplots()
                left, right = pair
                one = data.isel(rule=i)
                _draw_norms(left, one)
                mesh = _draw_wait(right, one)
                letter = chr(ord("a") + i)
                left.set_title(f"({letter}) {data.rule.values[i]}", pad=14)
                left.text(0, 1.03, _words(one), transform=left.transAxes, fontsize=7, color="0.25")
                if column == 0:
                    left.set_ylabel(r"encoder norm $|W_k|$", fontsize=7.5)
                left.set_xlabel("matched time", fontsize=7, labelpad=1)
                right.set_xlabel(r"$|C_A| / |C_B|$", fontsize=7, labelpad=1)
        if mesh is not None:
            bar = figure.colorbar(
                mesh,
                cax=figure.add_axes((0.925, 0.2, 0.011, 0.6)),
                extend="both",
                label="the wait: emergence of B / emergence of A",
            )
            plain_ticks(bar.ax.yaxis, WAIT_TICKS)
        handles = [
            mpl.lines.Line2D([], [], **modality_line(0), label="A: more correlated"),
            mpl.lines.Line2D([], [], **modality_line(1), label="B: explains more"),
            grey_line("A and B emerge together", 0, color="k", lw=1.0),
            mpl.patches.Patch(
                facecolor="none",
                edgecolor="0.3",
                hatch="////",
                lw=0.5,
                label="$f_{mm}$ is never learned",
            ),
        ]
        figure.legend(
            handles=handles, ncols=4, loc="lower center", bbox_to_anchor=(0.47, 0.4 / height)
        )
        note(
            figure,
            "Left: the problem of Figure 1, with the ratio of half-times, and when $f_{mm}$ is "
            "learned. Right: the wait over the ratio of correlations and the correlation of the "
            rf"inputs, B explains {_nearest(data):.2g} times as much."
            "\nAn encoder emerges at a tenth of its final norm. Matched time: flow time times the "
            rf"sum of the rule's weights. $u_0$ = {data.attrs['init_scale']:g}.",
            height=0.06 / height,
        )
    return figure


def _nearest(data: xr.Dataset) -> float:
    """The explained ratio nearest to SLICE."""
    values = data.explained_ratio.values
    return float(values[np.abs(np.log(values / SLICE)).argmin()])


def _words(one: xr.Dataset) -> str:
    time = float(one.figure1_loss_time)
    learned = f"$f_{{mm}}$ at {time:.0f}" if np.isfinite(time) else "$f_{mm}$ never"
    return f"ratio {float(one.figure1_half_time_ratio):.2f}, {learned}"


def _draw_norms(ax: Axes, one: xr.Dataset) -> None:
    for k in range(one.sizes["modality"]):
        ax.plot(one.time, one.figure1_norm.isel(modality=k), **modality_line(k), lw=1.4)
    ax.set(xlim=(0, SHOWN_TIME), ylim=(0, 1.5))
    plain_ticks(ax.xaxis, (0, 20, 40))
    plain_ticks(ax.yaxis, (0, 0.5, 1, 1.5))


def _draw_wait(ax: Axes, one: xr.Dataset) -> QuadMesh:
    """The wait over correlation ratio and rho, with equal half-times, hatched where it stalls."""
    shown = one.sel(explained_ratio=_nearest(one)).transpose("rho", "correlation_ratio", ...)
    wait = shown.wait
    ax.set_facecolor("0.8")
    mesh = ax.pcolormesh(
        wait.correlation_ratio,
        wait.rho,
        wait.where(np.isfinite(wait)),
        norm=WAITS,
        cmap="PuOr",
        shading="nearest",
        rasterized=True,
    )
    if wait.min() < 1 < wait.max() and min(wait.shape) > 1:
        ax.contour(wait.correlation_ratio, wait.rho, wait, levels=[1.0], colors="k", linewidths=1.0)
    stalled = ~np.isfinite(shown.loss_time)
    if stalled.any() and min(stalled.shape) > 1:
        ax.contourf(
            wait.correlation_ratio,
            wait.rho,
            stalled.astype(float),
            levels=[0.5, 1.5],
            colors="none",
            hatches=["////"],
        )
    ax.set(xscale="log", xlim=(wait.correlation_ratio[0], wait.correlation_ratio[-1]))
    plain_ticks(ax.xaxis, RATIO_TICKS)
    plain_ticks(ax.yaxis, (-0.8, -0.4, 0, 0.4, 0.8))
    ax.set_ylabel(r"$\rho$", rotation=0, fontsize=8.5)
    ax.yaxis.set_label_coords(-0.13, 1.0)
    return mesh
