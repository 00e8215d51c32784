"""The convergence figure: objective, losses, gaps and gradient against the step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from mimo_sim.plots._style import METHOD_COLORS, PORTRAIT, dashes, grey_line, note, style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

FLOOR = 1e-16  # smaller values are round-off
PANELS = {
    "excess_objective": r"(a) Objective, $F - \inf F$",
    "excess_mm": r"(b) Multi-modal loss, $f_{mm} - \min f_{mm}$",
    "excess_uni": r"(c) Uni-modal gaps, $f_k - f_k^*$",
    "grad_norm_sq": r"(d) Stationarity, smallest $|\nabla F|^2$ so far",
}


def draw_convergence(data: xr.Dataset) -> Figure:
    """The convergence figure from the dataset of :func:`mimo_sim.studies.convergence.compute`.

    A colour for each method, dashes for each modality. Panel (d) also shows the bound of Theorem 1.
    """
    with style():
        figure = Figure(figsize=(8.4, 6.6))
        axes = figure.subplots(2, 2, sharex=True, gridspec_kw=PORTRAIT)
        for ax, (name, title) in zip(axes.flat, PANELS.items(), strict=True):
            _draw_panel(ax, data, name)
            ax.set_title(title)
            ax.set_ylabel("loss above its minimum")
        axes[1, 1].set_ylabel("squared gradient norm")
        for ax in axes[1]:
            ax.set_xlabel("gradient-descent step T")
        axes[0, 0].legend(loc="lower left")
        modalities = [grey_line(str(name), k) for k, name in enumerate(data.modality.values)]
        axes[1, 0].legend(handles=modalities, loc="lower left")
        bound = grey_line(r"Theorem 1: $2(F_0 - \inf F)/(\eta T)$", lw=0.9, ls=":")
        axes[1, 1].legend(handles=[bound], loc="lower left")
        attrs = data.attrs
        note(
            figure,
            rf"One run each from initial scale {attrs['init_scale']:g}, $\mu$ = {attrs['mu']:g}, "
            rf"step size $\eta$ = {attrs['step_size']:.3g} in all.",
        )
    return figure


def _draw_panel(ax: Axes, data: xr.Dataset, name: str) -> None:
    """One quantity of every method against the step, on logarithmic axes."""
    for i, name_of_run in enumerate(data.run.values):
        run, color = data.isel(run=i), METHOD_COLORS[i % len(METHOD_COLORS)]
        curves = [run[name]]
        if name == "excess_uni":
            curves = [run[name].isel(modality=k) for k in range(data.sizes["modality"])]
        for k, values in enumerate(curves):
            shown = values.where(values > FLOOR)
            label = str(name_of_run) if k == 0 else None
            ax.plot(data.step, shown, color=color, ls=dashes(k), label=label)
        if name == "grad_norm_sq":
            ax.plot(data.step, run.bound, color=color, lw=0.9, ls=":")
    top = float(data[name].max())
    if name == "grad_norm_sq":
        top = max(top, float(data.bound.max()))
    ax.set(xscale="log", yscale="log", ylim=(FLOOR, 5 * top))
