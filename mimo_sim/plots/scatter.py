"""Predicted against simulated time ratios."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from mimo_sim.plots._style import (
    MODALITY_COLORS,
    note,
    plain_ticks,
    style,
)

if TYPE_CHECKING:
    pass


def draw_scatter(data: xr.Dataset) -> Figure:
    """Predicted against simulated time ratios on random problems, from :func:`mimo_sim.studies.scatter.compute`."""
    with style():
        figure = Figure(figsize=(8.4, 4.2))
        panels = figure.subplots(
            1,
            2,
            sharex=True,
            sharey=True,
            gridspec_kw={
                "left": 0.075,
                "right": 0.985,
                "top": 0.93,
                "bottom": 0.17,
                "wspace": 0.08,
            },
        )
        ends = np.array(
            [
                0.95,
                1.08
                * float(max(data.time_ratio.max(), data.predicted.max(), data.predicted_u0.max())),
            ]
        )
        titles = {
            "predicted": r"(a) Theory for $u_0 \to 0$",
            "predicted_u0": rf"(b) Theory for $u_0$ = {data.attrs['init_scale']:g}",
        }
        for ax, (name, title), color in zip(panels, titles.items(), MODALITY_COLORS, strict=False):
            ax.plot(ends, ends, color="0.6", lw=1, label="equal")
            label = f"{data.sizes['problem']} problems, correlation {np.corrcoef(data[name], data.time_ratio)[0, 1]:.4f}"
            ax.scatter(
                data[name],
                data.time_ratio,
                s=16,
                edgecolors=color,
                facecolors=mpl.colors.to_rgba(color, 0.3),
                lw=0.8,
                label=label,
            )
            ax.set(
                xscale="log",
                yscale="log",
                title=title,
                xlabel="predicted time ratio",
                xlim=ends,
                ylim=ends,
            )
            for axis in (ax.xaxis, ax.yaxis):
                plain_ticks(
                    axis, tuple(value for value in (1, 2, 3, 5, 10, 20, 50) if value < ends[1])
                )
            ax.legend(loc="upper left")
        panels[0].set_ylabel("simulated ratio of half-times")
        size = " + ".join(map(str, np.atleast_1d(data.attrs["dims"])))
        note(
            figure,
            f"Random problems with superficial modality preference, {size} input dimensions; joint training.",
        )
    return figure
