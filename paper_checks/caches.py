"""Results that several claims share. A test that plants a fault empties them before and after."""

from __future__ import annotations

from collections.abc import Callable

CLEAR: list[Callable[[], None]] = []  # a module that remembers results adds a function here


def clear_caches() -> None:
    """Forget every shared result."""
    for clear in CLEAR:
        clear()
