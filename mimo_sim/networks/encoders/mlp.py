"""A perceptron of two layers: the default for vectors."""

from __future__ import annotations

from math import prod
from typing import ClassVar

from torch import nn

from mimo_sim.networks.encoders._base import Encoder


class MLP(Encoder):
    """Two linear layers of `width` units, each with ReLU, on the flattened input."""

    name: ClassVar[str] = "mlp"

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        body = nn.Sequential(
            nn.Flatten(),
            nn.Linear(prod(shape), width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
        )
        super().__init__(body, width)
