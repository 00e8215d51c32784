"""Colours and markers of methods, the same in all figures of a benchmark."""

from __future__ import annotations

import textwrap
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

from matplotlib.lines import Line2D

from mimo_sim.benchmark.curves import CURVES
from mimo_sim.benchmark.wording import known
from mimo_sim.plots._style import JOINT_COLOR, MODALITY_COLORS

Look: TypeAlias = dict[str, Any]  # colour, marker and fill, as arguments of ``ax.plot``

COLORS = (JOINT_COLOR, *MODALITY_COLORS)
MARKERS = ("o", "s", "^", "D", "v", "p")  # of methods with their default hyper-parameters
VARIANT_MARKERS = ("P", "X", "<", ">", "*", "h", "d")  # of methods with others
FILLS = ("full", "none", "left")
LETTER_WIDTH = 0.06  # inches that a letter takes in a legend
LEGEND_TEXT: dict[str, Any] = {"fontsize": 7.5, "title_fontsize": 7.5, "alignment": "left"}


def method_looks(names: Sequence[str]) -> dict[str, Look]:
    """Colour and marker of every run.

    Two registered methods never share both, and a method looks the same whatever else is shown.
    A variant has the colour of its method, and a marker by its place among `names`.

    Parameters
    ----------
    names : sequence of str
        Runs as their folders name them: ``"mimo"``, or ``"mimo-lam=10"`` for a variant.
    """
    looks = {}
    variants_of_color: Counter[str] = Counter()
    for name in sorted(set(names)):
        method = name.partition("-")[0]
        row, column = divmod(_place(method), len(COLORS))
        filled, shape = divmod(row, len(MARKERS))
        color, marker, fill = COLORS[column], MARKERS[shape], FILLS[filled % len(FILLS)]
        if name != method:
            row, column = divmod(variants_of_color[color], len(VARIANT_MARKERS))
            marker, fill = VARIANT_MARKERS[column], FILLS[row % len(FILLS)]
            variants_of_color[color] += 1
        looks[name] = {"color": color, "marker": marker, "fillstyle": fill}
    return looks


def _place(method: str) -> int:
    """The place of a method in a table of looks, where each column is a colour.

    Methods that are shown by default come first. One that is not registered is in the last row, in
    a column that only its name decides.
    """
    others = [name for name in known() if name not in CURVES]
    order = [*CURVES, *others]
    if method in order:
        return order.index(method)
    last_row = len(FILLS) * len(MARKERS) - 1
    return len(COLORS) * last_row + zlib.crc32(method.encode()) % len(COLORS)


def legend_entry(label: str, look: Look, **line: Any) -> Line2D:
    """An entry of a legend: a mark with this look, and a line if `line` says so."""
    arguments: dict[str, Any] = {"ls": "", "ms": 6} | look | line
    return Line2D([], [], label=label, **arguments)


def wrapped(words: str, width: float) -> str:
    """Words on as many lines as a width in inches needs, in a heading of nine points."""
    return textwrap.fill(words, max(8, int(width / 0.085)), break_on_hyphens=False)
