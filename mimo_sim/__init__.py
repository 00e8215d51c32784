"""mimo_sim: the laboratory for modality imbalance in multi-modal learning.

A name is loaded when it is first used. So ``import mimo_sim`` takes milliseconds
and loads neither torch nor a plotting library. The public names stand in ``__init__.pyi``.
"""

from mimo_sim import _extras, _moved

__version__ = "0.3.0"

__getattr__, __dir__, __all__ = _extras.attach(__name__, __file__)
_moved.watch_imports()
