"""mimo_sim: the laboratory for modality imbalance in multi-modal learning.

A name is loaded when it is first used. So ``import mimo_sim`` takes milliseconds
and loads neither torch nor a plotting library. The public names stand in ``__init__.pyi``.
"""

from __future__ import annotations

from typing import Any

import lazy_loader

from mimo_sim import _moved

__version__ = "0.2.0"

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
_moved.watch_imports()


def __getattr__(name: str) -> Any:
    if name in __all__:
        return _load(name)
    raise AttributeError(
        _moved.sentence(f"{__name__}.{name}") or f"module 'mimo_sim' has no attribute {name!r}"
    )
