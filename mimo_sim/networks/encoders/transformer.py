"""A small transformer for sequences."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from mimo_sim.networks.encoders._base import Encoder
from mimo_sim.networks.encoders._sequence import blocks, real_first


class _MeanState(nn.Module):
    """The mean over the real steps of what the blocks make of a sequence."""

    def __init__(self, steps: int, numbers: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(numbers, width)
        self.place = nn.Parameter(0.02 * torch.randn(steps, width))
        self.blocks = blocks(width)

    def forward(self, x: Tensor) -> Tensor:
        x, real = real_first(x)
        seen = real.clone()
        seen[:, 0] = True  # attention needs something to look at
        states = self.blocks(self.enter(x) + self.place, src_key_padding_mask=~seen)
        kept = states.masked_fill(~real[:, :, None], 0.0).sum(1)
        found: Tensor = kept / real.sum(1, keepdim=True).clamp(min=1)
        return found


class Transformer(Encoder):
    """A linear map of each step, two transformer layers (Vaswani et al. 2017), their mean.

    Each step has a learned place, up to four heads look at all steps, layer norm comes before each
    block, and there is no dropout. Steps whose numbers are all zero in the network's input are
    padding: nothing looks at them, wherever they stand.
    """

    name: ClassVar[str] = "transformer"

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        if len(shape) != 2:
            raise ValueError(
                f"the encoder 'transformer' needs inputs (steps, numbers). Got shape {shape}."
            )
        super().__init__(_MeanState(*shape, width), width)
