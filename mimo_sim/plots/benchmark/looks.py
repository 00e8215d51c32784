"""Colours and markers of methods."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D

from mimo_sim import methods
from mimo_sim.plots._style import JOINT_COLOR, MODALITY_COLORS

if TYPE_CHECKING:
    pass


CURVES = (
    "vanilla",
    "linear_scalarization",
    "mimo",
    "unimodal",
)  # in the per-epoch figure unless asked otherwise
REFERENCES = CURVES[:2]
COLORS = (JOINT_COLOR, *MODALITY_COLORS)
MARKERS = ("o", "s", "^", "D", "v")  # of methods, as given
VARIANTS = ("P", "X", "<", ">", "p", "*", "h", "d")  # of methods with other hyper-parameters
FILLS = ("full", "none", "left")

WIDTH = 0.06  # inches of a letter in a legend

Look = dict[str, Any]


def method_looks(names: Sequence[str]) -> dict[str, Look]:
    """Colour and marker of runs by name, ``method`` or ``method-key=value...``.

    Both belong to a method, whatever else is shown: no two registered ones share both. Its variants have its colour, and markers by their order among `names`.
    """
    order = [*CURVES, *(name for name in methods.available() if name not in CURVES)]
    found, used = {}, Counter[str]()
    for name in sorted(set(names)):
        base = name.partition("-")[0]
        place = (
            order.index(base)
            if base in order
            else len(COLORS) * (len(MARKERS) - 1) + zlib.crc32(base.encode()) % len(COLORS)
        )
        color = COLORS[place % len(COLORS)]
        if name == base:
            marker, fill = MARKERS[place // len(COLORS) % len(MARKERS)], FILLS[0]
        else:
            marker, fill = (
                VARIANTS[used[color] % len(VARIANTS)],
                FILLS[used[color] // len(VARIANTS) % len(FILLS)],
            )
            used[color] += 1
        found[name] = {"color": color, "marker": marker, "fillstyle": fill}
    return found


def handle(label: str, look: Look, **line: Any) -> Line2D:
    return Line2D([], [], **({"ls": "", "ms": 6} | look | line), label=label)  # type: ignore[arg-type]
