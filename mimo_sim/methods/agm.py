"""AGM: split the output into responses of the modalities, and slow down those that run ahead."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_positive
from mimo_sim.methods._base import Family, Method, Needs, Search
from mimo_sim.methods._buffers import EpochMean
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance
from mimo_sim.methods._evaluation import evaluation_mode
from mimo_sim.methods._run import Run
from mimo_sim.methods._scores import mean_of_others
from mimo_sim.methods._shapley import shapley
from mimo_sim.methods._step import Batch, Forward
from mimo_sim.methods._windows import Window, check_window, inside

LEAST_PROBABILITY = 1e-8
"""Least probability of the true class that counts, so that scores are finite."""


def lead(scores: Tensor) -> Tensor:
    """r_k = exp(mean of the others' scores - s_k), (K,); above 1 for a modality that is ahead.

    The scores s_k (K,) are cross-entropies: the smaller, the better.
    """
    return torch.exp(mean_of_others(scores) - scores)


def modulation(scores: Tensor, averages: Tensor, alpha: float, cap: float) -> Tensor:
    """Coefficients kappa (K,): exp(alpha min(tau_k - r_k, cap)).

    r is the :func:`lead` by the scores (K,) of this batch, and tau the lead by their running
    averages (K,). A modality that is further ahead than usual has r_k > tau_k, so it is slowed
    down.
    """
    return torch.exp(alpha * (lead(averages) - lead(scores)).clamp_max(cap))


class AGM(Method):
    """Adaptive gradient modulation: scale the gradient of each modality's share of the output.

    The response phi_k of a modality is its fair share of the joint output, a Shapley value
    (:func:`mimo_sim.methods._shapley.shapley`). For that, the network is evaluated with some of its
    inputs set to zero. The responses add up to the output. In the backward pass the gradient of
    phi_k is multiplied by kappa_k of :func:`modulation`, so the whole network is affected.

    Parameters
    ----------
    alpha : float
        Strength, >= 0. Default 1, as released; published: 1.5 for CREMA-D, 2.5 for AV-MNIST, 4 for
        UR-Funny. Zero is joint training, bit for bit.
    window : (int, int), optional
        First and last zero-based epoch in which it acts. Default None: all epochs, as in the
        authors' published runs.
    cap : float
        Bound on tau_k - r_k, > 0. Default 10, for CREMA-D; 7 for UR-Funny.
    clip : float
        > 0. If an entry of the fusion layer's weight gradient exceeds this bound, the norm of the
        whole gradient is clipped to it. Default 1, for CREMA-D; 5 for UR-Funny.

    Notes
    -----
    Li, Li, Hu, Lei, Li, Zhou (ICCV 2023), with the sign of the released code: a modality that runs
    ahead is damped. The output with all inputs is computed in training mode, and those with inputs
    set to zero in evaluation mode, as in the released code. Also as released, the fusion layer's
    bias has no say in whether to clip. With late fusion, the masked outputs need only one more pass
    of each encoder and its feature of a zero input, instead of 2^K - 1 passes of the network.
    """

    name: ClassVar[str] = "agm"
    title: ClassVar[str] = "AGM"
    family: ClassVar[Family] = "gradient"
    about: ClassVar[str] = "slows down the modality that runs ahead (ICCV 2023)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Li, Li, Hu, Lei, Li, Zhou, ICCV 2023",
        follows="released code",
        code="lihong2303/AGM_ICCV2023",
        released=(
            "The sign is that of the code. A public benchmark has the opposite one. Only the "
            "fusion layer's weight decides on clipping."
        ),
        compared=SAME_TENSORS,
        apart="round-off",
    )
    search: ClassVar[Search] = {"alpha": ("log", 0.1, 10.0)}
    needs: ClassVar[Needs] = "slices"
    min_modalities: ClassVar[int] = 2
    needs_classes: ClassVar[bool] = True
    shares: Tensor
    """Matrix (2^K, K) that takes the outputs of all coalitions to the responses."""
    averages: Tensor
    """Running means (K,) of the scores."""
    steps: Tensor
    """How many batches the running means have seen."""
    kappa: EpochMean
    """Coefficients (K,), for the report."""

    def __init__(
        self, alpha: float = 1.0, window: Window = None, cap: float = 10.0, clip: float = 1.0
    ) -> None:
        check_positive("alpha", alpha, allow_zero=True)
        check_positive("cap", cap)
        check_positive("clip", clip)
        self.alpha, self.window, self.cap, self.clip = alpha, check_window(window), cap, clip
        super().__init__(alpha=alpha, window=self.window, cap=cap, clip=clip)

    def setup(self, run: Run) -> None:
        """Make the buffers."""
        modalities = run.model.num_modalities
        shares = shapley(torch.eye(2**modalities)).to(run.device)
        self.register_buffer("shares", shares, persistent=False)
        self.register_buffer("averages", torch.zeros(modalities, device=run.device))
        self.register_buffer("steps", torch.zeros((), device=run.device))
        self.kappa = EpochMean(modalities, run.device)

    def begin_epoch(self, run: Run) -> None:
        """Begin the mean of the report."""
        self.kappa.reset()

    def acts(self, run: Run) -> bool:
        """Whether this epoch is modulated."""
        return self.alpha != 0 and inside(self.window, run.epoch)

    def responses(self, run: Run, out: Forward) -> Tensor:
        """The responses phi (B, C, K); over k they add up to the joint output."""
        model, inputs = run.model, out.batch.inputs
        k = model.num_modalities
        with evaluation_mode(model):
            present = model.features(inputs)
            of_zero = model.features([torch.zeros_like(x[:1]) for x in inputs])
        absent = [h.expand(len(x), -1) for h, x in zip(of_zero, inputs, strict=True)]
        outputs = [torch.zeros_like(out.logits)]  # of the empty coalition
        for members in range(1, 2**k - 1):
            features = [present[j] if members >> j & 1 else absent[j] for j in range(k)]
            outputs.append(self.fuse(model, features))
        outputs.append(out.logits)
        return torch.stack(outputs, dim=-1) @ self.shares

    def forward_pass(self, run: Run, batch: Batch) -> Forward:
        """The joint output as the sum of modulated responses."""
        out = super().forward_pass(run, batch)
        if not self.acts(run):
            return out
        phi = self.responses(run, out)
        with torch.no_grad():
            true_class = batch.target[:, None, None].expand(-1, 1, phi.shape[-1])
            log_p = F.log_softmax(phi.float(), dim=1).gather(1, true_class)[:, 0]
            scores = run.mean(-log_p.clamp_min(math.log(LEAST_PROBABILITY)).mean(0))
            kappa = modulation(scores, self.averages, self.alpha, self.cap)
            self.steps += 1
            self.averages += (scores - self.averages) / self.steps
            self.kappa.add(kappa)
        out.logits = (phi.detach() + kappa * (phi - phi.detach())).sum(-1)
        return out

    def gradients(self, run: Run, out: Forward) -> None:
        """Clip the whole gradient where an entry of the fusion layer's weight is too large."""
        if not self.acts(run):
            return
        gradients = [p.grad for p in run.model.parameters() if p.grad is not None]
        of_weight = run.model.fusion.weight.grad
        if of_weight is None:  # a frozen fusion layer
            return
        largest = of_weight.abs().amax()
        norm = nn.utils.get_total_norm(gradients)
        clipped = (self.clip / norm).clamp_max(1.0)
        factor = torch.where(largest > self.clip, clipped, torch.ones_like(norm))
        torch._foreach_mul_(gradients, factor)

    def report(self) -> dict[str, Any]:
        """Epoch mean of kappa (K,), where it acted."""
        return {"kappa": self.kappa.mean().tolist()} if self.kappa.count else {}
