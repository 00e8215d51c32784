"""ReconBoost: train modalities in turn, each on what the others get wrong."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_count, check_positive
from mimo_sim.methods._base import Family, Method, Search
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance
from mimo_sim.methods._evaluation import evaluation_mode
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Batch, Forward

if TYPE_CHECKING:
    from mimo_sim.networks._base import FusionNetwork


def boosting_loss(
    logits: Tensor, rest: Tensor | None, target: Tensor, w1: float, w2: float
) -> Tensor:
    """Mean over batch and classes of (w1 - w2 q(y)) (-log p(y)), 0-dim.

    p are the probabilities of the modality that is trained, and q, a constant, those of the rest of
    the ensemble. So a sample that the others have right counts less.

    Parameters
    ----------
    logits : Tensor (B, C)
        Logits of the modality.
    rest : Tensor (B, C) or None
        Logits of the rest of the ensemble. None where the modality is the only one: then q(y) is 1,
        as in the released code.
    target : Tensor (B,)
        Classes.
    w1, w2 : float
        Weight of a sample, and what is taken off it where the others are right.
    """
    each = F.cross_entropy(logits, target, reduction="none")
    if rest is None:
        each = (w1 - w2) * each
    else:
        q = rest.detach().softmax(1).gather(1, target[:, None])[:, 0]
        each = (w1 - w2 * q) * each
    return each.mean() / logits.shape[1]


class ReconBoost(Method):
    """Alternating boosting: modalities take turns, and one shared head H serves them all.

    Let f_k = H(h_k). The joint output, called the ensemble, is rho sum_k f_k. Training goes in
    stages. A stage trains one modality, in turn. Each modality joins the ensemble when its first
    stage begins, so in stage 0 the ensemble is one modality, and a run needs at least K stages. A
    stage has two phases. First, `own_epochs` epochs train the modality's encoder and H. Their loss
    is :func:`boosting_loss` plus alpha times an alignment: the mean squared difference between the
    probabilities of this modality and of the one of the stage before. Then `joint_epochs` epochs
    train the whole ensemble on its own loss. Where a phase begins, the optimizer's memory is
    cleared. The shared head is the model's first uni-modal head, and the fusion layer is not used.

    Parameters
    ----------
    w1, w2 : float
        Weight of a sample, and what is taken off it where the others are right; w1 >= w2 >= 0.
        Default 5 and 1.
    alpha : float
        Weight of the alignment with the stage before, >= 0. Default 0.5.
    rho : float
        Initial scale of the ensemble, > 0. Default 1. The joint phases train it.
    own_epochs, joint_epochs : int
        Lengths of the two phases, >= 1 and >= 0. Default 1 and 1; the authors use 4 and 4, over a
        thousand stages.

    Notes
    -----
    Hua, Xu, Bao, Yang, Huang (ICML 2024), with the weights of the authors' CREMA-D script. Every
    epoch is one pass over the data, so a run has the same budget as one of another method. The
    encoders start untrained, which the released code can do too; with the authors' pre-trained
    encoders every modality would be in the ensemble from stage 0. Two things differ from the
    released code: the alignment has the gradient that it lacks there, and the batch-norm statistics
    of the other encoders stay as they are.
    """

    name: ClassVar[str] = "reconboost"
    title: ClassVar[str] = "ReconBoost"
    family: ClassVar[Family] = "multi-phase"
    about: ClassVar[str] = "alternating boosting through a shared head (ICML 2024)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Hua, Xu, Bao, Yang, Huang, ICML 2024",
        follows="paper",
        code="huacong/ReconBoost",
        released=(
            "The alignment term has no gradient. Batch-norm statistics of resting encoders move."
        ),
        compared=SAME_TENSORS,
        apart="round-off",
    )
    search: ClassVar[Search] = {"w1": ("log", 1.0, 10.0), "alpha": ("uniform", 0.1, 1.0)}
    uses_heads: ClassVar[bool] = True
    needs_classes: ClassVar[bool] = True
    joined: Tensor
    """Which modalities (K,) are in the ensemble."""

    def __init__(
        self,
        w1: float = 5.0,
        w2: float = 1.0,
        alpha: float = 0.5,
        rho: float = 1.0,
        own_epochs: int = 1,
        joint_epochs: int = 1,
    ) -> None:
        for key, value in (("w1", w1), ("w2", w2), ("alpha", alpha)):
            check_positive(key, value, allow_zero=True)
        check_positive("rho", rho)
        if w2 > w1:
            raise ValueError(
                f"`w2` must be <= `w1`, or errors are rewarded. Got w1={w1!r}, w2={w2!r}."
            )
        own_epochs = check_count("own_epochs", own_epochs)
        joint_epochs = check_count("joint_epochs", joint_epochs, 0)
        super().__init__(
            w1=w1, w2=w2, alpha=alpha, rho=rho, own_epochs=own_epochs, joint_epochs=joint_epochs
        )
        self.w1, self.w2, self.alpha = w1, w2, alpha
        self.own_epochs, self.joint_epochs = own_epochs, joint_epochs
        self.rho = nn.Parameter(torch.tensor(float(rho)))

    def setup(self, run: Run) -> None:
        """Make the buffer. Encoders of different widths are refused."""
        if len(set(run.model.widths)) != 1:
            raise ValueError(
                "method 'reconboost' shares one head, so all encoders must have one width. "
                f"Got widths {run.model.widths}."
            )
        nobody = torch.zeros(run.model.num_modalities, dtype=torch.bool, device=run.device)
        self.register_buffer("joined", nobody)

    def stage(self, run: Run) -> tuple[int, int]:
        """The stage, and the epoch's place in it; both count from zero."""
        return divmod(run.epoch, self.own_epochs + self.joint_epochs)

    def begin_epoch(self, run: Run) -> None:
        """Clear the optimizer's memory where a phase begins; a stage's modality joins."""
        stage, place = self.stage(run)
        if place in (0, self.own_epochs):
            run.optimizer.state.clear()
        self.joined = torch.arange(len(self.joined), device=run.device) <= stage

    def step(self, run: Run, batch: Batch) -> Forward:
        """One step of the phase that the epoch is in."""
        stage, place = self.stage(run)
        if place >= self.own_epochs:
            return super().step(run, batch)
        model = run.model
        k = stage % model.num_modalities
        features = self._features_of(run, batch, [k])
        outputs = self.unimodal_outputs(model, features)
        others = [f.detach() for j, f in enumerate(outputs) if j != k and j <= stage]
        rest = self.rho.detach() * torch.stack(others).sum(0) if others else None
        loss = boosting_loss(outputs[k], rest, batch.target, self.w1, self.w2)
        if self.alpha and others:
            before = outputs[(k - 1) % len(outputs)].detach().softmax(1)
            loss = loss + self.alpha * (outputs[k].softmax(1) - before).square().mean()
        run.optimizer.zero_grad(set_to_none=True)
        run.backward(loss)
        run.optimizer.step()
        with torch.no_grad():
            seen = [h.detach() for h in features]
            return Forward(model, batch, seen, self._ensemble(outputs), run.loss_function)

    def forward_pass(self, run: Run, batch: Batch) -> Forward:
        """The ensemble, with a gradient for the modalities that are in it."""
        stage, _ = self.stage(run)
        joined = range(min(stage + 1, run.model.num_modalities))
        features = self._features_of(run, batch, joined)
        logits = self.fuse(run.model, features)
        return Forward(run.model, batch, features, logits, run.loss_function)

    @staticmethod
    def _features_of(run: Run, batch: Batch, trained: Collection[int]) -> list[Tensor]:
        """Features (B, d) of all modalities; only those of the trained ones have a gradient.

        The other encoders are in evaluation mode, so their batch-norm statistics stay.
        """
        encoders = run.model.encoders
        with evaluation_mode(run.model), torch.no_grad():
            features = [
                x if j in trained else encoder(x)
                for j, (encoder, x) in enumerate(zip(encoders, batch.inputs, strict=True))
            ]
        for k in trained:
            features[k] = encoders[k](batch.inputs[k])
        if batch.keep is not None:
            features = [h * batch.keep[:, j, None] for j, h in enumerate(features)]
        return features

    def fuse(self, model: FusionNetwork, features: Sequence[Tensor]) -> Tensor:
        """The ensemble rho sum_k f_k (B, C), over the modalities that are in it."""
        return self._ensemble(self.unimodal_outputs(model, features))

    def _ensemble(self, outputs: Sequence[Tensor]) -> Tensor:
        """rho times the sum (B, C) of the outputs of the modalities that are in the ensemble."""
        present = self.joined[:, None, None]
        return self.rho * torch.where(present, torch.stack(list(outputs)), 0).sum(0)

    def unimodal_outputs(self, model: FusionNetwork, features: Sequence[Tensor]) -> list[Tensor]:
        """f_k (B, C): the shared head's output for every modality."""
        return [model.heads[0](h) for h in features]

    def report(self) -> dict[str, float]:
        """The scale of the ensemble."""
        return {"rho": float(self.rho.detach())}
