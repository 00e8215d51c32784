"""Many training runs on real data: planned, done on several processes, compared, timed."""

from mimo_sim import _extras

__getattr__, __dir__, __all__ = _extras.attach(__name__, __file__)
