"""Results that several claims share. A test that plants a fault must empty them before and after."""

from __future__ import annotations

from collections.abc import Callable

CLEAR: list[Callable[[], None]] = []  # one function per module that remembers anything


def clear_caches() -> None:
    """Forget every shared result."""
    for clear in CLEAR:
        clear()
