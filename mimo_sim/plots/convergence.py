"""The convergence figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import xarray as xr
from matplotlib.figure import Figure

if TYPE_CHECKING:
    pass
from mimo_sim.plots._style import DASHES, FULL_PAGE, METHOD_COLORS, style


def draw_convergence(data: xr.Dataset) -> Figure:
    """The convergence figure from the dataset of :func:`mimo_sim.studies.convergence.compute`."""
    with style():
        figure = Figure(figsize=(8.4, 6.6))
        axes = figure.subplots(2, 2, sharex=True, gridspec_kw=FULL_PAGE)
        floor = 1e-16
        panels = (
            ("excess_objective", r"(a) Objective, $F - \inf F$"),
            ("excess_mm", r"(b) Multi-modal loss, $f_{mm} - \min f_{mm}$"),
            ("excess_uni", r"(c) Uni-modal gaps, $f_k - f_k^*$"),
            ("grad_norm_sq", r"(d) Stationarity, smallest $|\nabla F|^2$ so far"),
        )
        for ax, (name, title) in zip(axes.flat, panels, strict=True):
            for i, label in enumerate(data.run.values):
                one, color = data.isel(run=i), METHOD_COLORS[i % len(METHOD_COLORS)]
                for k in range(data.sizes["modality"] if name == "excess_uni" else 1):
                    values = one[name].isel(modality=k) if name == "excess_uni" else one[name]
                    ax.plot(
                        data.step,
                        values.where(values > floor),
                        color=color,
                        ls=DASHES[k % len(DASHES)],
                        label=str(label) if k == 0 else None,
                    )
                if name == "grad_norm_sq":
                    ax.plot(data.step, one.bound, color=color, lw=0.9, ls=":")
            top = float(max(data[name].max(), data.bound.max() if name == "grad_norm_sq" else 0.0))
            ax.set(xscale="log", yscale="log", title=title, ylim=(floor, 5 * top))
        axes[0, 0].set_ylabel("loss above its minimum")
        axes[1, 0].set_ylabel("loss above its minimum")
        axes[0, 1].set_ylabel("loss above its minimum")
        axes[1, 1].set_ylabel("squared gradient norm")
        for ax in axes[1]:
            ax.set_xlabel("gradient-descent step T")
        axes[0, 0].legend(loc="lower left")
        solid = mpl.lines.Line2D(
            [], [], color="0.3", ls=DASHES[0], label=str(data.modality.values[0])
        )
        others = [
            mpl.lines.Line2D([], [], color="0.3", ls=DASHES[k % len(DASHES)], label=str(n))
            for k, n in enumerate(data.modality.values)
            if k
        ]
        axes[1, 0].legend(handles=[solid, *others], loc="lower left")
        axes[1, 1].legend(
            handles=[
                mpl.lines.Line2D(
                    [],
                    [],
                    color="0.3",
                    lw=0.9,
                    ls=":",
                    label=r"Theorem 1: $2(F_0 - \inf F)/(\eta T)$",
                )
            ],
            loc="lower left",
        )
        figure.text(
            0.5,
            0.012,
            rf"One run each from initial scale {data.attrs['init_scale']:g}, $\mu$ = {data.attrs['mu']:g}, "
            rf"step size $\eta$ = {data.attrs['step_size']:.3g} in all.",
            ha="center",
            va="bottom",
            fontsize=7.5,
            color="0.3",
        )
    return figure
