"""Random streams of a run: every purpose has a stream of its own, so that none disturbs another."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def stream(seed: int, purpose: str, *more: int) -> int:
    """A 63-bit seed for a purpose: streams of different purposes are independent."""
    words = np.random.SeedSequence([seed, *purpose.encode(), *more]).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))


def order(total: int, seed: int, epoch: int, draw: int) -> Tensor:
    """A permutation (total,) of the samples that depends on seed, epoch and draw alone."""
    generator = torch.Generator().manual_seed(stream(seed, "order", epoch, draw))
    return torch.randperm(total, generator=generator)
