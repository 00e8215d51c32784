"""Small pictures of a short video as the channels of one picture: the default for both."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from mimo_sim.networks.encoders._base import Encoder
from mimo_sim.networks.encoders.lenet import LeNet


class Frames(Encoder):
    """The frames become channels, and the encoder ``lenet`` takes it from there.

    This is early fusion in time (Karpathy et al. 2014; Chung and Zisserman 2016 for lips): the
    first convolution sees all frames at once. It costs hardly more than one picture.
    """

    name: ClassVar[str] = "frames"

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        if len(shape) != 4:
            raise ValueError(
                "the encoder 'frames' needs inputs (channels, frames, height, width). "
                f"Got shape {shape}."
            )
        channels, frames, *sides = shape
        network = LeNet((channels * frames, *sides), width)
        super().__init__(nn.Sequential(nn.Flatten(1, 2), network.body), width)
