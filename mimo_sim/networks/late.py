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

    def alone(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Outputs u_k = h_k W_k^T + b (B, C): what z is where all other features are zero."""
        return [
            nn.functional.linear(feature, block, self.fusion.bias)
            for feature, block in zip(features, self.weight_blocks(), strict=True)
        ]
