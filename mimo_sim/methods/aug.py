"""AUG: the modality that lags behind gets one more block, which learns what the others miss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_choice, check_count, check_positive
from mimo_sim.methods._base import Family, Method, Search
from mimo_sim.methods._conformance import Conformance
from mimo_sim.methods._layers import new_linear
from mimo_sim.methods._run import Run
from mimo_sim.methods._scores import true_class_probability
from mimo_sim.methods._step import Batch, Forward

if TYPE_CHECKING:
    from mimo_sim.networks._base import FusionNetwork


def sustained_boosting_loss(old: Tensor, new: Tensor | None, target: Tensor, lam: float) -> Tensor:
    """CE(o + e, y) + CE(o, y) + mean of (1 - lam p_o(y)) CE(e, y), 0-dim.

    The new block learns least from the samples that the old ones have right. The probability
    p_o(y) that the old blocks give to the true class has no gradient. Without a new block it is
    CE(o, y).

    Parameters
    ----------
    old : Tensor (B, C)
        o, the sum of the logits of all blocks but the newest.
    new : Tensor (B, C) or None
        e, the logits of the newest block.
    target : Tensor (B,)
        Classes.
    lam : float
        How much less.
    """
    if new is None:
        return F.cross_entropy(old, target)
    p = old.detach().softmax(1).gather(1, target[:, None])[:, 0]
    each = F.cross_entropy(new, target, reduction="none")
    residual = ((1 - lam * p) * each).mean()
    return F.cross_entropy(old + new, target) + F.cross_entropy(old, target) + residual


def lagging(scores: Tensor, threshold: float) -> int | None:
    """The modality that lags, from two scores (2,): None unless their ratio is off 1 by more."""
    ratio = float(scores[0] / scores[1])
    if ratio > 1 + threshold:
        return 1
    return 0 if ratio < 1 - threshold else None


def growth_epochs(num_epochs: int, every: int | None) -> list[int]:
    """The zero-based epochs before which a block may be added.

    That is after the first epoch, and after every so many; by default after each tenth of the run.
    """
    every = max(1, num_epochs // 10) if every is None else every
    return [epoch for epoch in range(1, num_epochs) if epoch == 1 or epoch % every == 0]


class AUG(Method):
    """Sustained boosting with adaptive classifier assignment: a longer sum for the weaker modality.

    Each modality has blocks G (linear, ReLU), at first one, and all share one head H. Its output
    is f_k = sum_i H(G_i(h_k)). Every batch makes two optimizer steps, one per modality in order:
    encoder, blocks and H on the :func:`sustained_boosting_loss`. After some epochs the
    probabilities that f_1 and f_2 gave to the true classes are compared. The modality that lags
    gets one more block. The joint output is mu f_1 + (1 - mu) f_2. The model's own heads and fusion
    layer are not used.

    Parameters
    ----------
    width : int
        Length of a block's output, >= 1. Default 256, as published.
    mu : float
        Weight of the first modality in the joint output, in [0, 1]. Default 0.4, as published.
    lam : float
        How much less a new block learns from what the old ones have right, in [0, 1]. Default 0.5,
        as published.
    threshold : float
        A block is added if the ratio of the probabilities is off 1 by more than this, >= 0. Default
        0.01, as published. A very large number never adds one.
    every : int, optional
        Epochs between two comparisons, >= 1. Default: a tenth of the run, as published. There is
        always one after the first epoch.
    train_new : bool
        Whether the blocks that are added are trained. Default True. False is the released code,
        which leaves them out of the optimizer.

    Notes
    -----
    Jiang, Huang, Yang (NeurIPS 2025). All blocks that a run could need are made at its start, and
    rest until they are added. So the optimizer and a checkpoint know them. Weights start as Xavier
    normal, biases at zero.
    """

    name: ClassVar[str] = "aug"
    title: ClassVar[str] = "AUG"
    family: ClassVar[Family] = "multi-phase"
    about: ClassVar[str] = "boosting, with more blocks for the weaker modality (NeurIPS 2025)"
    waits: ClassVar[str] = "how many blocks a modality has decides what is computed"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Jiang, Huang, Yang, NeurIPS 2025, arXiv:2502.20120",
        follows="paper",
        code="njustkmg/NeurIPS25-AUG",
        released=(
            "New blocks are never given to the optimizer, so that they keep their random start: "
            "train_new=False here."
        ),
    )
    search: ClassVar[Search] = {"mu": ("uniform", 0.1, 0.9), "lam": ("uniform", 0.1, 1.0)}
    needs_classes: ClassVar[bool] = True
    min_modalities: ClassVar[int] = 2
    max_modalities: ClassVar[int | None] = 2
    used: Tensor
    """How many blocks (2,) each modality has."""
    scores: Tensor
    """Probabilities (2,) of the true classes, summed over the epoch."""

    def __init__(
        self,
        width: int = 256,
        mu: float = 0.4,
        lam: float = 0.5,
        threshold: float = 0.01,
        every: int | None = None,
        train_new: bool = True,
    ) -> None:
        width = check_count("width", width)
        for key, value in (("mu", mu), ("lam", lam), ("threshold", threshold)):
            check_positive(key, value, allow_zero=True)
            if key != "threshold" and value > 1:
                raise ValueError(f"`{key}` must be in [0, 1]. Got {key}={value!r}.")
        if every is not None:
            every = check_count("every", every)
        check_choice("train_new", train_new, (True, False))
        super().__init__(
            width=width, mu=mu, lam=lam, threshold=threshold, every=every, train_new=train_new
        )
        self.width, self.mu, self.lam = width, mu, lam
        self.threshold, self.every, self.train_new = threshold, every, train_new

    def setup(self, run: Run) -> None:
        """Make the head, and all blocks that the run could need."""
        most = 1 + len(growth_epochs(run.num_epochs, self.every))
        self.head = new_linear(run, self.width, run.model.num_outputs)
        self.blocks = nn.ModuleList(
            nn.ModuleList(new_linear(run, size, self.width) for _ in range(most))
            for size in run.model.widths
        )
        for k in range(2):
            self.blocks_of(k)[1:].requires_grad_(self.train_new)
        self.register_buffer("used", torch.ones(2, dtype=torch.long, device=run.device))
        self.register_buffer("scores", torch.zeros(2, device=run.device))

    def blocks_of(self, k: int) -> nn.ModuleList:
        """All blocks of modality k, also those that are not used yet."""
        blocks = self.blocks[k]
        assert isinstance(blocks, nn.ModuleList)
        return blocks

    def begin_epoch(self, run: Run) -> None:
        """Add a block, where it is time."""
        if run.epoch in growth_epochs(run.num_epochs, self.every):
            weaker = lagging(run.mean(self.scores), self.threshold)
            if weaker is not None:
                self.used[weaker] += 1
        self.scores.zero_()

    def step(self, run: Run, batch: Batch) -> Forward:
        """Two optimizer steps, one per modality in order."""
        model = run.model
        features, losses = [], []
        for k, (encoder, x) in enumerate(zip(model.encoders, batch.inputs, strict=True)):
            h = encoder(x) if batch.keep is None else encoder(x) * batch.keep[:, k, None]
            old, new = self.parts(k, h)
            loss = sustained_boosting_loss(old, new, batch.target, self.lam)
            run.optimizer.zero_grad(set_to_none=True)
            run.backward(loss)
            run.optimizer.step()
            whole = old.detach() if new is None else (old + new).detach()
            self.scores[k] += true_class_probability(whole, batch.target)
            features.append(h.detach())
            losses.append(loss.detach())
        with torch.no_grad():
            out = Forward(model, batch, features, self.fuse(model, features), run.loss_function)
            out.head_losses = torch.stack(losses)
        return out

    def parts(self, k: int, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits (B, C) of all blocks of modality k but the newest added one, and of that one."""
        blocks = self.blocks_of(k)[: int(self.used[k])]
        logits = [self.head(F.relu(block(features))) for block in blocks]
        if len(logits) == 1:
            return logits[0], None
        return torch.stack(logits[:-1]).sum(0), logits[-1]

    def unimodal_outputs(self, model: FusionNetwork, features: Sequence[Tensor]) -> list[Tensor]:
        """f_k (B, C): the sum over the blocks of each modality."""
        parts = [self.parts(k, h) for k, h in enumerate(features)]
        return [old if new is None else old + new for old, new in parts]

    def fuse(self, model: FusionNetwork, features: Sequence[Tensor]) -> Tensor:
        """mu f_1 + (1 - mu) f_2 (B, C)."""
        first, second = self.unimodal_outputs(model, features)
        return self.mu * first + (1 - self.mu) * second

    def report(self) -> dict[str, Any]:
        """How many blocks (2,) each modality has."""
        return {"blocks": self.used.tolist()}
