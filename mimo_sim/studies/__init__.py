"""The runs behind the named figures, one study a file: computed here, drawn in :mod:`mimo_sim.plots`."""

from mimo_sim import _extras

__getattr__, __dir__, __all__ = _extras.attach(__name__, __file__)
