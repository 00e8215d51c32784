"""AGM: Shapley-type responses of every modality, and gradients scaled by how far each is ahead of the others."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_positive
from mimo_sim.methods._base import Batch, Family, Forward, Method, Run
from mimo_sim.methods._shapley import shapley
from mimo_sim.methods._shared import Window, check_window, evaluation_mode, inside, mean_of_others

LEAST_PROBABILITY = 1e-8


def lead(scores: Tensor) -> Tensor:
    """r_k = exp(mean of the others' scores - s_k), (K,), from cross-entropies s_k: above 1 for a modality that is ahead."""
    return torch.exp(mean_of_others(scores) - scores)


def modulation(scores: Tensor, averages: Tensor, alpha: float, cap: float) -> Tensor:
    """Coefficients kappa (K,): exp(alpha min(tau_k - r_k, cap)), r from this batch's scores (K,) and tau from their running averages (K,)."""
    return torch.exp(alpha * (lead(averages) - lead(scores)).clamp_max(cap))


class AGM(Method):
    """Adaptive gradient modulation.

    The response phi_k of a modality is its Shapley value of the joint output over coalitions of inputs, absent inputs being zero. The responses add up to
    the output; in the backward pass the gradient of each is multiplied by kappa_k, so the whole network is affected.

    Parameters
    ----------
    alpha : float
        Strength, >= 0; zero is joint training. Published: 1 (released default), 1.5 CREMA-D, 2.5 AV-MNIST, 4 UR-Funny.
    window : (int, int), optional
        First and last zero-based epoch in which it acts; None (the authors' published runs): all.
    cap : float
        Bound on tau_k - r_k, > 0: 10 for CREMA-D, 7 for UR-Funny.
    clip : float
        If an entry of the fusion layer's gradient exceeds it, the norm of the whole gradient is clipped to it; > 0, 1 for CREMA-D, 5 for UR-Funny.

    Notes
    -----
    Li, Li, Hu, Lei, Li, Zhou, ICCV 2023, sign of the released code: a modality that has run ahead is damped. With late fusion the masked outputs need one
    more pass per encoder and its response to one zero input, instead of 2^K - 1 passes of the network. The full coalition is in training
    mode and the masked ones in evaluation mode, as released.
    """

    name: ClassVar[str] = "agm"
    family: ClassVar[Family] = "gradient"
    about: ClassVar[str] = "scales Shapley responses' gradients (ICCV 2023)"
    min_modalities: ClassVar[int] = 2
    needs_classes: ClassVar[bool] = True
    shares: Tensor  # (2^K, K) coefficients of the Shapley values
    averages: Tensor  # (K,) running means of the scores
    steps: Tensor
    kappa_sum: Tensor  # (K,) over the epoch, for the report
    count: Tensor

    def __init__(
        self, alpha: float = 1.0, window: Window = None, cap: float = 10.0, clip: float = 1.0
    ) -> None:
        check_positive("alpha", alpha, allow_zero=True)
        check_positive("cap", cap)
        check_positive("clip", clip)
        self.alpha, self.window, self.cap, self.clip = alpha, check_window(window), cap, clip
        super().__init__(alpha=alpha, window=self.window, cap=cap, clip=clip)

    def setup(self, run: Run) -> None:
        """Make buffers for Shapley shares, running averages and the report."""
        self.register_buffer(
            "shares",
            shapley(torch.eye(2**run.model.num_modalities)).to(run.device),
            persistent=False,
        )
        for name in ("averages", "kappa_sum"):
            self.register_buffer(name, torch.zeros(run.model.num_modalities, device=run.device))
        for name in ("steps", "count"):
            self.register_buffer(name, torch.zeros((), device=run.device))

    def begin_epoch(self, run: Run) -> None:
        """Start the averages of the report."""
        self.kappa_sum.zero_()
        self.count.zero_()

    def responses(self, run: Run, out: Forward) -> Tensor:
        """phi (B, C, K), adding up to the joint output over k."""
        model, k = run.model, run.model.num_modalities
        with evaluation_mode(model):
            present = model.features(out.batch.inputs)
            absent = [
                h.expand(len(x), -1)
                for h, x in zip(
                    model.features([torch.zeros_like(x[:1]) for x in out.batch.inputs]),
                    out.batch.inputs,
                    strict=True,
                )
            ]
        masked = [
            [present[j] if mask >> j & 1 else absent[j] for j in range(k)]
            for mask in range(1, 2**k - 1)
        ]
        coalitions = [
            torch.zeros_like(out.logits),
            *(self.fuse(model, features) for features in masked),
            out.logits,
        ]
        return torch.stack(coalitions, dim=-1) @ self.shares

    def forward_pass(self, run: Run, batch: Batch) -> Forward:
        """The joint output as the sum of modulated responses."""
        out = super().forward_pass(run, batch)
        if self.alpha == 0 or not inside(self.window, run.epoch):
            return out
        phi = self.responses(run, out)
        with torch.no_grad():
            log_p = F.log_softmax(phi.float(), dim=1).gather(
                1, batch.target[:, None, None].expand(-1, 1, phi.shape[-1])
            )[:, 0]
            scores = run.mean(-log_p.clamp_min(math.log(LEAST_PROBABILITY)).mean(0))
            kappa = modulation(scores, self.averages, self.alpha, self.cap)
            self.steps += 1
            self.averages += (scores - self.averages) / self.steps
            self.kappa_sum += kappa
            self.count += 1
        out.logits = (phi.detach() + kappa * (phi - phi.detach())).sum(-1)
        return out

    def gradients(self, run: Run, out: Forward) -> None:
        """Clip the gradient if one of the fusion layer's entries is too large."""
        if self.alpha == 0 or not inside(self.window, run.epoch):
            return
        gradients = [p.grad for p in run.model.parameters() if p.grad is not None]
        largest = torch.stack(
            [p.grad.abs().amax() for p in run.model.fusion.parameters() if p.grad is not None]
        ).amax()
        norm = nn.utils.get_total_norm(gradients)
        torch._foreach_mul_(
            gradients,
            torch.where(
                largest > self.clip, (self.clip / norm).clamp_max(1.0), torch.ones_like(norm)
            ),
        )

    def report(self) -> dict[str, Any]:
        """Epoch mean of kappa (K,), when it acted."""
        return {"kappa": (self.kappa_sum / self.count).tolist()} if self.count else {}
