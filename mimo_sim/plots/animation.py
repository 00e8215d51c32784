"""The race of Figure 1 as an animation: joint training against MIMO, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mimo_sim._checks import check_count, check_positive
from mimo_sim.plots._style import JOINT_COLOR, modality_line, style

if TYPE_CHECKING:
    import numpy.typing as npt
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

    Frames = npt.NDArray[np.uint8]

SIZE, DPI = (7.2, 4.2), 100  # of a frame, in inches and pixels per inch
COLOURS = 48  # of the stored pictures; the figure has few
TITLES = {"vanilla": "Joint training", "mimo": "MIMO"}
NOTE = (
    "One step size. MIMO's penalty also makes its steps larger: compare the ratios, not the steps."
)
SPEEDS_UP = 1.5  # power of the clock
Curve = tuple["Line2D", "Line2D", "npt.NDArray[np.float64]"]  # line, tip, values


def draw_race_frames(data: xr.Dataset, frames: int = 60) -> Frames:
    """The frames of the race: encoder norms and losses, with a dot at the tip of every curve.

    Both columns show the same step at the same moment. The clock speeds up on the way, as most
    happens early under MIMO. The titles of the last frame say how long the later modality took,
    over the earlier one.

    Parameters
    ----------
    data : Dataset
        What :func:`mimo_sim.studies.figure1.compute` returned; its first seed is shown.
    frames : int
        Number of frames n, >= 2.

    Returns
    -------
    array (n, height, width, 3) of uint8
        Red, green and blue.

    Raises
    ------
    ValueError, TypeError
        If `frames` is outside its range.
    """
    check_count("frames", frames, 2)
    runs = data.isel(seed=0)
    last = float(runs.step[-1])
    half = runs.half_time.values[np.isfinite(runs.half_time.values)]
    last = min(last, 1.25 * float(half.max())) if half.size else last
    with style():
        figure = Figure(figsize=SIZE, dpi=DPI)
        canvas = FigureCanvasAgg(figure)
        axes = figure.subplots(2, 2, sharex=True, sharey="row")
        curves = [
            curve
            for (top, bottom), solver in zip(axes.T, TITLES, strict=True)
            for curve in _prepare(top, bottom, runs.sel(solver=solver), last)
        ]
        axes[0, 0].set_ylabel("encoder norm")
        axes[1, 0].set_ylabel("loss")
        figure.subplots_adjust(left=0.085, right=0.985, top=0.865, bottom=0.155, hspace=0.12)
        clock = figure.text(0.5, 0.965, "", ha="center", va="center", fontsize=11)
        figure.text(0.5, 0.012, NOTE, ha="center", va="bottom", fontsize=7.5, color="0.3")
        pictures = []
        for step in last * np.linspace(0, 1, frames) ** SPEEDS_UP:
            clock.set_text(f"gradient-descent step {step:,.0f}")
            if step == last:
                for ax, solver in zip(axes[0], TITLES, strict=True):
                    ax.set_title(f"{TITLES[solver]}: {_verdict(runs.sel(solver=solver))}")
            _move(curves, runs.step.values, step)
            canvas.draw()  # type: ignore[no-untyped-call]
            drawn = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
            pictures.append(np.asarray(drawn)[..., :3].copy())
    return np.stack(pictures)


def _prepare(top: Axes, bottom: Axes, run: xr.Dataset, last: float) -> list[Curve]:
    """Empty curves of one solver: the encoder norms above, the losses below."""
    top.set_title(TITLES[str(run.solver.values)])
    curves = []
    for k, name in enumerate(run.modality.values):
        one, line = run.isel(modality=k), modality_line(k)
        curves.append(_curve(top, one.encoder_norm.values, f"input {name}", **line))
        if str(run.solver.values) == "mimo":
            curves.append(_curve(bottom, one.loss_uni.values, f"{name} alone", **line))
    curves.append(_curve(bottom, run.loss_mm.values, "both inputs", color=JOINT_COLOR))
    top.set(xlim=(0, last), ylim=(0, 1.6))
    bottom.set(ylim=(0, 1.32), xlabel="gradient-descent step")
    bottom.xaxis.set_major_formatter("{x:,.0f}")
    bottom.locator_params(axis="x", nbins=5)
    bottom.set_yticks(np.linspace(0, 1, 5))
    for ax in (top, bottom):
        ax.legend(loc="upper right", ncols=3, columnspacing=1.2, handlelength=1.8)
    return curves


def _curve(ax: Axes, values: npt.NDArray[np.float64], label: str, **line: Any) -> Curve:
    (drawn,) = ax.plot([], [], label=label, **line)
    (tip,) = ax.plot([], [], "o", ms=4.5, color=line["color"])
    return drawn, tip, values


def _verdict(run: xr.Dataset) -> str:
    """How long the later modality took, over the earlier one, in words."""
    half = run.half_time.values
    if not np.isfinite(half).all():
        return "one input is never learned"
    return f"half-times {half.max() / half.min():.2f} : 1"


def _move(curves: list[Curve], steps: npt.NDArray[np.int64], now: float) -> None:
    """Draw every curve up to this step."""
    so_far = steps[steps < now]
    for line, tip, values in curves:
        end = float(np.interp(now, steps, values))
        line.set_data(np.append(so_far, now), np.append(values[: len(so_far)], end))
        tip.set_data([now], [end])


def write_animation(
    frames: Frames, path: str | Path, *, seconds: float = 6.0, pause: float = 3.0, loops: int = 3
) -> None:
    """Write frames as an animated PNG. It ends on the last frame, so it can be read in peace.

    Parameters
    ----------
    frames : array (n, height, width, 3) of uint8
        With n >= 2.
    path : path
        It ends in ``.png``. Programs that cannot animate show the last frame, which is stored
        first and not part of the animation.
    seconds : float
        Time that the frames take, without the pause, > 0.
    pause : float
        Seconds on the last frame before it begins again, >= 0.
    loops : int
        How often it plays, >= 0; 0 means for ever.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, or the path has another suffix.
    """
    from PIL import Image

    path = Path(path)
    if path.suffix != ".png":
        raise ValueError(f"`path` must end in .png. Got {str(path)!r}.")
    if frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) < 2:
        raise ValueError(
            "`frames` must be an array (n, height, width, 3) with n >= 2. "
            f"Got shape {frames.shape}."
        )
    check_positive("seconds", seconds)
    check_positive("pause", pause, allow_zero=True)
    check_count("loops", loops, 0)
    still = Image.fromarray(frames[-1]).quantize(
        COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    pictures = [
        Image.fromarray(each).quantize(palette=still, dither=Image.Dither.NONE) for each in frames
    ]
    each = round(1000 * seconds / len(frames))
    durations = [each] * (len(frames) - 1) + [each + round(1000 * pause)]
    still.save(
        path,
        format="PNG",
        save_all=True,
        default_image=True,
        append_images=pictures,
        duration=durations,
        loop=loops,
        optimize=True,
    )
