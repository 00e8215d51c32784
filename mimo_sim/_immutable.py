"""Objects that cannot be changed, nor can their copies."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np


class Immutable:
    """A base class: the fields are set once, by :meth:`_fill`, and their arrays are read-only.

    A copy is the object itself. An unpickled object is a new one, and its arrays are read-only too.
    """

    _views: ClassVar[tuple[str, ...]] = ()  # fields that are made again from others after a pickle

    def _fill(self, **fields: Any) -> None:
        """Set all fields. Those that are otherwise computed on demand may be among them."""
        self.__dict__.update(fields)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"A {type(self).__name__} is immutable; {name!r} cannot be set. Make a new one."
        )

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: dict[int, Any]) -> Self:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in self._views}

    def __setstate__(self, fields: dict[str, Any]) -> None:
        for value in fields.values():
            for array in value if isinstance(value, tuple) else [value]:
                if isinstance(array, np.ndarray):
                    array.flags.writeable = False  # a pickle does not keep this
        self._fill(**fields)
