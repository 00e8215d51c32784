"""Sum fusion: features are brought to one length, added, and read by one head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from mimo_sim.networks._base import FusionNetwork


class SumFusion(FusionNetwork):
    r"""z = head(ReLU(sum_k h_k P_k^T)): after the sum nobody can tell the modalities apart.

    The P_k have no bias, so an absent modality adds nothing. Without the ReLU this would be late
    fusion, written in another way.
    """

    name: ClassVar[str] = "sum"
    about: ClassVar[str] = "features are added, then a ReLU and a linear head"

    def build(self) -> None:
        """The maps P_k to the length of the longest feature, and the head."""
        width = max(self.widths)
        self.maps = nn.ModuleList(nn.Linear(each, width, bias=False) for each in self.widths)
        self.head = nn.Linear(width, self.num_outputs)

    def fuse(self, features: Sequence[Tensor]) -> Tensor:
        """Joint logits z (B, C)."""
        parts = [own(h) for own, h in zip(self.maps, features, strict=True)]
        return self.head(sum(parts[1:], parts[0]).relu())  # type: ignore[no-any-return]
