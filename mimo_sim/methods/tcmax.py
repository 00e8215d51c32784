"""TCMax: modalities of one sample must fit together, and with its class, better than mixed ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from mimo_sim.methods._base import Family, Method, Needs
from mimo_sim.methods._conformance import Conformance
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Forward


def total_correlation_loss(parts: Sequence[Tensor], target: Tensor) -> Tensor:
    r"""The loss T of total correlation maximisation for K additive parts of the output, 0-dim.

    A tuple of samples :math:`(i_1, ..., i_K)` has the joint output
    :math:`z = \sum_k a_k(i_k)`. T is minus the mean log-probability of the true tuple (i, ..., i)
    with its true class, among all :math:`B^K` tuples with all C classes, minus log B. Because the
    parts add up, the sum over the tuples is a product of K sums: T costs O(K B C).

    Parameters
    ----------
    parts : sequence of K tensors (B, C)
        Sliced logits a_k.
    target : Tensor (B,)
        Classes.
    """
    each = torch.stack(list(parts))
    every_tuple = each.logsumexp(1).sum(0).logsumexp(0)
    true = each.sum(0).gather(1, target[:, None]).mean()
    return every_tuple - true - math.log(len(target))


class TCMax(Method):
    """Total correlation maximisation: find the true partners and the true class among all pairs.

    The joint output is computed for all B^K tuples of modalities that the batch can form. The
    objective is the cross-entropy of the true tuples and classes against all tuples and classes
    (:func:`total_correlation_loss`), in place of L. It has no hyper-parameter, but it depends on
    the batch size B. The prediction is that of joint training.

    Notes
    -----
    ICLR 2026 (openreview MbQhdzAhSl). The released code has two modalities; K > 2 is the same
    formula with K terms. Its variant with sampled pairs is for networks whose fusion is not
    linear; here the sum over all pairs is exact. A batch of one sample has the joint loss. With
    several processes each forms the tuples of its part of the batch.
    """

    name: ClassVar[str] = "tcmax"
    title: ClassVar[str] = "TCMax"
    family: ClassVar[Family] = "objective"
    about: ClassVar[str] = "true pairs of modalities against all pairs of the batch (ICLR 2026)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="ICLR 2026, openreview MbQhdzAhSl",
        follows="both",
        code="hubaak/TCMax",
        released="Two modalities. For other fusions it draws pairs.",
        compared="the released function on the same tensors",
        apart="1e-7",
    )
    needs: ClassVar[Needs] = "slices"
    needs_classes: ClassVar[bool] = True
    min_modalities: ClassVar[int] = 2

    def objective(self, run: Run, out: Forward) -> Tensor:
        """T of the sliced logits."""
        return total_correlation_loss(out.model.sliced(out.features), out.batch.target)
