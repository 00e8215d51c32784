"""One linear map without bias: the encoder of the toy."""

from __future__ import annotations

from math import prod
from typing import ClassVar

from torch import nn

from mimo_sim.networks.encoders._base import Encoder


class Linear(Encoder):
    """h = W x of the flattened input, without bias."""

    name: ClassVar[str] = "linear"

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        layer = nn.Linear(prod(shape), width, bias=False)
        super().__init__(nn.Sequential(nn.Flatten(), layer), width)
