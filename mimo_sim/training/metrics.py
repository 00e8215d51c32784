"""Figures of merit: pure functions of outputs and targets.

What each is called in a record, and what it means, stands in :mod:`mimo_sim.training.definitions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mimo_sim import _moved


def accuracy(output: Tensor, target: Tensor) -> float:
    """Share of rows of `output` (n, C) whose largest entry is at `target` (n,)."""
    return float((output.argmax(1) == target).double().mean())


def confusion_matrix(predicted: Tensor, target: Tensor, classes: int) -> Tensor:
    """Counts (C, C) in int64: rows are true classes, columns predicted ones."""
    counts = torch.bincount(target * classes + predicted, minlength=classes**2)
    return counts.reshape(classes, classes)


def macro_f1(predicted: Tensor, target: Tensor, classes: int) -> float:
    """Mean over all C classes of 2PR/(P+R), with precision P, recall R, and 0/0 := 0.

    A class that the split lacks counts as 0.

    Examples
    --------
    Perfect on two classes, the third is absent:

    >>> import torch
    >>> macro_f1(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 1]), 3)
    0.6666666666666666
    """
    counts = confusion_matrix(predicted, target, classes).double()
    hits = counts.diagonal()
    both = counts.sum(0) + counts.sum(1)  # predicted + true; F1 = 2 hits / both
    return float((2 * hits / both.clamp_min(1)).mean())  # without `both` there are no hits


def correlation(output: Tensor, target: Tensor) -> float:
    """Pearson correlation of outputs and targets (n, m), mean over the m columns.

    A constant column counts as 0.
    """
    a = output.double() - output.double().mean(0)
    b = target.double() - target.double().mean(0)
    scale = a.norm(dim=0) * b.norm(dim=0)
    return float(torch.where(scale > 0, (a * b).sum(0) / scale, 0.0).mean())


if not TYPE_CHECKING:  # a type checker must still see which names there are
    __getattr__ = _moved.hook(__name__)
