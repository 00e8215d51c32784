"""Predicted against simulated time ratios on random problems."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from mimo_sim.plots._style import modality_color, note, plain_ticks, style
from mimo_sim.studies._statistics import correlation

if TYPE_CHECKING:
    import xarray as xr

MARGINS = {"left": 0.075, "right": 0.985, "top": 0.93, "bottom": 0.17, "wspace": 0.08}
TICKS = (1, 2, 3, 5, 10, 20, 50)


def draw_scatter(data: xr.Dataset) -> Figure:
    """Predicted against simulated time ratios, one marker per random problem.

    Parameters
    ----------
    data : Dataset
        Of :func:`mimo_sim.studies.scatter.compute`.
    """
    panels = {
        "predicted": r"(a) Theory for $u_0 \to 0$",
        "predicted_u0": rf"(b) Theory for $u_0$ = {data.attrs['init_scale']:g}",
    }
    names = ["time_ratio", *panels]
    data = data.isel(problem=np.isfinite(data[names].to_array().values).all(0))
    largest = max(float(data[name].max()) for name in names)
    ends = np.array([0.95, 1.08 * largest])
    ticks = [tick for tick in TICKS if tick < ends[1]]
    with style():
        figure = Figure(figsize=(8.4, 4.2))
        axes = figure.subplots(1, 2, sharex=True, sharey=True, gridspec_kw=MARGINS)
        for i, (ax, (name, title)) in enumerate(zip(axes, panels.items(), strict=True)):
            ax.plot(ends, ends, color="0.6", lw=1, label="equal")
            agreement = correlation(data[name].values, data.time_ratio.values)
            ax.scatter(
                data[name],
                data.time_ratio,
                s=16,
                edgecolors=modality_color(i),
                facecolors=mpl.colors.to_rgba(modality_color(i), 0.3),
                lw=0.8,
                label=f"{data.sizes['problem']} problems, correlation {agreement:.4f}",
            )
            ax.set(
                xscale="log",
                yscale="log",
                title=title,
                xlabel="predicted time ratio",
                xlim=ends,
                ylim=ends,
            )
            plain_ticks(ax.xaxis, ticks)
            plain_ticks(ax.yaxis, ticks)
            ax.legend(loc="upper left")
        axes[0].set_ylabel("simulated ratio of half-times")
        dims = " + ".join(map(str, np.atleast_1d(data.attrs["dims"])))
        note(
            figure,
            f"Random problems with superficial modality preference, {dims} input dimensions; "
            "joint training.",
            height=0.008,
        )
    return figure
