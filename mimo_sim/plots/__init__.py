"""Figures: data in, figure out. Nothing is computed or trained here."""

from mimo_sim import _extras

__getattr__, __dir__, __all__ = _extras.attach(__name__, __file__)
