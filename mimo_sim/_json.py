"""JSON of numbers that need not be finite."""

from __future__ import annotations

import json
import math
from typing import Any


def to_json(value: Any, indent: int = 2) -> str:
    """`value` as JSON: NaN becomes null, and infinity the word "inf" or "-inf"."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
