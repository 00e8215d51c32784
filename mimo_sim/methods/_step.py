"""What the training loop and a method hand to each other.

A plan (the samples of an epoch), a batch, and a forward pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from mimo_sim.methods._losses import LossFunction
    from mimo_sim.networks._base import FusionNetwork


@dataclass(frozen=True)
class Batch:
    """B samples.

    Attributes
    ----------
    inputs : list of K tensors (B, *shape_k)
        What goes into the encoders.
    target : Tensor (B,) or (B, m)
        Classes, or numbers to predict.
    index : Tensor (B,)
        Positions of the samples in the train split.
    keep : Tensor (B, K) of bool, optional
        Which modalities of each sample are kept; None keeps all. A modality that is not kept
        has a zero feature and passes no gradient.
    """

    inputs: list[Tensor]
    target: Tensor
    index: Tensor
    keep: Tensor | None = None


@dataclass(frozen=True)
class Plan:
    """The samples of one epoch. The loop shuffles them.

    Attributes
    ----------
    index : Tensor (n',)
        Positions in the train split. A position may appear more than once.
    keep : Tensor (n', K) of bool, optional
        Which modalities of each sample are kept; None keeps all.
    group : Tensor (n',) of int, optional
        Samples of different groups never share a batch. The groups come one after the other, the
        smallest number first, and each is shuffled within itself. None is one group.
    """

    index: Tensor
    keep: Tensor | None = None
    group: Tensor | None = None

    def parts(self, order: Tensor) -> list[Tensor]:
        """An order (n',) of the samples, cut into one order for each group."""
        if self.group is None:
            return [order]
        group = self.group[order]
        sizes = torch.unique(group, return_counts=True)[1]  # by ascending number
        by_group: Tensor = order[torch.argsort(group, stable=True)]
        return list(torch.split(by_group, sizes.tolist()))


@dataclass
class Forward:
    """One forward pass. Losses are computed when they are first asked for.

    Attributes
    ----------
    model : FusionNetwork
        The network.
    batch : Batch
        The samples.
    features : list of K tensors (B, d_k)
        Features h_k, after the method has changed them.
    logits : Tensor (B, C)
        Joint output.
    loss_function : LossFunction
        The training loss of the run.
    weight : Tensor (B,), optional
        Weights of the samples in the joint loss; None is the plain mean.
    """

    model: FusionNetwork
    batch: Batch
    features: list[Tensor]
    logits: Tensor
    loss_function: LossFunction
    weight: Tensor | None = None

    @cached_property
    def loss(self) -> Tensor:
        """The joint loss L, 0-dim."""
        if self.weight is None:
            return self.loss_function(self.logits, self.batch.target)
        each = self.loss_function(self.logits, self.batch.target, reduction="none")
        return (self.weight * each).sum() / self.weight.sum().clamp_min(1)

    @cached_property
    def head_losses(self) -> Tensor:
        """The losses l_k (K,) of the uni-modal heads."""
        outputs = self.model.head_logits(self.features)
        return torch.stack([self.loss_function(v, self.batch.target) for v in outputs])

    @cached_property
    def sliced(self) -> list[Tensor]:
        """Sliced logits a_k (B, C) without gradient: the share of each modality in the output."""
        with torch.no_grad():
            return self.model.sliced([h.detach() for h in self.features])
