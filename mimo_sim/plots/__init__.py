"""Figures: data in, figure out. Nothing is computed or trained here."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
