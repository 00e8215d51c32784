"""The search for counter-examples: hypothesis draws cases, and shrinks what it finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")


def counterexample(
    strategy: SearchStrategy[T], violates: Callable[[T], bool], draws: int
) -> T | None:
    """The simplest case found for which `violates` is true, or None.

    At most `draws` cases are drawn. The search does the same every time.
    """
    quiet = settings(
        max_examples=draws,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    try:
        return find(strategy, violates, settings=quiet)
    except NoSuchExample:
        return None
