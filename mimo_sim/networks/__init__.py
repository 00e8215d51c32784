"""Networks with one encoder per modality: the encoders, and how their features are fused.

>>> from mimo_sim import networks
>>> networks.available()
('attention', 'film', 'late', 'mmtm', 'sum')
"""

from mimo_sim import _extras

__getattr__, __dir__, __all__ = _extras.attach(__name__, __file__)
