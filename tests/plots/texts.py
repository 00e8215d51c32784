"""What the texts of a figure must not do."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from mimo_sim import plots


def refuse_overlapping_texts(figure: Figure) -> None:
    """No text overlaps another one, or leaves the figure at its left or right."""
    with plots.style():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # type: ignore[no-untyped-call]
        boxes = _boxes(figure, canvas.get_renderer())  # type: ignore[no-untyped-call]
    for words, box in boxes:
        assert figure.bbox.x0 <= box.x0, words
        assert box.x1 <= figure.bbox.x1, words
    for (words, box), (others, other) in combinations(boxes, 2):
        assert not _inner(box).overlaps(_inner(other)), (words, others)


def _boxes(figure: Figure, renderer: Any) -> list[tuple[str, Bbox]]:
    """The texts that are drawn, each with its box."""
    boxes = []
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if text.get_visible() and text.get_text().strip() and not _is_hidden_tick(figure, text):
            box = text.get_window_extent(renderer)
            if box.width and text.get_in_layout() and figure.bbox.overlaps(box):
                boxes.append((text.get_text(), box))
    return boxes


def _inner(box: Bbox) -> Bbox:
    """The part of a box that letters fill: line height includes leading."""
    return box.shrunk(0.9, 0.6).translated(0.05 * box.width, 0.2 * box.height)


def _is_hidden_tick(figure: Figure, text: Text) -> bool:
    """Whether `text` labels a tick outside the view, which matplotlib keeps but does not draw."""
    for ax in figure.axes:
        for axis, limits in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
            low, high = sorted(limits)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if text in (tick.label1, tick.label2):
                    return not low <= tick.get_loc() <= high
    return False
