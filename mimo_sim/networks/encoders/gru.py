"""A recurrent network for sequences: the default for inputs (steps, numbers)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from mimo_sim.networks.encoders._base import Encoder
from mimo_sim.networks.encoders._sequence import real_first


class _LastState(nn.Module):
    """The state of a GRU after the last real step."""

    def __init__(self, numbers: int, width: int) -> None:
        super().__init__()
        self.network = nn.GRU(numbers, width, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x, real = real_first(x)
        states, _ = self.network(x)
        last = (real.sum(1) - 1).clamp(min=0)
        found: Tensor = states[torch.arange(len(x), device=x.device), last]
        return found


class GRU(Encoder):
    """A gated recurrent unit (Cho et al. 2014) of one layer; the feature is its last state.

    Steps whose numbers are all zero in the network's input are padding. They are left out,
    wherever they stand, so a sequence has the same feature however it is padded.
    """

    name: ClassVar[str] = "gru"

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        if len(shape) != 2:
            raise ValueError(f"the encoder 'gru' needs inputs (steps, numbers). Got shape {shape}.")
        super().__init__(_LastState(shape[1], width), width)
