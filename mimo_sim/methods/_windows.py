"""In which epochs a method acts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from mimo_sim._checks import check_count

if TYPE_CHECKING:
    from mimo_sim.methods._run import Run

Window: TypeAlias = tuple[int, int] | None
"""First and last zero-based epoch in which a method acts, both included. None: every epoch."""


def check_window(window: Sequence[int] | None) -> Window:
    """The window as a pair of integers, or None.

    Raises
    ------
    TypeError
        If it is neither None nor a pair of integers.
    ValueError
        Unless 0 <= first <= last.
    """
    if window is None:
        return None
    if not isinstance(window, list | tuple) or len(window) != 2:
        raise TypeError(
            f"`window` must be None or (first epoch, last epoch). Got window={window!r}."
        )
    first = check_count("window[0]", window[0], 0)
    last = check_count("window[1]", window[1], 0)
    if first > last:
        raise ValueError(f"`window` must have first <= last. Got window={window!r}.")
    return first, last


def inside(window: Window, epoch: int) -> bool:
    """Whether a zero-based epoch lies in the window."""
    return window is None or window[0] <= epoch <= window[1]


def epochs_or_share(epochs: int | None, run: Run, share: float) -> int:
    """The given number of epochs; for None this share of the run's epochs, rounded."""
    return round(share * run.num_epochs) if epochs is None else epochs
