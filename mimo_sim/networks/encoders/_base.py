"""What every encoder is: a network from one modality's input to a feature of known length."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn


class Encoder(nn.Module):
    """An encoder: input (B, *shape) to feature (B, width), which is always float32.

    B is the number of samples in a batch. To add an encoder, write a subclass in a new module of
    this package; it is then found by itself. The subclass has a ``name``. Its constructor takes
    `shape` and `width`, and passes a body and the width of the body's output to this constructor.

    Parameters
    ----------
    body : module (B, *shape) -> (B, width)
    width : int
        Length of the feature.

    Attributes
    ----------
    name : str
        Registry key.
    autocast : torch.dtype or None
        The body runs in this lower precision; None is full precision.
    """

    name: ClassVar[str] = ""
    autocast: torch.dtype | None = None

    def __init__(self, body: nn.Module, width: int) -> None:
        super().__init__()
        self.body = body
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, width), float32."""
        if self.autocast is None:
            return self.body(x)  # type: ignore[no-any-return]
        with torch.autocast(x.device.type, self.autocast):
            return self.body(x).float()  # type: ignore[no-any-return]
