"""CML: confidence must not rise when a modality is taken away."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_positive
from mimo_sim.methods._base import Family, Forward, Method, Run


def confidence_gain(larger: Tensor, smaller: Tensor, target: Tensor) -> Tensor:
    """How much confidence (B,), largest probability, logits `smaller` (B, C) have above `larger`; 0 where only the smaller set is right."""
    gain = (smaller.softmax(1).amax(1) - larger.softmax(1).amax(1)).clamp_min(0)
    rightly = (smaller.argmax(1) == target) & (larger.argmax(1) != target)
    return torch.where(rightly, 0.0, gain)


class CML(Method):
    """Calibrating multi-modal learning.

    For every sample modalities are removed one by one in random order down to one, which gives K joint outputs through the one fusion layer. The objective
    is the mean of their K losses plus lam times the batch mean of what confidence the removals gain.

    Parameters
    ----------
    lam : float
        Weight of the ranking loss, >= 0.

    Notes
    -----
    Ma, Zhang, Zhang, Wu, Fu, Zhou, Hu (ICML 2023), classifier form of a public benchmark and its lam, with orders drawn and the hinge taken per sample as in
    the authors' code. Both confidences carry gradient.
    """

    name: ClassVar[str] = "cml"
    family: ClassVar[Family] = "objective"
    about: ClassVar[str] = "losses of modality subsets and a confidence ranking (ICML 2023)"
    needs_classes: ClassVar[bool] = True

    def __init__(self, lam: float = 0.1) -> None:
        check_positive("lam", lam, allow_zero=True)
        super().__init__(lam=lam)
        self.lam = lam

    def objective(self, run: Run, out: Forward) -> Tensor:
        """Mean loss over the chain of subsets, and the ranking loss."""
        model, target = out.model, out.batch.target
        parts = torch.stack(
            [F.linear(h, w) for h, w in zip(out.features, model.weight_blocks(), strict=True)]
        )  # (K, B, C)
        draws = torch.rand(len(parts), len(target), generator=run.generator, device=target.device)
        place = draws.argsort(0).argsort(0)  # when each modality of each sample is removed
        chain = [
            out.logits,
            *(
                ((place >= removed)[..., None] * parts).sum(0) + model.fusion.bias
                for removed in range(1, len(parts))
            ),
        ]
        losses = torch.stack([out.loss, *(run.loss_function(z, target) for z in chain[1:])])
        gains = [
            confidence_gain(larger, smaller, target).mean() for larger, smaller in pairwise(chain)
        ]
        return losses.mean() + self.lam * torch.stack(gains).sum() if gains else out.loss
