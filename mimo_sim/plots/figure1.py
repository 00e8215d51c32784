"""Figure 1 of arXiv:2511.06686: the architecture, and how encoders and losses develop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
from mimo_sim.plots._style import DASHES, FULL_PAGE, JOINT_COLOR, modality_color, style

QUANTILES = (0.1, 0.9)


def _box(
    ax: Axes, x: float, y: float, text: str, color: str, *, width: float = 0.15, filled: bool = True
) -> None:
    face = mpl.colors.to_rgba(color, 0.15 if filled else 0.0)
    patch = FancyBboxPatch(
        (x - width / 2, y - 0.055),
        width,
        0.11,
        boxstyle="round,pad=0,rounding_size=0.02",
        ec=color,
        fc=face,
        lw=1.2,
    )
    ax.add_patch(patch)
    ax.text(x, y, text, ha="center", va="center", fontsize=9)


def _arrow(
    ax: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    color: str,
    *,
    dashed: bool = False,
) -> None:
    dash = (0, (3, 2)) if dashed else "-"
    ax.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=9,
            shrinkA=0,
            shrinkB=0,
            color=color,
            lw=1.1,
            linestyle=dash,
        )
    )


def draw_architecture(ax: Axes, names: list[str], *, unimodal_heads: bool) -> None:
    """The late-fusion network: inputs, encoders W_k, joint head split by modality V_k and, for training with MIMO, the uni-modal heads U_k."""
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.axis("off")
    K = len(names)
    heights = np.linspace(0.72, 0.26, K) if K > 1 else np.array([0.5])
    middle, half = float(heights.mean()), 0.075
    _box(ax, 0.70, middle, "$+$", JOINT_COLOR, width=0.07)
    _box(ax, 0.90, middle, r"$f_{mm}$", JOINT_COLOR, width=0.13)
    _arrow(ax, (0.735, middle), (0.835, middle), JOINT_COLOR)
    ax.text(0.785, middle + 0.035, r"$\hat y$", ha="center", va="bottom", fontsize=9)
    for k, y in enumerate(heights):
        color = modality_color(k)
        _box(
            ax,
            0.10,
            y,
            f"$x_{{{names[k]}}}$" if len(names[k]) <= 2 else names[k],
            color,
            filled=False,
        )
        _box(ax, 0.31, y, rf"$W_{{{k + 1}}}$", color)
        _box(ax, 0.52, y, rf"$V_{{{k + 1}}}$", color)
        _arrow(ax, (0.10 + half, y), (0.31 - half, y), color)
        _arrow(ax, (0.31 + half, y), (0.52 - half, y), color)
        toward = np.sign(middle - y) * 0.055
        _arrow(
            ax, (0.52 + half, y), (0.70 - (0.035 if toward == 0 else 0.02), middle - toward), color
        )
        if unimodal_heads and K <= 2:
            outward = y + (0.19 if y >= middle else -0.19)
            _box(ax, 0.52, outward, rf"$U_{{{k + 1}}}$", color)
            _box(ax, 0.90, outward, rf"$f_{{{k + 1}}}$", color, width=0.13)
            _arrow(
                ax,
                (0.31 + half, y + 0.055 * np.sign(outward - y)),
                (0.52 - half, outward),
                color,
                dashed=True,
            )
            _arrow(ax, (0.52 + half, outward), (0.835, outward), color, dashed=True)
        elif unimodal_heads:  # no room for boxes
            _arrow(ax, (0.31, y + 0.055), (0.36, y + 0.085), color, dashed=True)
            ax.text(
                0.37,
                y + 0.09,
                rf"$U_{{{k + 1}}} \rightarrow f_{{{k + 1}}}$",
                ha="left",
                va="center",
                fontsize=8,
                color=color,
            )
    labels = [(0.31, 0.85, "encoders"), (0.52, 0.85, "joint head")]
    if unimodal_heads:
        formula = r"$F = f_{mm} + \lambda\,\mu\,\log\sum_k e^{(f_k - f_k^*)/\mu}$"
        x, y = (0.25, middle) if K == 2 else (0.25, 0.07)
        ax.text(x, y + 0.04, formula, ha="center", va="center", fontsize=8.5)
        labels = [(x, y - 0.06, "dashed: training only")]
    for x, y, text in labels:
        ax.text(x, y, text, ha="center", va="center", fontsize=8, color="0.35")


def _median_band(ax: Axes, values: xr.DataArray, **line: Any) -> None:
    low, middle, high = np.quantile(
        values.transpose("seed", "step"), (QUANTILES[0], 0.5, QUANTILES[1]), axis=0
    )
    (drawn,) = ax.plot(values.step, middle, **line)
    ax.fill_between(values.step, low, high, color=drawn.get_color(), alpha=0.25, lw=0)


def draw_trajectories(
    top: Axes, bottom: Axes, runs: xr.Dataset, *, last_step: float, unimodal_losses: bool
) -> None:
    """Encoder norms (top) and losses (bottom) of one method: median and 10-90% band over seeds, predictions as thin lines."""
    names = [str(name) for name in runs.modality.values]
    for k, name in enumerate(names):
        one = runs.isel(modality=k)
        _median_band(
            top,
            one.encoder_norm,
            color=modality_color(k),
            ls=DASHES[k % len(DASHES)],
            label=rf"$\|W_{{{k + 1}}}\|_F$ ({name})",
        )
        top.axhline(
            float(one.predicted_final_encoder_norm), color=modality_color(k), lw=0.9, ls=":"
        )
        when = float(one.predicted_half_time)
        if np.isfinite(when):
            for ax in (top, bottom):
                ax.axvline(when, color=modality_color(k), lw=0.9, ls=":")
        if unimodal_losses:
            _median_band(
                bottom,
                one.loss_uni,
                color=modality_color(k),
                ls=DASHES[k % len(DASHES)],
                label=rf"$f_{{{k + 1}}}$ ({name})",
            )
    _median_band(bottom, runs.loss_mm, color=JOINT_COLOR, label=r"$f_{mm}$ (joint)")
    top.set(
        ylabel="encoder norm",
        xlim=(0, last_step),
        ylim=(0, 1.5 * float(runs.final_encoder_norm.max())),
    )
    bottom.set(
        xlabel="gradient-descent step", ylabel="loss", ylim=(0, 1.08 * float(runs.loss_mm.max()))
    )
    bottom.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
    bottom.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))
    top.tick_params(labelbottom=False)


def draw_figure1(data: xr.Dataset) -> Figure:
    """Figure 1 of arXiv:2511.06686 from the dataset of :func:`mimo_sim.studies.figure1.compute`."""
    names = [str(name) for name in data.modality.values]
    with style():
        figure = Figure(figsize=(8.4, 7.4))
        grid = figure.add_gridspec(3, 2, height_ratios=(1.15, 1, 1), **FULL_PAGE)
        panels = [figure.add_subplot(grid[0, i]) for i in range(2)]
        draw_architecture(panels[0], names, unimodal_heads=False)
        draw_architecture(panels[1], names, unimodal_heads=True)
        panels[0].set_title("(a) Late fusion, trained jointly (vanilla)")
        panels[1].set_title("(b) MIMO: uni-modal heads while training")
        lam, mu, eta = (data.attrs[name] for name in ("lam", "mu", "step_size"))
        titles = {
            "vanilla": "(c) Vanilla training",
            "mimo": rf"(d) MIMO, $\lambda$ = {lam:g}, $\mu$ = {mu:g}",
        }
        for column, (name, title) in enumerate(titles.items()):
            runs = data.sel(solver=name)
            latest = float(runs.half_time.max())
            end = (
                float(data.step[-1])
                if name == "vanilla" or not np.isfinite(latest)
                else min(2.5 * latest, float(data.step[-1]))
            )
            top = figure.add_subplot(grid[1, column])
            bottom = figure.add_subplot(grid[2, column], sharex=top)
            draw_trajectories(top, bottom, runs, last_step=end, unimodal_losses=name == "mimo")
            half = runs.half_time.median("seed").values
            top.set_title(title)
            note = f"half-times {half.max() / half.min():.2f} : 1"
            if name == "vanilla":
                note += f" (theory {float(runs.predicted_half_time.max() / runs.predicted_half_time.min()):.2f} : 1)"
            legend = top.legend(
                loc="upper right",
                ncols=2,
                title=note,
                title_fontsize=8,
                alignment="right",
                frameon=True,
                edgecolor="none",
                framealpha=0.85,
            )
            legend.get_frame().set_linewidth(0)
            bottom.legend(loc="upper right", frameon=True, edgecolor="none", framealpha=0.85)
        figure.text(
            0.5,
            0.012,
            f"Lines: median over {data.sizes['seed']} initialisations of scale {data.attrs['init_scale']:g}; bands: 10-90%; dotted: predicted by theory\n"
            rf"(half-times, in (d) emergence; final norms). Step size $\eta$ = {eta:.3g} in (c) and (d), whose step axes differ.",
            ha="center",
            va="bottom",
            fontsize=7.5,
            color="0.3",
        )
    return figure
