"""Many modalities under MIMO: predicted times, how their error falls, how often order is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from mimo_sim.plots._style import dashes, grey_line, note, plain_ticks, style
from mimo_sim.studies.many import errors, order_is_right

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

MARGINS = {"left": 0.06, "right": 0.99, "top": 0.92, "bottom": 0.21, "wspace": 0.24}
EDGES = (0, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12)  # e-foldings, of the bins of margins
LEAST = 8  # problems in a bin


def draw_many(data: xr.Dataset) -> Figure:
    """Times of emergence, the error of their ratios over u0, and the order over the margin.

    Parameters
    ----------
    data : Dataset
        Of :func:`mimo_sim.studies.many.compute`.
    """
    counts = data["count"].values
    colors = dict(
        zip(counts, mpl.colormaps["viridis"](np.linspace(0, 0.9, len(counts))), strict=True)
    )
    with style():
        figure = Figure(figsize=(10.8, 3.9))
        times, falls, order = figure.subplots(1, 3, gridspec_kw=MARGINS)
        _draw_times(times, data, colors)
        _draw_errors(falls, data, colors)
        _draw_order(order, data)
        dims = " or ".join(str(dim) for dim in data.dim.values)
        note(
            figure,
            f"{data.margin.size} random problems with {counts[0]} to {counts[-1]} modalities of "
            f"{dims} inputs, trained by MIMO with {data.attrs['lams'][0]:g} "
            rf"$\leq \lambda \leq$ {data.attrs['lams'][1]:g}. An encoder emerges at a tenth of its "
            "final norm.",
        )
    return figure


def _scale(value: float) -> str:
    return rf"$u_0 = 10^{{{np.log10(value):.0f}}}$"


def _draw_times(ax: Axes, data: xr.Dataset, colors: dict[int, tuple[float, ...]]) -> None:
    scale = float(data.init_scale.min())
    every = data.sel(init_scale=scale)
    ends = np.array([0.9 * float(every.predicted.min()), 1.1 * float(every.predicted.max())])
    ax.plot(ends, ends, color="0.6", lw=1, zorder=0)
    for count, color in colors.items():
        one = every.sel(count=count)
        ax.scatter(
            one.predicted.values.ravel(),
            one.simulated.values.ravel(),
            s=5,
            color=[color],
            lw=0,
            alpha=0.7,
            rasterized=True,
            label=f"K = {count}",
        )
    ax.set(
        xscale="log",
        yscale="log",
        xlim=ends,
        ylim=ends,
        title=f"(a) Times of emergence, {_scale(scale)}",
        xlabel=r"predicted, in $\ln(1/u_0)$",
        ylabel=r"simulated, in $\ln(1/u_0)$",
    )
    ax.legend(loc="upper left", markerscale=3, handletextpad=0.1, labelspacing=0.25)


def _draw_errors(ax: Axes, data: xr.Dataset, colors: dict[int, tuple[float, ...]]) -> None:
    logs, error = np.log(1 / data.init_scale.values), errors(data)
    for count, color in colors.items():
        middle = error.sel(count=count).median(("dim", "problem"))
        ax.plot(logs, middle, "o-", color=color, ms=3.5, lw=1.2)
    above = 1.7 * float(error.isel(init_scale=0).median())
    ax.plot(logs, above * logs[0] / logs, color="0.3", ls=dashes(2), lw=1.2)
    ax.set(
        xscale="log",
        yscale="log",
        title="(b) Error of time ratios, median",
        xlabel=r"$\ln(1/u_0)$",
        ylabel="largest relative error of a problem",
    )
    plain_ticks(ax.xaxis, [round(log, 1) for log in logs])
    plain_ticks(ax.yaxis, (0.01, 0.02, 0.05, 0.1, 0.2))
    ax.legend(
        handles=[grey_line(r"falls like 1/$\ln(1/u_0)$", 2, lw=1.2)],
        loc="lower left",
    )


def _draw_order(ax: Axes, data: xr.Dataset) -> None:
    right = order_is_right(data)
    for i, scale in enumerate(data.init_scale.values):
        foldings = (data.margin * np.log(1 / scale)).values.ravel()
        said = right.sel(init_scale=scale).values.ravel()
        bins = np.digitize(foldings, EDGES[1:])
        known = [b for b in np.unique(bins) if (bins == b).sum() >= LEAST]
        ax.plot(
            [float(np.median(foldings[bins == b])) for b in known],
            [float(np.mean(said[bins == b])) for b in known],
            marker="os^"[i % 3],
            ms=3.5,
            lw=1.2,
            color="0.2",
            ls=dashes(i),
            label=_scale(scale),
        )
    ax.axvline(data.attrs["away"], color="0.6", lw=0.9)
    ax.axhline(0.95, color="0.6", lw=0.9, ls=":")
    ax.set(
        ylim=(0, 1.04),
        xlim=(0, EDGES[-1]),
        title="(c) The order is right",
        xlabel=r"margin times $\ln(1/u_0)$, in e-foldings",
        ylabel="part of the problems",
    )
    plain_ticks(ax.yaxis, (0, 0.25, 0.5, 0.75, 0.95))
    ax.legend(loc="lower right")
