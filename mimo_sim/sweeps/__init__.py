"""Sweeps: many runs over parameters of the problem, the method and the run, as one dataset.

The runs of a design are numbered once. A chunk is a range of these numbers, and its results depend
on the design alone. So the result is the same, in whatever order, on whatever machine and at
whatever attempt the chunks were computed. Finished chunks survive a kill.
"""

from typing import TYPE_CHECKING

from mimo_sim import _moved
from mimo_sim.sweeps.driver import sweep

__all__ = ["sweep"]
if not TYPE_CHECKING:  # a type checker must still see which names there are
    __getattr__ = _moved.hook(__name__)
