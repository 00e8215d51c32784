"""The studies behind the named figures, one file each.

`compute` runs a study and returns a dataset. `summarise` gives its numbers as plain values. The
figures are drawn in :mod:`mimo_sim.plots`.
"""

from mimo_sim import _extras

__getattr__, __dir__, __all__ = _extras.attach(__name__, __file__)
