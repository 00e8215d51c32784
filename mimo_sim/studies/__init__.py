"""The studies behind the named figures, one a file: `compute` runs it, `summarise` its numbers.

Results are datasets. They are drawn in :mod:`mimo_sim.plots`.
"""

from mimo_sim import _extras

__getattr__, __dir__, __all__ = _extras.attach(__name__, __file__)
