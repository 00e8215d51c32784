"""Networks with one encoder per modality: the encoders, and how their features are fused."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
