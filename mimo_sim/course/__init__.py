"""What the notebooks draw and print, so that their cells show the idea: data in, picture out."""

from mimo_sim._extras import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
