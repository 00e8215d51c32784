"""Parts of pictures that several lessons share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from mimo_sim.plots._style import JOINT_COLOR, modality_line

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

STEP = "gradient-descent step"


def step_axis(ax: Axes, last: float | None = None) -> None:
    """Label the axis of steps, with few ticks; it ends at `last`."""
    ax.set_xlabel(STEP)
    if last is not None:
        ax.set_xlim(0, last)
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(4))
    ax.xaxis.set_major_formatter("{x:,.0f}")


def plot_modalities(ax: Axes, run: xr.Dataset, what: str, symbol: str, **line: Any) -> None:
    """One curve per modality against the step. `symbol` is a formula that has ``{}`` for the name.

    Parameters
    ----------
    ax : Axes
    run : Dataset
        A run of the toy.
    what : str
        A variable (step, modality) of it.
    symbol : str
        Such as ``"|W_{}|"``.
    **line
        More arguments of ``ax.plot``.
    """
    for k, name in enumerate(run.modality.values):
        label = f"${symbol.format(name)}$"
        ax.plot(run.step, run[what].isel(modality=k), label=label, **(modality_line(k) | line))


def plot_joint_loss(ax: Axes, run: xr.Dataset) -> None:
    """The multi-modal loss against the step."""
    ax.plot(run.step, run.loss_mm, color=JOINT_COLOR, label="$f_{mm}$")


def lettered(axes: Sequence[Axes], titles: Sequence[str]) -> None:
    """Give panels the titles (a), (b), ..."""
    for letter, ax, title in zip("abcdefgh", axes, titles, strict=False):
        ax.set_title(f"({letter}) {title}")
