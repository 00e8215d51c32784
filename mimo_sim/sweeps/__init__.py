"""Sweeps: many runs over problem, method and run parameters as one labelled dataset, computed in chunks that survive a kill.

The runs of a design are numbered once. A chunk is a range of these numbers and its results are a function of the design alone, so the order, the machine
and the attempt in which chunks are computed leave no trace in the result.
"""

from typing import TYPE_CHECKING

from mimo_sim import _moved
from mimo_sim.sweeps.driver import sweep

__all__ = ["sweep"]
if not TYPE_CHECKING:  # a type checker must still see which names there are
    __getattr__ = _moved.hook(__name__)
