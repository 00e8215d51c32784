"""FiLM: the other modalities scale and shift the feature of the last one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from mimo_sim.networks._base import FusionNetwork


class FiLM(FusionNetwork):
    r"""y <- (1 + gamma_k(h_k)) y + beta_k(h_k) for all k but the last, from y = h_K; z = head(y).

    gamma_k and beta_k are linear in h_k. The network is asymmetric: the last modality carries the
    signal and the others modulate it.

    Notes
    -----
    Source: Perez et al. (AAAI 2018). OGM-GE's baselines write gamma instead of 1 + gamma, which is
    the same function with another start: there a modality that is absent wipes out the rest.
    """

    name: ClassVar[str] = "film"
    about: ClassVar[str] = "the others scale and shift the feature of the last modality"

    def build(self) -> None:
        """The maps to gamma and beta, and the head."""
        *others, width = self.widths
        self.modulations = nn.ModuleList(nn.Linear(each, 2 * width) for each in others)
        self.head = nn.Linear(width, self.num_outputs)

    def fuse(self, features: Sequence[Tensor]) -> Tensor:
        """Joint logits z (B, C)."""
        *others, y = features
        for modulation, h in zip(self.modulations, others, strict=True):
            gamma, beta = modulation(h).chunk(2, dim=1)
            y = (1 + gamma) * y + beta
        return self.head(y)  # type: ignore[no-any-return]
