"""Many training runs on real data: planned, done on several processes, compared, timed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
