"""The look of every figure: colours, dashes, settings, notes and ticks; and writing a figure to a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    pass


# Okabe and Ito's colours, distinguishable with every common form of colour blindness.
MODALITY_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
JOINT_COLOR = "#222222"
METHOD_COLORS = ("#222222", "#56B4E9", "#009E73", "#E69F00", "#CC79A7")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
QUANTILES = (0.1, 0.9)
FULL_PAGE = {
    "hspace": 0.16,
    "wspace": 0.24,
    "left": 0.085,
    "right": 0.985,
    "top": 0.955,
    "bottom": 0.105,
}  # explicit margins: layout engines draw twice


@contextmanager
def style() -> Iterator[None]:
    """The look of every figure of the package, for the duration of a block."""
    settings: Any = {
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 9,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8,
        "legend.frameon": False,
        "lines.linewidth": 1.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "mimo_sim",
        "svg.fonttype": "path",
        "pdf.fonttype": 42,
    }
    with mpl.rc_context(mpl.rcParamsDefault), mpl.rc_context(settings):
        yield


def write(figure: Figure, path: Path) -> None:
    """Save as PNG, PDF or SVG by suffix, without dates, so that equal figures are equal files."""
    metadata: dict[str, dict[str, str | None]] = {
        ".pdf": {"CreationDate": None},
        ".svg": {"Date": None},
        ".png": {"Software": None},
    }
    if path.suffix not in metadata:
        raise ValueError(f"`path` must end in .png, .pdf or .svg. Got {str(path)!r}.")
    with style():
        figure.savefig(path, dpi=200, metadata=metadata[path.suffix])


def modality_color(k: int) -> str:
    return MODALITY_COLORS[k % len(MODALITY_COLORS)]


def plain_ticks(axis: Any, values: tuple[float, ...]) -> None:
    axis.set_major_locator(mpl.ticker.FixedLocator(values))
    axis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(mpl.ticker.NullLocator())


def note(figure: Figure, text: str) -> None:
    figure.text(0.5, 0.008, text, ha="center", va="bottom", fontsize=7.5, color="0.3")
