"""Late fusion: one linear layer on all features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from mimo_sim.networks._base import FusionNetwork


class LateFusion(FusionNetwork):
    r"""z = sum_k h_k W_k^T + b: what the paper trains, and the default."""

    name: ClassVar[str] = "late"
    about: ClassVar[str] = "one linear layer on all features"
    linear: ClassVar[bool] = True

    def build(self) -> None:
        """The joint head."""
        self.fusion = nn.Linear(sum(self.widths), self.num_outputs)

    def fuse(self, features: Sequence[Tensor]) -> Tensor:
        """Joint logits z (B, C)."""
        return self.fusion(torch.cat(list(features), dim=1))  # type: ignore[no-any-return]
<<<<<<< HEAD

    def weight_blocks(self) -> tuple[Tensor, ...]:
        """The fusion weights W_k (C, d_k) of every modality."""
        return torch.split(self.fusion.weight, list(self.widths), dim=1)

    def sliced(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Sliced logits a_k = h_k W_k^T + b / K (B, C), which add up to z."""
        share = self.fusion.bias / self.num_modalities
        return [
            nn.functional.linear(feature, block, share)
            for feature, block in zip(features, self.weight_blocks(), strict=True)
        ]

    def alone(self, features: Sequence[Tensor], frozen: bool = False) -> list[Tensor]:
        """Outputs u_k = h_k W_k^T + b (B, C): what z is where all other features are zero.

        With `frozen` the fusion layer is a constant and gets no gradient from them.
        """
        parts = (*self.weight_blocks(), self.fusion.bias)
        *blocks, bias = [part.detach() for part in parts] if frozen else parts
        return [
            nn.functional.linear(feature, block, bias)
            for feature, block in zip(features, blocks, strict=True)
        ]

    def head_logits(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Head logits v_k (B, C) of the uni-modal heads."""
        return [head(feature) for head, feature in zip(self.heads, features, strict=True)]

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Joint logits z (B, C)."""
        return self.fuse(self.features(inputs))
=======
>>>>>>> main
