"""Attention fusion: a class token reads the tokens of all modalities in a transformer block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from mimo_sim.networks._base import FusionNetwork

TOKENS = 4  # of each modality
HEADS = (4, 2, 1)  # the first that divides the width
BLOCKS = 1


class AttentionFusion(FusionNetwork):
    """Every feature becomes four tokens; a class token and all tokens go through a transformer.

    A linear map makes the tokens of a modality, and each token has a learned place. The block is
    one of a vision transformer: four heads, layer norm first, no dropout. The head reads the class
    token. An absent modality has no tokens.
    """

    name: ClassVar[str] = "attention"
    about: ClassVar[str] = "a class token and the tokens of all modalities in a transformer block"

    def build(self) -> None:
        """The maps to tokens, their places, the class token, the block and the head."""
        width = max(self.widths)
        self.maps = nn.ModuleList(nn.Linear(each, TOKENS * width) for each in self.widths)
        self.places = nn.Parameter(0.02 * torch.randn(len(self.widths), TOKENS, width))
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        layer = nn.TransformerEncoderLayer(
            width,
            next(heads for heads in HEADS if width % heads == 0),
            2 * width,
            dropout=0.0,
            batch_first=True,
            norm_first=True,
        )
        self.blocks = nn.TransformerEncoder(
            layer, BLOCKS, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.head = nn.Linear(width, self.num_outputs)

    def _read(self, features: Sequence[Tensor], present: Sequence[int]) -> Tensor:
        """Joint logits from the tokens of some modalities."""
        tokens = [self.token.expand(len(features[0]), -1, -1)]
        for k in present:
            made = self.maps[k](features[k])
            tokens.append(made.unflatten(1, (TOKENS, -1)) + self.places[k])
        return self.head(self.blocks(torch.cat(tokens, dim=1))[:, 0])  # type: ignore[no-any-return]

    def fuse(self, features: Sequence[Tensor]) -> Tensor:
        """Joint logits z (B, C)."""
        return self._read(features, range(len(features)))

    def only(self, features: Sequence[Tensor], k: int) -> Tensor:
        """Joint logits (B, C) from the tokens of modality k and the class token."""
        return self._read(features, [k])
