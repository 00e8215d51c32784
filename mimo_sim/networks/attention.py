"""Attention fusion: a class token reads the tokens of all modalities in a transformer block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

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
    queried: ClassVar[bool] = True

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

    def _tokens(self, features: Sequence[Tensor], present: Sequence[int]) -> Tensor:
        """The class token, then those of some modalities in order: (B, 1 + tokens, width)."""
        tokens = [self.token.expand(len(features[0]), -1, -1)]
        for k in present:
            made = self.maps[k](features[k])
            tokens.append(made.unflatten(1, (TOKENS, -1)) + self.places[k])
        return torch.cat(tokens, dim=1)

    def fuse(self, features: Sequence[Tensor], rotation: Tensor | None = None) -> Tensor:
        """Joint logits z (B, C).

        Parameters
        ----------
        features : K tensors (B, d_k)
        rotation : Tensor (width, width), optional
            R, by which the query q of the class token is turned in the first block: q R^T, before
            it is cut up for the heads. It is a constant.
        """
        tokens = self._tokens(features, range(len(features)))
        if rotation is None:
            return self.head(self.blocks(tokens)[:, 0])  # type: ignore[no-any-return]
        first, *others = self.blocks.layers
        tokens = turned_block(first, tokens, rotation)
        for layer in others:
            tokens = layer(tokens)
        assert self.blocks.norm is not None
        return self.head(self.blocks.norm(tokens)[:, 0])  # type: ignore[no-any-return]

    def only(self, features: Sequence[Tensor], k: int) -> Tensor:
        """Joint logits (B, C) from the tokens of modality k and the class token."""
        return self.head(self.blocks(self._tokens(features, [k]))[:, 0])  # type: ignore[no-any-return]

    def query_and_keys(
        self, features: Sequence[Tensor], rotation: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What attention of the first block compares.

        Returns
        -------
        query : Tensor (B, width)
            Of the class token, all heads side by side, turned by `rotation` where there is one.
        keys : Tensor (B, K, width)
            Mean keys of the tokens of every modality.
        """
        query, keys, _ = _projected(
            self.blocks.layers[0], self._tokens(features, range(len(features))), rotation
        )
        return query[:, 0], keys[:, 1:].reshape(len(keys), len(features), TOKENS, -1).mean(2)


def _projected(
    layer: nn.Module, x: Tensor, rotation: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values (B, T, width) of a block; the query of the first token is turned."""
    assert isinstance(layer, nn.TransformerEncoderLayer)
    attention = layer.self_attn
    parts = F.linear(layer.norm1(x), attention.in_proj_weight, attention.in_proj_bias)
    query, key, value = parts.chunk(3, dim=2)
    if rotation is not None:
        query = torch.cat([query[:, :1] @ rotation.T, query[:, 1:]], dim=1)
    return query, key, value


def turned_block(layer: nn.Module, x: Tensor, rotation: Tensor) -> Tensor:
    """A transformer block (norm first, no dropout) on tokens x (B, T, width).

    The query of the first token is turned by `rotation` (width, width).
    """
    assert isinstance(layer, nn.TransformerEncoderLayer)
    heads = layer.self_attn.num_heads
    query, key, value = (
        part.reshape(*part.shape[:2], heads, -1).transpose(1, 2)
        for part in _projected(layer, x, rotation)
    )
    seen = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    x = x + layer.self_attn.out_proj(seen)
    return x + layer.linear2(F.relu(layer.linear1(layer.norm2(x))))  # type: ignore[no-any-return]
