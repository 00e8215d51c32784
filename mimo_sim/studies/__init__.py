"""The studies behind the named figures, one a file: `compute` runs it, `summarise` its numbers.

Results are datasets. They are drawn in :mod:`mimo_sim.plots`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
