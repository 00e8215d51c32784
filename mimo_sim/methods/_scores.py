"""How well each modality predicts: the scores by which methods compare modalities."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def true_class_probability(logits: Tensor, target: Tensor) -> Tensor:
    """Probability that the logits (B, C) give to the true classes (B,), summed over the batch."""
    return F.softmax(logits.float(), dim=1).gather(1, target[:, None]).sum()


def mean_of_others(scores: Tensor) -> Tensor:
    """For each modality the mean score (K,) of all other modalities; K >= 2."""
    return torch.stack(
        [torch.cat([scores[:k], scores[k + 1 :]]).mean() for k in range(len(scores))]
    )
