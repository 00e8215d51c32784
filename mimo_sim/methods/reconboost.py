"""ReconBoost: modalities are trained in turn as in boosting, each on what the others get wrong, with phases that mend the ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_count, check_positive
from mimo_sim.methods._base import Batch, Family, Forward, Method, Run
from mimo_sim.methods._shared import evaluation_mode

if TYPE_CHECKING:
    from mimo_sim.networks.late import LateFusion


def boosting_loss(logits: Tensor, rest: Tensor, target: Tensor, w1: float, w2: float) -> Tensor:
    """1/(B C) sum over samples of (w1 - w2 q(y)) (-log p(y)): p from a modality's logits (B, C), q, a constant, from those of the rest of the ensemble."""
    q = rest.detach().softmax(1).gather(1, target[:, None])[:, 0]
    return (
        (w1 - w2 * q) * F.cross_entropy(logits, target, reduction="none")
    ).mean() / logits.shape[1]


class ReconBoost(Method):
    """Alternating-boosting with one shared head H: f_k = H(h_k), and the ensemble rho sum_k f_k is the joint output.

    A stage trains one modality, in turn: `own_epochs` epochs of its encoder and H on :func:`boosting_loss` plus alpha times the mean squared difference of its
    probabilities to those of the stage before's modality, then `joint_epochs` epochs of everything on the ensemble's loss. The optimizer's memory is cleared
    where a phase begins. The shared head is the model's first uni-modal head; the fusion layer is not used.

    Parameters
    ----------
    w1, w2 : float
        Weight of a sample, and what is taken off it where the others are right; w1 >= w2 >= 0.
    alpha : float
        Weight of the alignment, >= 0.
    rho : float
        Initial scale of the ensemble, > 0; it is learned in the joint phases.
    own_epochs, joint_epochs : int
        Lengths of the phases, >= 1 and >= 0. The authors use 4 and 4, over a thousand stages.

    Notes
    -----
    Hua, Xu, Bao, Yang, Huang (ICML 2024), weights of the authors' CREMA-D script. Every epoch is one pass over the data, so runs have the same budget as those
    of other methods. The alignment has the gradient that it lacks in the released code, and other encoders' batch-norm statistics stay as they are.
    """

    name: ClassVar[str] = "reconboost"
    family: ClassVar[Family] = "multi-phase"
    about: ClassVar[str] = "alternating boosting through a shared head (ICML 2024)"
    uses_heads: ClassVar[bool] = True
    needs_classes: ClassVar[bool] = True

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
        own_epochs, joint_epochs = (
            check_count("own_epochs", own_epochs),
            check_count("joint_epochs", joint_epochs, 0),
        )
        super().__init__(
            w1=w1, w2=w2, alpha=alpha, rho=rho, own_epochs=own_epochs, joint_epochs=joint_epochs
        )
        self.w1, self.w2, self.alpha, self.own_epochs, self.joint_epochs = (
            w1,
            w2,
            alpha,
            own_epochs,
            joint_epochs,
        )
        self.rho = nn.Parameter(torch.tensor(float(rho)))

    def setup(self, run: Run) -> None:
        """Needs one width for all encoders."""
        if len(set(run.model.widths)) != 1:
            raise ValueError(
                f"method 'reconboost' shares one head, so all encoders must have one width. Got widths {run.model.widths}."
            )

    def begin_epoch(self, run: Run) -> None:
        """Clear the optimizer's memory where a phase begins."""
        if run.epoch % (self.own_epochs + self.joint_epochs) in (0, self.own_epochs):
            run.optimizer.state.clear()

    def step(self, run: Run, batch: Batch) -> Forward:
        """One step of the phase that the epoch is in."""
        stage, place = divmod(run.epoch, self.own_epochs + self.joint_epochs)
        if place >= self.own_epochs:
            return super().step(run, batch)
        model, k = run.model, stage % run.model.num_modalities
        with evaluation_mode(model), torch.no_grad():
            features = [
                x if j == k else encoder(x)
                for j, (encoder, x) in enumerate(zip(model.encoders, batch.inputs, strict=True))
            ]
        features[k] = model.encoders[k](batch.inputs[k])
        if batch.keep is not None:
            features = [h * batch.keep[:, j, None] for j, h in enumerate(features)]
        outputs = self.unimodal_outputs(model, features)
        others = [f.detach() for j, f in enumerate(outputs) if j != k]
        rest = (
            self.rho.detach() * torch.stack(others).sum(0)
            if others
            else torch.zeros_like(outputs[k])
        )
        loss = boosting_loss(outputs[k], rest, batch.target, self.w1, self.w2)
        if stage and self.alpha and others:
            before = outputs[(k - 1) % len(outputs)].detach().softmax(1)
            loss = loss + self.alpha * (outputs[k].softmax(1) - before).square().mean()
        run.optimizer.zero_grad(set_to_none=True)
        run.backward(loss)
        run.optimizer.step()
        with torch.no_grad():
            return Forward(
                model,
                batch,
                [h.detach() for h in features],
                self.rho * torch.stack(outputs).sum(0),
                run.loss_function,
            )

    def fuse(self, model: LateFusion, features: Sequence[Tensor]) -> Tensor:
        """The ensemble rho sum_k f_k (B, C)."""
        return self.rho * torch.stack(self.unimodal_outputs(model, features)).sum(0)

    def unimodal_outputs(self, model: LateFusion, features: Sequence[Tensor]) -> list[Tensor]:
        """f_k (B, C): the shared head's output for every modality."""
        return [model.heads[0](h) for h in features]

    def report(self) -> dict[str, float]:
        """The ensemble's scale."""
        return {"rho": float(self.rho.detach())}
