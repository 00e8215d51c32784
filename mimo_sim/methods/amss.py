"""AMSS and AMSS+: each step trains a sub-network, the larger the weaker its modality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_choice, check_positive
from mimo_sim.methods._base import Family, Method, Needs, Search
from mimo_sim.methods._buffers import EpochMean
from mimo_sim.methods._conformance import Conformance
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Forward
from mimo_sim.methods._windows import Window, check_window, inside

Importance = Literal["squared", "root", "relative"]
LabelEntropy = Literal["entropy", "released"]
Scale = Literal["mean", "released"]

LEAST_SHARE, LARGEST_SHARE = 0.1, 0.9
"""Bounds on the share of a modality that is trained."""


def label_entropy(target: Tensor, classes: int, form: LabelEntropy = "entropy") -> Tensor:
    """Entropy of the class frequencies n of a batch, in nats, 0-dim.

    Parameters
    ----------
    target : Tensor (B,)
        Classes.
    classes : int
        C.
    form : {"entropy", "released"}
        ``"entropy"``: -sum n log n. ``"released"``: -sum n log softmax(n), over the classes up to
        the largest that is present. The two are equal where these are equally frequent.
    """
    if form == "released":
        n = torch.bincount(target) / len(target)
        return -(n * n.log_softmax(0)).sum()
    n = F.one_hot(target, classes).float().mean(0)
    return -torch.xlogy(n, n).sum()


def significance(
    losses: Tensor, features: Sequence[Tensor], of_labels: Tensor, offset: float = 0.5
) -> Tensor:
    """I_k = (H(Y) - l_k + 0.5) / H_k, (K,): how much a modality tells about the class.

    Parameters
    ----------
    losses : Tensor (K,)
        Cross-entropies l_k of the sliced logits.
    features : K tensors (B, d_k)
        H_k is the mean entropy of their softmax.
    of_labels : Tensor ()
        H(Y), the entropy of the classes.
    offset : float
        The 0.5.
    """
    log_p = [h.log_softmax(1) for h in features]
    own = [-(each.exp() * each).sum(1).mean() for each in log_p]
    return (of_labels - losses + offset) / torch.stack(own)


def kept_shares(significances: Tensor, temperature: float) -> Tensor:
    """Shares c (2,) of each modality that a step trains; more for the less significant one.

    c_1 = e^(I_2 / T) / (e^(I_1 / T) + e^(I_2 / T)), cut off at 0.1 and 0.9. Both are one half where
    an I is zero, negative or NaN, or where the shares are not defined.
    """
    shares = torch.softmax(significances.flip(0) / temperature, 0)
    usual = (significances > 0).all() & shares.isfinite().all()
    return torch.where(usual, shares.clamp(LEAST_SHARE, LARGEST_SHARE), 0.5)


def importances(gradient: Tensor, weight: Tensor, form: Importance) -> Tensor:
    """Importance (...) of groups of weights, from their gradient and weights (..., size).

    It is the squared norm of the gradient, its root, or its ratio to the squared norm of the
    weights.
    """
    squared = gradient.square().sum(-1)
    if form == "root":
        return squared.sqrt()
    if form == "relative":
        return squared / weight.square().sum(-1).clamp_min(torch.finfo(weight.dtype).tiny)
    return squared


def drawn(importance: Tensor, count: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw `count` of n places without replacement, each time in proportion to importance.

    Parameters
    ----------
    importance : Tensor (..., n)
        Not negative. Places of importance zero come last. Rows are drawn by themselves.
    count : Tensor ()
        How many places to draw in each row.
    generator : torch.Generator, optional
        Of the random numbers.

    Returns
    -------
    Tensor (..., n) of bool
        Which places are drawn.
    """
    waiting = torch.empty_like(importance).exponential_(generator=generator)
    place = (importance / waiting).argsort(-1, descending=True).argsort(-1)
    return place < count


def correction(importance: Tensor) -> Tensor:
    """1 / (i + 1/n), where i is the importance (..., n) divided by the sum of its row."""
    total = importance.sum(-1, keepdim=True).clamp_min(torch.finfo(importance.dtype).tiny)
    return 1 / (importance / total + 1 / importance.shape[-1])


