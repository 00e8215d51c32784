"""The look of every figure: colours, dashes, settings; and writing a figure to a file.

No global setting of matplotlib is touched, and the same data gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.lines import Line2D

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# The colours of Okabe and Ito: they differ for people with any common form of colour blindness.
MODALITY_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
JOINT_COLOR = "#222222"
METHOD_COLORS = ("#222222", "#56B4E9", "#009E73", "#E69F00", "#CC79A7")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))

# Margins are given, because matplotlib's layout engines draw every figure twice.
PORTRAIT = {
    "left": 0.085,
    "right": 0.985,
    "top": 0.955,
    "bottom": 0.105,
    "hspace": 0.16,
    "wspace": 0.24,
}
LEGEND_BOX: dict[str, Any] = {"frameon": True, "edgecolor": "none", "framealpha": 0.85}


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
    """Save a figure as PNG, PDF or SVG, whichever the suffix of `path` says.

    Dates are left out, so that equal figures are equal files.

    Raises
    ------
    ValueError
        For another suffix.
    """
    metadata: dict[str, dict[str, str | None]] = {
        ".pdf": {"CreationDate": None},
        ".svg": {"Date": None},
        ".png": {"Software": None},
    }
    if path.suffix not in metadata:
        raise ValueError(f"`path` must end in .png, .pdf or .svg. Got {str(path)!r}.")
    with style():
        figure.savefig(path, dpi=200, metadata=metadata[path.suffix])


def page_style() -> str:
    """The style sheet of the pages with results: the ledger of claims, and comparisons."""
    return (Path(__file__).parent / "page.css").read_text(encoding="utf-8")


def modality_color(k: int) -> str:
    """Colour of modality k; colours begin again after the last one."""
    return MODALITY_COLORS[k % len(MODALITY_COLORS)]


def modality_line(k: int) -> dict[str, Any]:
    """Colour and dashes of modality k, as arguments of ``ax.plot``."""
    return {"color": modality_color(k), "ls": dashes(k)}


def dashes(k: int) -> Any:
    """Dashes of line k; they begin again after the last ones."""
    return DASHES[k % len(DASHES)]


def grey_line(label: str, k: int = 0, **line: Any) -> Line2D:
    """An entry of a legend that explains dashes whatever the colour."""
    return Line2D([], [], **({"color": "0.3", "ls": dashes(k)} | line), label=label)


def note(figure: Figure, text: str, height: float = 0.012) -> None:
    """Write a note at the bottom of a figure, in the middle."""
    figure.text(0.5, height, text, ha="center", va="bottom", fontsize=7.5, color="0.3")


def plain_ticks(axis: Axis, ticks: Sequence[float]) -> None:
    """Set the ticks of an axis, logarithmic or not, and write them as plain numbers."""
    axis.set_major_locator(mpl.ticker.FixedLocator(ticks))
    axis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(mpl.ticker.NullLocator())
