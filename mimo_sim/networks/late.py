"""The late-fusion network: one encoder per modality, one linear fusion head, uni-modal heads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class LateFusion(nn.Module):
    r"""z = sum_k h_k W_k^T + b with h_k = encoder_k(x_k), and head logits v_k = h_k V_k^T + c_k.

    B is the number of samples in a batch. The uni-modal heads V_k are used in training only. They
    are created last, from a random state of their own. So they do not change the start weights of
    the encoders and of the fusion layer.

    Parameters
    ----------
    encoders : sequence of modules (B, *shape_k) -> (B, widths[k])
    widths : sequence of int
        Feature lengths d_k.
    num_outputs : int
        Classes C or target dimension m.
    """

    def __init__(
        self, encoders: Sequence[nn.Module], widths: Sequence[int], num_outputs: int
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.widths = tuple(widths)
        self.num_outputs = num_outputs
        self.fusion = nn.Linear(sum(widths), num_outputs)
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would also seed every CUDA device
            torch.default_generator.manual_seed(torch.initial_seed() + 1)
            self.heads = nn.ModuleList(nn.Linear(width, num_outputs) for width in widths)

    @property
    def num_modalities(self) -> int:
        """K."""
        return len(self.encoders)

    def features(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Features h_k (B, d_k) of every modality."""
        return [encoder(x) for encoder, x in zip(self.encoders, inputs, strict=True)]

    def fuse(self, features: Sequence[Tensor]) -> Tensor:
        """Joint logits z (B, C)."""
        return self.fusion(torch.cat(list(features), dim=1))  # type: ignore[no-any-return]

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