class AMSS(Method):
    """Adaptively masked sub-networks: train more of the weaker modality, less of the stronger.

    The sliced logits say how significant each modality is (:func:`significance`). That gives the
    share c_k of the modality's weights that this step trains (:func:`kept_shares`). After the
    backward pass, ceil(c_k n) of the n output channels are drawn in every layer of encoder k, by
    the :func:`importances` of their gradients. In the fusion weight of modality k, floor(c_k d_k)
    entries are drawn for each class. All other gradients of these weights become zero; biases
    keep theirs.

    Parameters
    ----------
    temperature : float
        T > 0. Default 0.2, as published. A small one tells the modalities apart sharply.
    importance : {"squared", "root", "relative"}
        What a draw is in proportion to, see :func:`importances`. Default ``"squared"``, as
        published.
    entropy : {"entropy", "released"}
        H(Y): the entropy of a batch's classes (default), or what the released code takes for it
        (:func:`label_entropy`).
    window : (int, int), optional
        First and last zero-based epoch in which it acts. Outside it is joint training, bit for bit.
        Default None: all epochs.

    Notes
    -----
    Yang, Pan, Jiang, Xu, Tang (T-PAMI 2024). Masked are all weights of the encoders that have two
    or more dimensions; in the released code, only convolutions of the residual stages. A gradient
    of zero still lets momentum and weight decay act.
    """

    name: ClassVar[str] = "amss"
    title: ClassVar[str] = "AMSS"
    family: ClassVar[Family] = "gradient"
    about: ClassVar[str] = "trains a sub-network, larger for the weaker modality (T-PAMI 2024)"
    waits: ClassVar[str] = "how many channels it draws depends on the batch"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Yang, Pan, Jiang, Xu, Tang, T-PAMI 2024, arXiv:2404.08347",
        follows="paper",
        code="njustkmg/TPAMI-AMSS",
        released=(
            "Masks convolutions of the residual stages only. The entropy of the labels takes "
            "frequencies as logits: entropy='released' here."
        ),
        compared="the released coefficient on the same tensors",
        apart="round-off",
    )
    search: ClassVar[Search] = {"temperature": ("log", 0.05, 1.0)}
    needs: ClassVar[Needs] = "slices"
    needs_classes: ClassVar[bool] = True
    min_modalities: ClassVar[int] = 2
    max_modalities: ClassVar[int | None] = 2
    shares: EpochMean
    """Shares (2,), for the report."""

    def __init__(
        self,
        temperature: float = 0.2,
        importance: Importance = "squared",
        entropy: LabelEntropy = "entropy",
        window: Window = None,
        **more: Any,
    ) -> None:
        check_positive("temperature", temperature)
        check_choice("importance", importance, get_args(Importance))
        check_choice("entropy", entropy, get_args(LabelEntropy))
        self.window = check_window(window)
        super().__init__(
            temperature=temperature,
            importance=importance,
            entropy=entropy,
            window=self.window,
            **more,
        )
        self.temperature, self.importance, self.entropy = temperature, importance, entropy

    def setup(self, run: Run) -> None:
        """Make the buffer of the report."""
        self.shares = EpochMean(2, run.device)

    def begin_epoch(self, run: Run) -> None:
        """Begin the mean of the report."""
        self.shares.reset()

    @torch.no_grad()
    def gradients(self, run: Run, out: Forward) -> None:
        """Mask the gradients of the encoders' and the fusion layer's weights."""
        if not inside(self.window, run.epoch):
            return
        model, target = out.model, out.batch.target
        losses = torch.stack([run.loss_function(a, target) for a in out.sliced])
        of_labels = label_entropy(target, model.num_outputs, self.entropy)
        shares = kept_shares(
            run.mean(significance(losses, out.features, of_labels)), self.temperature
        )
        self.shares.add(shares)
        for encoder, share in zip(model.encoders, shares, strict=True):
            for weight in encoder.parameters():
                if weight.grad is not None and weight.ndim > 1:
                    by_channel = weight.grad.flatten(1)
                    count = torch.ceil(share * len(weight))
                    mask = self.mask(run, by_channel, weight.flatten(1), count)
                    weight.grad.mul_(mask.view(-1, *[1] * (weight.ndim - 1)))
        gradient = model.fusion.weight.grad
        if gradient is None:  # a frozen fusion layer
            return
        widths = list(model.widths)
        blocks = torch.split(gradient, widths, dim=1)
        for block, own, share in zip(blocks, model.weight_blocks(), shares, strict=True):
            count = torch.floor(share * block.shape[1])
            block.mul_(self.mask(run, block[..., None], own[..., None], count))

    def mask(self, run: Run, gradient: Tensor, weight: Tensor, count: Tensor) -> Tensor:
        """What to multiply with the gradients (..., n, size) of n groups of weights, (..., n)."""
        return drawn(importances(gradient, weight, self.importance), count, run.generator)

    def report(self) -> dict[str, Any]:
        """Epoch mean of the shares (2,) that were trained, where it acted."""
        return {"trained_share": self.shares.mean().tolist()} if self.shares.count else {}


class AMSSPlus(AMSS):
    """AMSS with corrected gradients: what is drawn more often counts less.

    The gradients that are kept are multiplied by the :func:`correction` of their importance.

    Parameters
    ----------
    temperature, importance, entropy, window
        As in :class:`AMSS`.
    scale : {"mean", "released"}
        ``"mean"`` (default): the correction is divided by how many are drawn, as in a mean over
        draws. The factor is then at most about 1 / c_k. ``"released"``: it is not divided, as in
        the released code. The factor is then up to n for n channels or entries, and needs a small
        learning rate where no batch norm follows.

    Notes
    -----
    Yang, Pan, Jiang, Xu, Tang (T-PAMI 2024). In the fusion layer the released code has the number
    of the drawn entry in place of its importance; here it is the importance everywhere.
    """

    name: ClassVar[str] = "amss_plus"
    title: ClassVar[str] = "AMSS+"
    about: ClassVar[str] = "AMSS with gradients corrected for the draw (T-PAMI 2024)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Yang, Pan, Jiang, Xu, Tang, T-PAMI 2024, arXiv:2404.08347",
        follows="paper",
        code="njustkmg/TPAMI-AMSS",
        released="In the fusion layer the number of an entry stands in place of its importance.",
        compared="the released coefficient on the same tensors",
        apart="round-off",
    )

    def __init__(
        self,
        temperature: float = 0.2,
        importance: Importance = "squared",
        entropy: LabelEntropy = "entropy",
        window: Window = None,
        scale: Scale = "mean",
    ) -> None:
        check_choice("scale", scale, get_args(Scale))
        super().__init__(temperature, importance, entropy, window, scale=scale)
        self.scale = scale

    def mask(self, run: Run, gradient: Tensor, weight: Tensor, count: Tensor) -> Tensor:
        """The correction (..., n) where a group of weights is drawn, else zero."""
        importance = importances(gradient, weight, self.importance)
        factor = drawn(importance, count, run.generator) * correction(importance)
        return factor / count.clamp_min(1) if self.scale == "mean" else factor
