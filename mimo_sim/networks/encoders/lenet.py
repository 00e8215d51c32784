"""Two convolutions and a linear layer: the default for small pictures."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from mimo_sim.networks.encoders._base import Encoder

KERNEL = 5
CHANNELS = (8, 16)
LARGEST_AT_STRIDE_1 = 56  # pixels; larger pictures are halved by each convolution


class LeNet(Encoder):
    """Two 5x5 convolutions with batch norm, 2x2 max pooling and ReLU; then a linear layer and ReLU.

    The convolutions have 8 and 16 channels. Their stride is 2 for pictures of more than
    56 pixels in height or width, else 1.
    """

    name: ClassVar[str] = "lenet"

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        if len(shape) != 3:
            raise ValueError(
                f"the encoder 'lenet' needs inputs (channels, height, width). Got shape {shape}."
            )
        inside, *sides = shape
        stride = 2 if max(sides) > LARGEST_AT_STRIDE_1 else 1
        layers: list[nn.Module] = []
        for outside in CHANNELS:
            layers += [
                nn.Conv2d(inside, outside, KERNEL, stride, padding=KERNEL // 2),
                nn.BatchNorm2d(outside),
                nn.MaxPool2d(2),
                nn.ReLU(),  # before the pooling it would give the same, at four times the cost
            ]
            inside = outside
            sides = [((side - 1) // stride + 1) // 2 for side in sides]
        height, wide = sides
        if not height * wide:
            raise ValueError(
                f"the encoder 'lenet' needs a height and width of at least 4. Got shape {shape}."
            )
        last = nn.Linear(inside * height * wide, width)
        body = nn.Sequential(*layers, nn.Flatten(), last, nn.ReLU())
        super().__init__(body.to(memory_format=torch.channels_last), width)  # type: ignore[call-overload]
