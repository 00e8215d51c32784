"""Figures of the fusion studies (:mod:`mimo_sim.studies`), drawn from their datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from mimo_sim.plots._style import DASHES, JOINT_COLOR, MODALITY_COLORS, style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

RATIO = r"learning time of A over that of B"
PENALTY = r"penalty $\lambda$"
MARKERS = "osD^vP"


def _ratio_axis(ax: Axes, low: float, high: float) -> None:
    """A logarithmic axis of time ratios with plain numbers and the line of simultaneous learning."""
    ticks = np.array([0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5, 2.0, 2.5])
    ax.set(yscale="log", ylim=(low, high), ylabel=RATIO)
    ax.set_yticks(ticks[(ticks >= low) & (ticks <= high)])
    ax.yaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_locator(mpl.ticker.NullLocator())
    ax.axhline(1, color="0.6", lw=0.8, zorder=0)


def _note(figure: Figure, text: str) -> None:
    figure.text(0.5, 0.012, text, ha="center", va="bottom", fontsize=7.5, color="0.3")


def _medians(
    ax: Axes, x: np.ndarray, values: xr.DataArray, index: int, label: str, **line: object
) -> None:
    """Median over seeds as a line, every seed as a faint dot."""
    color = MODALITY_COLORS[index % len(MODALITY_COLORS)]
    for one in values.transpose("seed", ...).values:
        ax.plot(x, one, ".", ms=2.5, color=color, alpha=0.4)
    style_: dict[str, object] = {
        "color": color,
        "ls": DASHES[index % len(DASHES)],
        "marker": MARKERS[index % len(MARKERS)],
        "ms": 3.5,
        "lw": 1.3,
    }
    ax.plot(x, values.median("seed"), label=label, **(style_ | line))  # type: ignore[arg-type]


def draw_early(data: xr.Dataset) -> Figure:
    """From :func:`mimo_sim.studies.early_fusion.compute`: trajectories, first mode, and the maps over penalty and correlation."""
    with style():
        figure = Figure(figsize=(8.4, 6.8))
        axes = figure.subplots(
            2,
            2,
            gridspec_kw={
                "hspace": 0.42,
                "wspace": 0.3,
                "left": 0.08,
                "right": 0.97,
                "top": 0.95,
                "bottom": 0.125,
            },
        )
        for i, fusion in enumerate(data.fusion.values):
            for k, name in enumerate(data.modality.values):
                axes[0, 0].plot(
                    data.time,
                    data.part.sel(fusion=fusion)[:, k],
                    color=MODALITY_COLORS[k],
                    ls=DASHES[i],
                    label=f"{fusion}, {name}",
                )
        axes[0, 0].set(
            title="(a) Joint training",
            xlabel="flow time (step size × step)",
            ylabel="squared encoder norm / final",
        )
        axes[0, 0].set_xlim(0, float(data.time[-1]) * 0.8)
        axes[0, 0].legend(loc="upper right", title="fusion, modality", title_fontsize=8)

        for i, rho in enumerate(data.rho.values[[0, len(data.rho) // 2, -1]]):
            one = data.sel(rho=rho)
            axes[0, 1].plot(data.lam, one.predicted_share, color=MODALITY_COLORS[i], lw=1.2)
            axes[0, 1].plot(
                data.lam,
                one.share,
                MARKERS[i],
                ms=4,
                color=MODALITY_COLORS[i],
                label=rf"$\rho$ = {rho:.2g}",
            )
        axes[0, 1].set(
            title="(b) First mode of early fusion",
            xlabel=PENALTY,
            ylabel=r"$\|W_A\|^2 / \|W\|^2$ while small",
            ylim=(0, 1),
        )
        axes[0, 1].legend(title="lines: singular vector", title_fontsize=8)

        values = np.log2(data.time_ratio)
        bound = float(np.nanmax(np.abs(values)))
        for i, (ax, fusion) in enumerate(zip(axes[1], data.fusion.values, strict=True)):
            mesh = ax.pcolormesh(
                data.lam,
                data.rho,
                values.sel(fusion=fusion),
                cmap="PuOr",
                vmin=-bound,
                vmax=bound,
                shading="nearest",
                rasterized=True,
            )
            bar = figure.colorbar(mesh, ax=ax, pad=0.02)
            ticks = [t for t in (0.5, 0.7, 1.0, 1.4, 2.0) if abs(np.log2(t)) <= bound]
            bar.set_ticks([float(np.log2(t)) for t in ticks], labels=[f"{t:g}" for t in ticks])
            bar.set_label("time of A / time of B")
            ax.set(
                title=f"({'cd'[i]}) MIMO rule, {fusion} fusion",
                xlabel=PENALTY,
                ylabel=r"correlation $\rho$ of the inputs",
            )
            ax.set_ylim(float(data.rho[0]), float(data.rho[-1]))
            ax.set_xlim(float(data.lam[0]), float(data.lam[-1]))
            if fusion == "late":
                ax.plot(
                    data.threshold,
                    data.rho,
                    color=JOINT_COLOR,
                    lw=1.5,
                    label=r"theory: $\lambda^*$",
                )
                ax.legend(loc="upper right", frameon=True, edgecolor="none")
        _note(
            figure,
            "Two scalar modalities, A correlates more with the target and B explains more; exact engine, infinite width, "
            rf"$u_0$ = {data.attrs['init_scale']:g}, $\mu$ = {data.attrs['mu']:g}."
            "\nLearning time: first step at which an encoder has a tenth of its final squared norm.",
        )
    return figure


def draw_depth(data: xr.Dataset) -> Figure:
    """From :func:`mimo_sim.studies.depth.compute`: joint training, the MIMO-like rule by fusion layer, thresholds by depth, and correlation."""
    with style():
        figure = Figure(figsize=(8.4, 7.0))
        axes = figure.subplots(
            2,
            2,
            gridspec_kw={
                "hspace": 0.4,
                "wspace": 0.27,
                "left": 0.085,
                "right": 0.98,
                "top": 0.95,
                "bottom": 0.135,
            },
        )
        ax = axes[0, 0]
        for i, own in enumerate(data.fusion_layer.values):
            one = data.sel(fusion_layer=own)
            ax.plot(
                data.init_scale, one.predicted_joint_ratio - 1, color=MODALITY_COLORS[i], lw=1.2
            )
            ax.plot(
                data.init_scale,
                one.joint_ratio - 1,
                MARKERS[i],
                ms=5,
                color=MODALITY_COLORS[i],
                label=rf"$L_f$ = {own}",
            )
        ax.set(
            xscale="log",
            yscale="log",
            xlabel=r"initial scale $u_0$",
            ylabel=r"$t_B / t_A - 1$",
            title="(a) Joint training, L = 3",
        )
        for axis, ticks in (
            (ax.xaxis, data.init_scale.values.tolist()),
            (ax.yaxis, [0.05, 0.1, 0.2, 0.5, 1.0]),
        ):
            axis.set_major_locator(mpl.ticker.FixedLocator(ticks))
            axis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:g}"))
            axis.set_minor_locator(mpl.ticker.NullLocator())
        ax.set_ylim(0.05, 1.0)
        ax.legend(title="lines: leading order", title_fontsize=8, loc="lower right")

        ax, x = axes[0, 1], data.lam.values
        labels = [
            name.replace(" trunk", "").replace(" encoder", ", heads at fusion")
            for name in data.network.values
        ]
        for i, label in enumerate(labels):
            _medians(ax, x, data.ratio.isel(network=i), i, rf"$L_f$ = {label}")
        _ratio_axis(ax, 0.5, 1.9)
        ax.set(xlabel=PENALTY, title="(b) MIMO rule, L = 4")
        ax.legend(ncols=2, loc="upper left", fontsize=7, handlelength=2.6, columnspacing=1)

        ax = axes[1, 0]
        for i, start in enumerate(data.start.values):
            one = data.sel(start=start)
            depths = np.r_[2, data.depth]
            ax.plot(
                depths,
                np.r_[
                    float(data.predicted_threshold.sel(start="gaussian")[0]),
                    one.predicted_threshold,
                ],
                color=MODALITY_COLORS[i],
                lw=1.2,
            )
            for j, values in enumerate(one.threshold.transpose("seed", "depth").values):
                shift = 0.0 if start == "aligned" else 0.04 * (j - (data.sizes["seed"] - 1) / 2)
                ax.plot(
                    data.depth + shift,
                    values,
                    MARKERS[i],
                    ms=4,
                    color=MODALITY_COLORS[i],
                    label=f"{start} start".capitalize() if j == 0 else None,
                )
        ax.set(
            xlabel="depth L of late fusion",
            ylabel=r"penalty $\lambda^*$ that reverses the order",
            title="(c) Threshold and depth",
            ylim=(0, None),
            xlim=(1.9, 5.2),
        )
        ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
        ax.legend(title=r"lines: theory, $u_0 \to 0$", title_fontsize=8, loc="lower right")

        ax = axes[1, 1]
        for i, own in enumerate(data.rho_fusion_layer.values):
            for j, penalty in enumerate(data.penalty.values):
                _medians(
                    ax,
                    data.rho.values,
                    data.rho_ratio.sel(rho_fusion_layer=own, penalty=penalty),
                    2 * i + j,
                    rf"$L_f$ = {own}, $\lambda$ = {penalty:g}",
                )
        _ratio_axis(ax, 0.4, 2.5)
        ax.set(xlabel=r"correlation $\rho$ of the inputs", title="(d) Correlation, L = 3")
        ax.legend(ncols=2, loc="upper center", fontsize=7, handlelength=2.6)
        _note(
            figure,
            rf"Linear networks, width {data.attrs['width']} (in (c) {data.attrs['wide']}; aligned start: 1), $\mu$ = {data.attrs['mu']:g}; "
            f"(b), (d): medians and single runs of {data.attrs['seeds']} Gaussian starts. $L_f$: layers up to fusion."
            "\nLearning time: first step at which the joint prediction from one modality alone has a tenth of its final mean square.",
        )
    return figure


def draw_relu(data: xr.Dataset) -> Figure:
    """From :func:`mimo_sim.studies.relu.compute`: time ratios of linear and ReLU networks over the penalty."""
    with style():
        figure = Figure(figsize=(8.4, 3.4))
        axes = figure.subplots(
            1,
            data.sizes["network"],
            sharey=True,
            gridspec_kw={"wspace": 0.08, "left": 0.075, "right": 0.985, "top": 0.9, "bottom": 0.25},
        )
        for letter, ax, network in zip("abc", axes, data.network.values, strict=True):
            for i, activation in enumerate(data.activation.values):
                one = data.sel(network=network, activation=activation)
                _medians(ax, data.lam.values, one.ratio, i, str(activation).replace("relu", "ReLU"))
            speed = data.speed.sel(network=network).median("seed")
            ax.text(
                0.97,
                0.04,
                f"A takes {float(speed[1] / speed[0]):.2f} times as long\nwith ReLU (λ = 0)",
                transform=ax.transAxes,
                ha="right",
                fontsize=8,
            )
            _ratio_axis(ax, 0.5, 2.1)
            ax.set(xlabel=PENALTY, title=f"({letter}) {network}")
        for ax in axes[1:]:
            ax.set_ylabel("")
        axes[0].legend(loc="upper left")
        _note(
            figure,
            f"{data.attrs['samples']} samples in pairs (x, -x), scalar modalities, width {data.attrs['width']}, $\\mu$ = {data.attrs['mu']:g}; "
            f"medians and single runs of {data.attrs['seeds']} Gaussian starts.\nLearning time: as the joint prediction from one modality alone reaches a "
            "tenth of its final mean square.",
        )
    return figure
