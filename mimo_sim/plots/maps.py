"""Phase diagrams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from mimo_sim.plots._style import (
    note,
    plain_ticks,
    style,
)
from mimo_sim.studies.race import BUDGET, LEVELS, MARGIN

if TYPE_CHECKING:
    from matplotlib.axes import Axes


AXES = {
    "correlation_ratio": r"ratio of correlations, $|C_A| / |C_B|$",
    "explained_ratio": "explained alone, B over A",
    "rho": r"correlation of the inputs, $\rho$",
    "lam": r"penalty, $\lambda$",
    "mu": r"smoothing, $\mu$ (units of the loss)",
}
TICKS: dict[str, tuple[float, ...]] = {
    "lam": (0.1, 0.3, 1, 3, 10, 30),
    "mu": (0.003, 0.01, 0.03, 0.1, 0.3, 1),
}
WAIT = {"norm": mpl.colors.LogNorm(1, 20), "cmap": "viridis", "extend": "max"}
GAIN = {"norm": mpl.colors.LogNorm(0.2, 5), "cmap": "PuOr", "extend": "both"}
ORDER = {"norm": mpl.colors.LogNorm(0.5, 2), "cmap": "PuOr", "extend": "both"}
PART = {"norm": mpl.colors.Normalize(0, 1), "cmap": "viridis"}


def _map(
    figure: Figure,
    ax: Axes,
    values: xr.DataArray,
    look: dict[str, Any],
    title: str,
    label: str,
    ticks: tuple[float, ...],
) -> None:
    """One coloured map with its bar; NaN stays grey. A gain also gets the borders of its neutral zone."""
    x, y = values.dims[1], values.dims[0]
    spec = ax.get_subplotspec()
    if spec is not None and spec.is_first_col():  # asked before the colour bar takes its share
        ax.set_ylabel(AXES[str(y)])
    ax.set_facecolor("0.8")
    shown = values.where(np.isfinite(values) | (values == np.inf))
    mesh = ax.pcolormesh(
        values[x],
        values[y],
        shown,
        norm=look["norm"],
        cmap=look["cmap"],
        shading="nearest",
        rasterized=True,
    )
    bar = figure.colorbar(mesh, ax=ax, extend=look.get("extend", "neither"), pad=0.02, label=label)
    plain_ticks(bar.ax.yaxis, ticks)
    if look is GAIN:
        ax.contour(
            values[x],
            values[y],
            shown,
            levels=[1 / MARGIN, MARGIN],
            colors="k",
            linewidths=1.1,
            linestyles=["-", "-"],
        )
    for axis, name, set_scale in ((ax.xaxis, x, ax.set_xscale), (ax.yaxis, y, ax.set_yscale)):
        if name != "rho":
            set_scale("log")
            plain_ticks(axis, TICKS.get(str(name), (0.3, 0.5, 1, 2, 3, 5)))
    ax.set_xlabel(AXES[str(x)])
    ax.set(title=title, xlim=(values[x][0], values[x][-1]), ylim=(values[y][0], values[y][-1]))


GAIN_TICKS = (0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5)


def draw_map(data: xr.Dataset) -> Figure:
    """The phase diagram of :func:`mimo_sim.studies.maps.compute_ratios` or :func:`mimo_sim.studies.maps.compute_correlations`."""
    y, x = (str(name) for name in data.learning_gain.dims)
    joint, mimo = data.sel(solver="vanilla"), data.sel(solver="mimo")
    with style():
        figure = Figure(figsize=(11.4, 6.4))
        axes = figure.subplots(
            2,
            3,
            gridspec_kw={
                "left": 0.055,
                "right": 0.985,
                "top": 0.95,
                "bottom": 0.125,
                "wspace": 0.26,
                "hspace": 0.36,
            },
        )
        wait, left = "later over earlier half-time", "worst gap left / initial worst gap"
        ticks = (1.0, 2.0, 5.0, 10.0, 20.0)
        _map(
            figure,
            axes[0, 0],
            joint.half_time_ratio.transpose(y, x),
            WAIT,
            "(a) Joint training: the wait",
            wait,
            ticks,
        )
        _map(
            figure,
            axes[0, 1],
            mimo.half_time_ratio.transpose(y, x),
            WAIT,
            "(b) MIMO: the wait",
            wait,
            ticks,
        )
        _map(
            figure,
            axes[0, 2],
            data.learning_gain,
            GAIN,
            "(c) Gain: both modalities learned",
            "joint training's time / MIMO's",
            GAIN_TICKS,
        )
        parts = (0.0, 0.25, 0.5, 0.75, 1.0)
        matched = {"comparison": "matched"}
        _map(
            figure,
            axes[1, 0],
            joint.worst_gap.sel(matched).transpose(y, x),
            PART,
            "(d) Joint training: gap left",
            left,
            parts,
        )
        _map(
            figure,
            axes[1, 1],
            mimo.worst_gap.sel(matched).transpose(y, x),
            PART,
            "(e) MIMO: gap left",
            left,
            parts,
        )
        gain = data.loss_gain.sel(level=LEVELS[-1])
        _map(
            figure,
            axes[1, 2],
            gain,
            GAIN,
            f"(f) Gain: $f_{{mm}}$ settled at {LEVELS[-1]:.0%}",
            "joint training's time / MIMO's",
            GAIN_TICKS,
        )
        axes[0, 2].contour(
            data[x],
            data[y],
            data.predicted_gain,
            levels=[1.0],
            colors="k",
            linewidths=1.3,
            linestyles="--",
        )
        if data.hidden.any():
            for ax in axes[0, :2]:
                ax.contourf(
                    data[x],
                    data[y],
                    data.hidden.astype(float),
                    levels=[0.5, 1.5],
                    colors="none",
                    hatches=["////"],
                )
        if y == "explained_ratio":
            for ax in axes.flat:
                ax.axhline(1, color="w", lw=1.2, ls=":")
        lam, mu, scale = (float(data.attrs[name]) for name in ("lam", "mu", "init_scale"))
        lines = [
            rf"MIMO: $\lambda$ = {lam:g}, $\mu$ = {mu:g}; $u_0$ = {scale:g}. (c)-(f) compare at matched gradient scale: MIMO's time counts $1 + \lambda$ fold. "
            rf"(d), (e): after {BUDGET:g} $\ln(1/u_0) / \max |C_k|$.",
            f"Black lines: gains of {MARGIN:g} and 1/{MARGIN:g}; dashed: predicted gain of 1."
            + (
                " White dots: above, the preference is superficial."
                if y == "explained_ratio"
                else ""
            )
            + (
                " Hatched: half-times miss the emergence of the first modality."
                if data.hidden.any()
                else ""
            )
            + (" Grey: not finished within the run." if not np.isfinite(gain).all() else ""),
        ]
        note(figure, "\n".join(lines))
    return figure


def draw_penalty(data: xr.Dataset) -> Figure:
    """The phase diagram over lam and mu with the predicted order threshold, from :func:`mimo_sim.studies.maps.compute_penalties`."""
    with style():
        figure = Figure(figsize=(11.4, 6.4))
        axes = figure.subplots(
            2,
            3,
            gridspec_kw={
                "left": 0.055,
                "right": 0.985,
                "top": 0.95,
                "bottom": 0.125,
                "wspace": 0.26,
                "hspace": 0.36,
            },
        )
        half = data.half_time.sel(solver="mimo")
        order = half.isel(modality=0, drop=True) / half.isel(modality=1, drop=True)
        names = [str(name) for name in data.modality.values]
        for row, heads in enumerate(data.heads.values):
            one = data.sel(heads=heads)
            letters = "abc" if row == 0 else "def"
            panels = (
                (
                    order.sel(heads=heads),
                    f"Who is first ({heads} heads)",
                    f"half-time of {names[0]} / half-time of {names[1]}",
                ),
                (
                    one.learning_gain,
                    "Gain: both modalities learned",
                    "joint training's time / MIMO's",
                ),
                (
                    one.loss_gain.sel(level=LEVELS[-1]),
                    f"Gain: $f_{{mm}}$ settled at {LEVELS[-1]:.0%}",
                    "joint training's time / MIMO's",
                ),
            )
            for ax, letter, (values, title, label) in zip(axes[row], letters, panels, strict=True):
                look = ORDER if letter in "ad" else GAIN
                _map(
                    figure,
                    ax,
                    values.transpose("mu", "lam"),
                    look,
                    f"({letter}) {title}",
                    label,
                    GAIN_TICKS,
                )
            finite = one.where(np.isfinite(one.order_threshold), drop=False)
            axes[row, 0].contour(
                order.lam,
                order.mu,
                order.sel(heads=heads),
                levels=[1.0],
                colors="k",
                linewidths=1.1,
            )
            axes[row, 0].plot(finite.order_threshold, finite.mu, color="k", ls="--", lw=1.6)
        note(
            figure,
            rf"Dashed: predicted order threshold $\lambda^*(\mu)$; to its right MIMO should learn {names[1]} first. $u_0$ = {data.attrs['init_scale']:g}. "
            "Gains at matched gradient scale: MIMO's time counts $1 + \\lambda$ fold.\n"
            f"Black lines: equal half-times in (a) and (d), gains of {MARGIN:g} and 1/{MARGIN:g} elsewhere.",
        )
    return figure
