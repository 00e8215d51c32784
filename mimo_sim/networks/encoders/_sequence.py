"""Padded sequences and transformer blocks, for the encoders that have them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LAYERS = 2
HEADS = (4, 2, 1)  # the first that divides the width


def real_first(x: Tensor) -> tuple[Tensor, Tensor]:
    """Sequences (B, steps, numbers) with their real steps first, and which steps those are.

    A step whose numbers are all zero is padding. Real steps keep their order.
    """
    real = (x != 0).any(2)
    order = (~real).to(torch.uint8).argsort(stable=True, dim=1)
    return x.gather(1, order[:, :, None].expand_as(x)), real.gather(1, order)


def blocks(width: int) -> nn.TransformerEncoder:
    """Two transformer layers (B, steps, width): layer norm before each, no dropout."""
    heads = next(heads for heads in HEADS if width % heads == 0)
    layer = nn.TransformerEncoderLayer(
        width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(
        layer, LAYERS, norm=nn.LayerNorm(width), enable_nested_tensor=False
    )
