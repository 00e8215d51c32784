"""State of a method in buffers: means over an epoch, and buffers that get their size late."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn


class EpochMean(nn.Module):
    """The mean of a statistic over the steps of an epoch. No step waits for a result of the GPU.

    Parameters
    ----------
    shape : int or tuple of int
        Shape of the statistic.
    device : torch.device
        Where it lives.
    """

    total: Tensor
    count: Tensor

    def __init__(self, shape: int | tuple[int, ...], device: torch.device) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(shape, device=device))
        self.register_buffer("count", torch.zeros((), device=device))

    def reset(self) -> None:
        """Begin a new epoch."""
        self.total.zero_()
        self.count.zero_()

    def add(self, value: Tensor) -> None:
        """Count the statistic of one step."""
        self.total += value
        self.count += 1

    def mean(self) -> Tensor:
        """The mean so far; zero where nothing was counted."""
        return self.total / self.count.clamp_min(1)


class SizedByLosses(nn.Module):
    """A module whose buffers get their size from the first losses, or from a loaded state.

    Floating-point buffers never go below single precision: ``half()`` and the like leave float32.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        before = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, old in before.items():
            new = self.get_buffer(name)
            if new.is_floating_point() and new.dtype.itemsize < 4:
                setattr(self, name, old.to(new.device, torch.float32))
        return self

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        for name, buffer in list(self.named_buffers(recurse=False)):
            if prefix + name in state_dict:
                loaded = state_dict[prefix + name]
                setattr(self, name, torch.empty_like(loaded, device=buffer.device))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
