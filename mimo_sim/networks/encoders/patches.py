"""A small transformer over the patches of a picture."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from mimo_sim.networks.encoders._base import Encoder
from mimo_sim.networks.encoders._sequence import blocks

PER_SIDE = 8  # patches along the longer side, at most


class _Patches(nn.Module):
    """Patches (B, patches, width) of pictures, each with a learned place."""

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        channels, height, wide = shape
        side = -(-max(height, wide) // PER_SIDE)
        rows, columns = -(-height // side), -(-wide // side)
        self.pad = nn.ZeroPad2d((0, columns * side - wide, 0, rows * side - height))
        self.cut = nn.Conv2d(channels, width, side, side)
        self.place = nn.Parameter(0.02 * torch.randn(rows * columns, width))

    def forward(self, x: Tensor) -> Tensor:
        patches: Tensor = self.cut(self.pad(x)).flatten(2).transpose(1, 2)
        return patches + self.place


class _Mean(nn.Module):
    """The mean over the patches."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


class PatchTransformer(Encoder):
    """Patches, two transformer layers with four heads, and the mean over the patches.

    A vision transformer (Dosovitskiy et al. 2021) in small: at most 8 x 8 patches, layer norm
    before each block, no dropout. Pictures are padded with zeros to whole patches.
    """

    name: ClassVar[str] = "patches"

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        if len(shape) != 3:
            raise ValueError(
                f"the encoder 'patches' needs inputs (channels, height, width). Got shape {shape}."
            )
        super().__init__(nn.Sequential(_Patches(shape, width), blocks(width), _Mean()), width)
