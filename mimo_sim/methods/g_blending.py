"""G-Blending: loss weights from how much each branch would gain, and over-fit, if it went on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from mimo_sim._checks import check_count, check_positive
from mimo_sim.methods._base import Family, Method, Search
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance
from mimo_sim.methods._evaluation import evaluation_losses
from mimo_sim.methods._rehearsal import practise, rehearsal, unimodal_losses
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Batch, Forward
from mimo_sim.methods._windows import Window, check_window, inside

LEAST_OVERFITTING = 1e-2
"""Least |O| that counts, in units of the loss."""


def blend_weights(
    train_before: Tensor, train_after: Tensor, held_before: Tensor, held_after: Tensor
) -> Tensor:
    """Weights of M branches from their losses before and after some epochs of training.

    A branch has the weight G / O^2, divided by the sum over all branches. Its gain G is the fall of
    the held-out loss; its over-fitting O is the growth of the distance between held-out and
    training loss. A branch that got worse has weight zero. |O| counts at least 0.01. If no branch
    gained, all weights are equal.

    Parameters
    ----------
    train_before, train_after, held_before, held_after : Tensor (M,)
        Mean losses on training and held-out data.

    Returns
    -------
    Tensor (M,)
        Non-negative, adding up to one.
    """
    gain = (held_before - held_after).clamp_min(0)
    overfitting = (held_after - train_after) - (held_before - train_before)
    raw = gain / overfitting.square().clamp_min(LEAST_OVERFITTING**2)
    total = raw.sum()
    return torch.where(
        total > 0,
        raw / total.clamp_min(torch.finfo(raw.dtype).tiny),
        torch.full_like(raw, 1 / len(raw)),
    )


class GBlending(Method):
    """Gradient blending: give weight to branches that generalise, and take it from over-fitters.

    The branches are the K uni-modal heads and the joint output. The objective is sum_m w_m loss_m.
    A super-epoch is a block of epochs. At its start the weights are estimated anew: each branch is
    trained from the current model for one super-epoch. Its losses before and after give its weight
    (:func:`blend_weights`). Then the model is put back as it was.

    Parameters
    ----------
    super_epoch : int
        Length of a super-epoch in epochs, >= 1. Default 10. An estimate costs this many epochs
        twice: once for the joint branch, and once for the K uni-modal branches, which share one
        backward pass.
    weights : K + 1 floats, optional
        Fixed weights >= 0 instead of estimated ones ("offline"): uni-modal first, joint last.
    window : (int, int), optional
        First and last zero-based epoch in which it acts. Outside it is joint training. Default
        None: all epochs.

    Notes
    -----
    Wang, Tran, Feiszli (CVPR 2020). The held-out data are the run's validation split, which is
    taken from the training data.
    """

    name: ClassVar[str] = "g_blending"
    title: ClassVar[str] = "Gradient Blending"
    family: ClassVar[Family] = "multi-phase"
    about: ClassVar[str] = "loss weights from gain and over-fitting of each branch (CVPR 2020)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Wang, Tran, Feiszli, CVPR 2020",
        follows="paper",
        code="facebookresearch/VMZ",
        released=(
            "The released code adds up losses with given weights; no estimator of the weights "
            "is released."
        ),
        compared=SAME_TENSORS,
        apart="round-off",
    )
    search: ClassVar[Search] = {"super_epoch": ("int", 2, 10)}
    uses_heads: ClassVar[bool] = True
    blend: Tensor
    """The weights (K + 1,)."""
    extra: Tensor
    """Epochs of the network spent on estimates so far."""

    def __init__(
        self, super_epoch: int = 10, weights: Sequence[float] | None = None, window: Window = None
    ) -> None:
        self.super_epoch = check_count("super_epoch", super_epoch)
        self.window = check_window(window)
        self.given = None if weights is None else tuple(weights)
        for w in self.given or ():
            check_positive("weights", w, allow_zero=True)
        super().__init__(super_epoch=super_epoch, weights=self.given, window=self.window)

    def setup(self, run: Run) -> None:
        """Equal weights until the first estimate."""
        branches = run.model.num_modalities + 1
        if self.given is None:
            start = torch.full((branches,), 1 / branches)
        elif len(self.given) == branches:
            start = torch.tensor(self.given)
        else:
            raise ValueError(
                f"`weights` must hold K + 1 = {branches} numbers. Got weights={self.given!r}."
            )
        self.register_buffer("blend", start.to(run.device))
        self.register_buffer("extra", torch.zeros((), dtype=torch.long, device=run.device))

    def begin_epoch(self, run: Run) -> None:
        """Estimate the weights at the start of every super-epoch."""
        acts = self.given is None and inside(self.window, run.epoch)
        first = self.window[0] if self.window else 0
        if acts and (run.epoch - first) % self.super_epoch == 0:
            self.blend.copy_(run.mean(self.estimate(run)))

    def estimate(self, run: Run) -> Tensor:
        """Blend weights (K + 1,) at the current model."""
        k = run.model.num_modalities
        epochs = min(self.super_epoch, run.num_epochs - run.epoch)
        before = self._measure(run)
        alone = self._measure_after(run, epochs, partial(unimodal_losses, run))
        joint = self._measure_after(run, epochs, partial(_joint_loss, run))
        self.extra += 2 * epochs
        after = torch.cat([alone[:, :k], joint[:, k:]], dim=1)
        return blend_weights(before[0], after[0], before[1], after[1]).to(self.blend)

    @staticmethod
    def _measure(run: Run) -> Tensor:
        """Losses (2, K + 1) of all branches on the train and the validation split."""
        rows = []
        for split in (run.train, run.validation):
            heads, joint = evaluation_losses(run, split)
            rows.append(torch.cat([heads, joint[None]]))
        return torch.stack(rows)

    def _measure_after(self, run: Run, epochs: int, losses: Callable[[Batch], Tensor]) -> Tensor:
        """The same after some epochs of training on these losses, which are then undone."""
        with rehearsal(run):
            practise(run, run.optimizer, epochs, losses)
            return self._measure(run)

    def objective(self, run: Run, out: Forward) -> Tensor:
        """sum_m w_m loss_m; outside the window the joint loss."""
        if not inside(self.window, run.epoch):
            return out.loss
        return (self.blend[:-1] * out.head_losses).sum() + self.blend[-1] * out.loss

    def report(self) -> dict[str, Any]:
        """The weights (K + 1,), and the epochs spent on estimates so far."""
        return {"blend": self.blend.tolist(), "extra_epochs": int(self.extra)}


def _joint_loss(run: Run, batch: Batch) -> Tensor:
    """The joint loss (1,) of a batch."""
    return run.loss_function(run.model(batch.inputs), batch.target)[None]
