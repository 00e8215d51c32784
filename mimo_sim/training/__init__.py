"""Training of networks by any registered method, on Lightning Fabric; records of finished runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mimo_sim import _moved
from mimo_sim.errors import NonFiniteError

if TYPE_CHECKING:
    from mimo_sim.training.launch import train
    from mimo_sim.training.loop import TrainingRun
    from mimo_sim.training.result import Result
    from mimo_sim.training.settings import Settings

__all__ = ["NonFiniteError", "Result", "Settings", "TrainingRun", "train"]

_HOMES = {
    "Result": "mimo_sim.training.result",
    "Settings": "mimo_sim.training.settings",
    "TrainingRun": "mimo_sim.training.loop",
    "train": "mimo_sim.training.launch",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    return _moved.hook(__name__)(name)
