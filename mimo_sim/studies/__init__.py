"""The runs behind the named figures, one study a file: computed here, drawn in :mod:`mimo_sim.plots`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
