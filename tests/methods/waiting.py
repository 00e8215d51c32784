"""Which operations of a step make the processor wait for the device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = {  # their result, or the shape of it, goes to the processor
    "_linalg_check_errors",
    "_local_scalar_dense",  # item(), and float, int and bool of a tensor
    "_unique2",
    "equal",
    "masked_select",
    "multinomial",  # looks whether its input is valid
    "nonzero",
    "unique_consecutive",
    "unique_dim",
}
LEAVING = ("tolist", "numpy", "cpu", "__array__")  # take a tensor to the processor


class Listener(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the operations that wait."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.heard: set[str] = set()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = func.overloadpacket.__name__
        masked = name in ("index", "index_put", "index_put_") and any(
            isinstance(index, Tensor) and index.dtype == torch.bool for index in args[1]
        )
        if name in WAITING or masked:
            self.heard.add("index by a mask" if masked else name)
        return func(*args, **(kwargs or {}))


@contextmanager
def listening() -> Iterator[set[str]]:
    """The names of what waited inside the block."""
    listener = Listener()
    with pytest.MonkeyPatch.context() as patch:
        for name in LEAVING:
            plain = getattr(Tensor, name)

            def leave(self: Tensor, *args: Any, name: str = name, plain: Any = plain) -> Any:
                listener.heard.add(name)
                return plain(self, *args)

            patch.setattr(Tensor, name, leave)
        with listener:
            yield listener.heard
