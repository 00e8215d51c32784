"""What a planted fault is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from unittest import mock


@dataclass(frozen=True)
class Fault:
    """Something wrong with the package, which can be planted and taken out again.

    Attributes
    ----------
    id : str
        Short name.
    what : str
        The fault in words.
    caught_by : tuple of str
        Ids of the claims whose checks notice it, the fastest check first.
    owner : module or class
        Where the right function or cached property stands.
    name : str
        Its name there.
    wrong : callable
        ``wrong(right, *arguments)`` is called instead of ``right(*arguments)``.
    """

    id: str
    what: str
    caught_by: tuple[str, ...]
    owner: Any
    name: str
    wrong: Callable[..., Any]

    def plant(self) -> AbstractContextManager[Any]:
        """The package has the fault while this context is open."""
        right = getattr(self.owner, self.name)
        if isinstance(right, cached_property):
            return mock.patch.object(
                self.owner, self.name, property(lambda owner: self.wrong(right.func, owner))
            )

        def instead(*arguments: Any, **settings: Any) -> Any:
            return self.wrong(right, *arguments, **settings)

        return mock.patch.object(self.owner, self.name, instead)
