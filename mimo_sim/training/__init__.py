"""Training of networks by any registered method, on Lightning Fabric; records of finished runs."""

from mimo_sim import _extras

__getattr__, __dir__, __all__ = _extras.attach(__name__, __file__)
