"""Estimates of f* under mini-batch noise: records, weights, three modalities, a small network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from mimo_sim.plots._style import (
    METHOD_COLORS,
    dashes,
    grey_line,
    modality_color,
    note,
    plain_ticks,
    style,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

MARGINS = {
    "left": 0.065,
    "right": 0.985,
    "top": 0.95,
    "bottom": 0.15,
    "wspace": 0.42,
    "hspace": 0.42,
}
SHOWN = (0.0, 0.5, 0.9, 0.99)  # decays of the first panel
COLORS = (*METHOD_COLORS, "#D55E00", "#0072B2", "#999999")
RULE_DASHES = (0, 2, 1, 0, 0, 1, 3, 2)


def draw_fstar(data: xr.Dataset) -> Figure:
    """Four panels: depth of records, sigma over decay, who gets the weight, and when each learns.

    Parameters
    ----------
    data : Dataset
        Of :func:`mimo_sim.studies.fstar.compute`.
    """
    with style():
        figure = Figure(figsize=(10.2, 6.8))
        (records, weights), (shares, times) = figure.subplots(2, 2, gridspec_kw=MARGINS)
        _draw_records(records, data)
        _draw_weights(weights, data)
        _draw_shares(shares, data)
        _draw_times(times, data)
        note(
            figure,
            f"(a, b) Figure 1's problem, batches of {data.attrs['batch']:.0f}, after everything is "
            "learned: all true gaps are zero. Lines: theory. (c, d) Three modalities, 1,000 "
            "samples, exact SGD;\nthe first correlates most with the target and explains least. "
            "All rules share the weight "
            rf"$\lambda$ = {data.attrs['lam']:g} out; $\mu$ = {data.attrs['mu']:g} of the "
            "loss at the start,\nof 'soft zero' a quarter of it. The plain sum gives this weight "
            "to every modality.",
        )
    return figure


def _draw_records(ax: Axes, data: xr.Dataset) -> None:
    shown = [decay for decay in data.decay.values if decay in SHOWN] or list(data.decay.values)
    colors = mpl.colormaps["viridis"](np.linspace(0, 0.85, len(shown)))
    for decay, color in zip(shown, colors, strict=True):
        one = data.sel(decay=decay)
        one = one.where(one["count"] * (1 - decay) >= 10, drop=True)
        ax.plot(one["count"], one.predicted_depth, color=color, lw=1.3)
        for k in range(2):
            ax.plot(one["count"], one.depth.isel(modality=k), "os"[k], color=color, ms=3.5)
        if one.sizes["count"]:
            last = one.isel(count=-2 if one.sizes["count"] > 1 else -1)
            ax.annotate(
                f"decay {decay:g}",
                (float(last["count"]), float(last.predicted_depth)),
                xytext=(26, 6),
                textcoords="offset points",
                ha="center",
                fontsize=7.5,
                color=color,
            )
    ax.set(
        xscale="log",
        ylim=(0, 1.45 * float(data.predicted_depth.max())),
        title="(a) A running minimum is a record of luck",
        xlabel="steps over which the minimum runs",
        ylabel="false gap / noise of a batch",
    )
    handles = [
        mpl.lines.Line2D([], [], marker="os"[k], ls="", color="0.3", ms=4, label=f"modality {name}")
        for k, name in enumerate(("A", "B"))
    ]
    ax.legend(
        handles=[*handles, grey_line("theory", 0, lw=1.3)],
        loc="upper left",
        ncols=3,
        columnspacing=1.2,
    )


def _draw_weights(ax: Axes, data: xr.Dataset) -> None:
    steps = 1 / (1 - data.decay)
    ax.plot(steps, data.predicted_sigma, color="0.3", lw=1.3, label="theory")
    low, high = data.sigma.min("seed"), data.sigma.max("seed")
    ax.vlines(steps, low, high, color=modality_color(0), lw=1.2)
    ax.plot(steps, data.sigma.mean("seed"), "o", color=modality_color(0), ms=4, label="exact SGD")
    if data.sizes["network_seed"]:
        own: dict[str, Any] = {"color": modality_color(1)}
        ax.plot(
            steps, data.predicted_network_sigma.mean("network_seed"), ls=dashes(1), lw=1.2, **own
        )
        ax.plot(
            steps,
            data.network_sigma.mean("network_seed"),
            "s",
            ms=4,
            label="network on digits (dashes: theory)",
            **own,
        )
    ax.axhline(0.5, color="0.8", lw=0.8, zorder=0)
    ax.set(
        xscale="log",
        ylim=(0.45, 0.85),
        title="(b) It gives weight to the noisier modality",
        xlabel="steps in an average, 1 / (1 - decay)",
        ylabel=r"its weight $\sigma$",
    )
    plain_ticks(ax.xaxis, (1, 2, 5, 10, 20, 50, 100))
    ax.legend(loc="upper right")


def _draw_shares(ax: Axes, data: xr.Dataset) -> None:
    middle = data.rule_sigma.isel(three=0).mean("seed")
    for i, rule in enumerate(data.rule.values[:-1]):  # the plain sum shares nothing out
        ax.plot(
            np.arange(1, middle.sizes["epoch"] + 1),
            middle.isel(rule=i),
            color=COLORS[i % len(COLORS)],
            ls=dashes(RULE_DASHES[i % len(RULE_DASHES)]),
            lw=1.5,
            label=str(rule),
        )
    ax.set(
        ylim=(0, 1.02),
        title="(c) Weight of the easiest of three modalities",
        xlabel="epoch",
        ylabel=r"$\sigma$ of the easiest, mean of an epoch",
    )
    ax.legend(loc="upper right", labelspacing=0.3)


def _draw_times(ax: Axes, data: xr.Dataset) -> None:
    names = [str(name) for name in data.rule.values[1:]]
    fixed = data.isel(rule=0)
    place = np.arange(len(names))
    shown = [("slow", data.half_time.sel(three="slow") / fixed.half_time.sel(three="slow"))]
    shown += [("middle", data.half_time.sel(three="middle") / fixed.half_time.sel(three="middle"))]
    shown += [("joint loss", data.joint_time / fixed.joint_time)]
    for i, (label, ratio) in enumerate(shown):
        ratio = ratio.isel(rule=slice(1, None))
        at = place + 0.22 * (1 - i)
        ax.hlines(at, ratio.min("seed"), ratio.max("seed"), color=COLORS[i], lw=1.3)
        ax.plot(ratio.mean("seed"), at, "osD"[i], color=COLORS[i], ms=4, label=label)
    ax.axvline(1.0, color="0.6", lw=0.8, zorder=0)
    ax.set(
        ylim=(len(names) - 0.4, -0.6),
        title="(d) When it is learned, over fixed weights",
        xlabel="time / time with fixed weights",
    )
    ax.set_yticks(place, names)
    ax.legend(loc="upper right", labelspacing=0.3)
