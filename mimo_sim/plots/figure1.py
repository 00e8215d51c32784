"""Figure 1 of arXiv:2511.06686: the network, and how encoders and losses develop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from mimo_sim.plots._style import (
    JOINT_COLOR,
    LEGEND_BOX,
    PORTRAIT,
    modality_color,
    modality_line,
    note,
    style,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

QUANTILES = (0.1, 0.5, 0.9)
INPUT, ENCODER, HEAD, SUM, LOSS = 0.10, 0.31, 0.52, 0.70, 0.90  # centres of the boxes
HALF_WIDTH, HALF_HEIGHT = 0.075, 0.055  # of a box
SMALL_HALF_WIDTH = 0.065  # of a box with a loss in it


def draw_figure1(data: xr.Dataset) -> Figure:
    """Figure 1 from the dataset of :func:`mimo_sim.studies.figure1.compute`."""
    names = [str(name) for name in data.modality.values]
    lam, mu, eta = (data.attrs[name] for name in ("lam", "mu", "step_size"))
    titles = {
        "vanilla": "(c) Vanilla training",
        "mimo": rf"(d) MIMO, $\lambda$ = {lam:g}, $\mu$ = {mu:g}",
    }
    with style():
        figure = Figure(figsize=(8.4, 7.4))
        grid = figure.add_gridspec(3, 2, height_ratios=(1.15, 1, 1), **PORTRAIT)
        panels = [figure.add_subplot(grid[0, i]) for i in range(2)]
        draw_architecture(panels[0], names, unimodal_heads=False)
        draw_architecture(panels[1], names, unimodal_heads=True)
        panels[0].set_title("(a) Late fusion, trained jointly (vanilla)")
        panels[1].set_title("(b) MIMO: uni-modal heads while training")
        for column, (solver, title) in enumerate(titles.items()):
            runs = data.sel(solver=solver)
            top = figure.add_subplot(grid[1, column])
            bottom = figure.add_subplot(grid[2, column], sharex=top)
            draw_trajectories(
                top,
                bottom,
                runs,
                last_step=_last_step(runs),
                unimodal_losses=solver == "mimo",
            )
            top.set_title(title)
            legend = top.legend(
                loc="upper right",
                ncols=2,
                title=_ratios(runs),
                title_fontsize=8,
                alignment="right",
                **LEGEND_BOX,
            )
            legend.get_title().set_multialignment("right")
            legend.get_frame().set_linewidth(0)
            bottom.legend(loc="upper right", **LEGEND_BOX)
        note(
            figure,
            f"Lines: median over {data.sizes['seed']} initialisations of scale "
            f"{data.attrs['init_scale']:g}; bands: 10-90%; dotted: predicted by theory\n"
            rf"(half-times, in (d) emergence; final norms). Step size $\eta$ = {eta:.3g} "
            "in (c) and (d), whose step axes differ.",
        )
    return figure


def _last_step(runs: xr.Dataset) -> float:
    """Where the step axis ends: with MIMO soon after the last modality is learned."""
    end, latest = float(runs.step[-1]), float(runs.half_time.max())
    if runs.solver == "mimo" and np.isfinite(latest):
        return min(2.5 * latest, end)
    return end


def _ratios(runs: xr.Dataset) -> str:
    """The ratio of half-times, and below it what theory predicts."""
    half = runs.half_time.median("seed").values
    measured = f"half-times {half.max() / half.min():.2f} : 1"
    limit = float(runs.predicted_ratio)
    if not np.isfinite(limit):
        return measured
    in_the_limit = rf"{limit:.2f} : 1 as $u_0 \to 0$"
    if runs.solver == "mimo":
        return f"{measured}\ntheory of emergence {in_the_limit}"
    times = runs.predicted_half_time
    here = float(times.max() / times.min()) if times.min() > 0 else np.inf
    return f"{measured}\ntheory {here:.2f} : 1 at this $u_0$, {in_the_limit}"


# ------------------------------------------------------------------------------------ the network


def draw_architecture(ax: Axes, names: list[str], *, unimodal_heads: bool) -> None:
    """The late-fusion network.

    Inputs, encoders W_k, the joint head with its part V_k for each modality, and, for training with
    MIMO, the uni-modal heads U_k.

    Parameters
    ----------
    ax : Axes
        A panel of its own; its axes are hidden.
    names : list of str
        Modalities.
    unimodal_heads : bool
        Whether to show the uni-modal heads.
    """
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.axis("off")
    count = len(names)
    heights = np.linspace(0.72, 0.26, count) if count > 1 else np.array([0.5])
    middle = float(heights.mean())
    _box(ax, SUM, middle, "$+$", JOINT_COLOR, width=0.07)
    _box(ax, LOSS, middle, r"$f_{mm}$", JOINT_COLOR, width=2 * SMALL_HALF_WIDTH)
    _arrow(ax, (0.735, middle), (LOSS - SMALL_HALF_WIDTH, middle), JOINT_COLOR)
    ax.text(0.785, middle + 0.035, r"$\hat y$", ha="center", va="bottom", fontsize=9)
    for k, height in enumerate(heights):
        _draw_modality(ax, k, names[k], height, middle)
        if unimodal_heads and count <= 2:
            _draw_head(ax, k, height, middle)
        elif unimodal_heads:
            _draw_head_without_boxes(ax, k, height)
    labels = [(ENCODER, 0.85, "encoders"), (HEAD, 0.85, "joint head")]
    if unimodal_heads:
        formula = r"$F = f_{mm} + \lambda\,\mu\,\log\sum_k e^{(f_k - f_k^*)/\mu}$"
        x, y = (0.25, middle) if count == 2 else (0.25, 0.07)
        ax.text(x, y + 0.04, formula, ha="center", va="center", fontsize=8.5)
        labels = [(x, y - 0.06, "dashed: training only")]
    for x, y, text in labels:
        ax.text(x, y, text, ha="center", va="center", fontsize=8, color="0.35")


def _draw_modality(ax: Axes, k: int, name: str, height: float, middle: float) -> None:
    """One modality on its way from the input to the sum."""
    color = modality_color(k)
    symbol = f"$x_{{{name}}}$" if len(name) <= 2 else name
    _box(ax, INPUT, height, symbol, color, filled=False)
    _box(ax, ENCODER, height, rf"$W_{{{k + 1}}}$", color)
    _box(ax, HEAD, height, rf"$V_{{{k + 1}}}$", color)
    _arrow(ax, (INPUT + HALF_WIDTH, height), (ENCODER - HALF_WIDTH, height), color)
    _arrow(ax, (ENCODER + HALF_WIDTH, height), (HEAD - HALF_WIDTH, height), color)
    toward = np.sign(middle - height) * HALF_HEIGHT
    gap = 0.035 if toward == 0 else 0.02
    _arrow(ax, (HEAD + HALF_WIDTH, height), (SUM - gap, middle - toward), color)


def _draw_head(ax: Axes, k: int, height: float, middle: float) -> None:
    """The uni-modal head of a modality and its loss, away from the middle."""
    color = modality_color(k)
    outward = height + (0.19 if height >= middle else -0.19)
    _box(ax, HEAD, outward, rf"$U_{{{k + 1}}}$", color)
    _box(ax, LOSS, outward, rf"$f_{{{k + 1}}}$", color, width=2 * SMALL_HALF_WIDTH)
    start = (ENCODER + HALF_WIDTH, height + HALF_HEIGHT * np.sign(outward - height))
    _arrow(ax, start, (HEAD - HALF_WIDTH, outward), color, dashed=True)
    end = (LOSS - SMALL_HALF_WIDTH, outward)
    _arrow(ax, (HEAD + HALF_WIDTH, outward), end, color, dashed=True)


def _draw_head_without_boxes(ax: Axes, k: int, height: float) -> None:
    """The uni-modal head of a modality where there is no room for boxes."""
    color = modality_color(k)
    _arrow(ax, (ENCODER, height + HALF_HEIGHT), (0.36, height + 0.085), color, dashed=True)
    words = rf"$U_{{{k + 1}}} \rightarrow f_{{{k + 1}}}$"
    ax.text(0.37, height + 0.09, words, ha="left", va="center", fontsize=8, color=color)


def _box(
    ax: Axes,
    x: float,
    y: float,
    text: str,
    color: str,
    *,
    width: float = 2 * HALF_WIDTH,
    filled: bool = True,
) -> None:
    box = FancyBboxPatch(
        (x - width / 2, y - HALF_HEIGHT),
        width,
        2 * HALF_HEIGHT,
        boxstyle="round,pad=0,rounding_size=0.02",
        ec=color,
        fc=mpl.colors.to_rgba(color, 0.15 if filled else 0.0),
        lw=1.2,
    )
    ax.add_patch(box)
    ax.text(x, y, text, ha="center", va="center", fontsize=9)


def _arrow(
    ax: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    color: str,
    *,
    dashed: bool = False,
) -> None:
    arrow = FancyArrowPatch(
        start,
        end,
        arrowstyle="-|>",
        mutation_scale=9,
        shrinkA=0,
        shrinkB=0,
        color=color,
        lw=1.1,
        linestyle=(0, (3, 2)) if dashed else "-",
    )
    ax.add_patch(arrow)


# ----------------------------------------------------------------------------------- trajectories


def draw_trajectories(
    top: Axes, bottom: Axes, runs: xr.Dataset, *, last_step: float, unimodal_losses: bool
) -> None:
    """Encoder norms (`top`) and losses (`bottom`) of one solver against the step.

    Lines are medians over seeds, bands reach from the 10 % to the 90 % quantile, and dotted lines
    are predictions.

    Parameters
    ----------
    top, bottom : Axes
        Two panels that share their step axis.
    runs : Dataset
        One solver of the dataset of :func:`mimo_sim.studies.figure1.compute`.
    last_step : float
        Where the step axis ends.
    unimodal_losses : bool
        Whether to show the uni-modal losses too.
    """
    for k, name in enumerate(runs.modality.values):
        one, line, color = runs.isel(modality=k), modality_line(k), modality_color(k)
        _draw_band(top, one.encoder_norm, **line, label=rf"$\|W_{{{k + 1}}}\|_F$ ({name})")
        top.axhline(float(one.predicted_final_encoder_norm), color=color, lw=0.9, ls=":")
        half_time = float(one.predicted_half_time)
        if np.isfinite(half_time):
            for ax in (top, bottom):
                ax.axvline(half_time, color=color, lw=0.9, ls=":")
        if unimodal_losses:
            _draw_band(bottom, one.loss_uni, **line, label=rf"$f_{{{k + 1}}}$ ({name})")
    _draw_band(bottom, runs.loss_mm, color=JOINT_COLOR, label=r"$f_{mm}$ (joint)")
    highest = 1.5 * float(runs.final_encoder_norm.max())
    top.set(ylabel="encoder norm", xlim=(0, last_step), ylim=(0, highest))
    largest = 1.08 * float(runs.loss_mm.max())
    bottom.set(xlabel="gradient-descent step", ylabel="loss", ylim=(0, largest))
    bottom.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
    bottom.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))
    top.tick_params(labelbottom=False)


def _draw_band(ax: Axes, values: xr.DataArray, **line: Any) -> None:
    """Median over seeds as a line, and a band between two quantiles."""
    low, middle, high = np.quantile(values.transpose("seed", "step"), QUANTILES, axis=0)
    (drawn,) = ax.plot(values.step, middle, **line)
    ax.fill_between(values.step, low, high, color=drawn.get_color(), alpha=0.25, lw=0)
