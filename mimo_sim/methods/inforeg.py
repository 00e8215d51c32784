"""InfoReg: while an encoder still gains information fast, hold the leading modality back."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from mimo_sim._checks import check_positive
from mimo_sim.methods._base import Family, Method, Needs, Search
from mimo_sim.methods._buffers import EpochMean
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Forward


def leads(scores: Tensor) -> Tensor:
    """Mean lead (K,) of each modality over those with a lower score (K,); 0 for the weakest."""
    ahead = scores[:, None] - scores
    behind = ahead > 0
    return torch.where(behind, ahead, 0.0).sum(1) / behind.sum(1).clamp_min(1)


def window_open(traces: Tensor, threshold: float) -> Tensor:
    """Whether (K,) an encoder still gains information fast.

    That is where the trace of its Fisher information grew by more than the fraction `threshold`.
    It is closed where a trace is zero or not known (NaN).

    Parameters
    ----------
    traces : Tensor (2, K)
        Traces of the last epoch but one, and of the last epoch.
    threshold : float
        Least growth, relative to the last trace.
    """
    before, last = traces
    return torch.logical_and(last > 0, (last - before) / last > threshold)


class InfoReg(Method):
    r"""Pull the encoders of leading modalities back to where their epoch began.

    The encoder gradient of modality k gains :math:`\alpha_k (\theta_k - \theta_k^{start})`, where
    start is the beginning of the epoch and alpha_k = exp(beta tanh(lead_k)). The lead compares the
    mean log-probabilities that the sliced logits give to the true class. A modality without a lead
    is not pulled. An encoder that has stopped gaining information is not pulled either: the pull
    needs a mean squared gradient (the trace of the Fisher information) that grew by more than
    `threshold` from the last epoch but one to the last. So there is no pull in the first two
    epochs.

    Parameters
    ----------
    beta : float
        Strength, >= 0. Default 0.9, the paper's best. alpha_k is at least 1 wherever it acts.
    threshold : float
        Least relative growth of the trace. Default 0.04, the paper's best. Infinity is joint
        training, bit for bit.

    Notes
    -----
    Huang, Wei, Yang, Hu (CVPR 2025), Eq. 8-16. This is the method of the paper; the released code
    differs. The trace is that of the gradient before the pull. Training is stable only while the
    step size times alpha_k stays below 2.
    """

    name: ClassVar[str] = "inforeg"
    title: ClassVar[str] = "InfoReg"
    family: ClassVar[Family] = "gradient"
    about: ClassVar[str] = "pulls leading encoders back while information grows (CVPR 2025)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Huang, Wei, Yang, Hu, CVPR 2025",
        follows="paper",
        code="GeWu-Lab/InfoReg_CVPR2025",
        released=(
            "Other coefficients for sound and picture, gaps of sums over the batch, one trace "
            "that decides for both modalities, traces of ten epochs."
        ),
        compared=SAME_TENSORS,
        apart="round-off",
    )
    search: ClassVar[Search] = {"beta": ("uniform", 0.5, 0.99), "threshold": ("log", 0.01, 0.2)}
    needs: ClassVar[Needs] = "slices"
    min_modalities: ClassVar[int] = 2
    needs_classes: ClassVar[bool] = True
    traces: Tensor
    """Traces (2, K) of the last epoch but one, and of the last epoch."""
    trace: EpochMean
    """Squared encoder gradients (K,) of this epoch."""

    def __init__(self, beta: float = 0.9, threshold: float = 0.04) -> None:
        check_positive("beta", beta, allow_zero=True)
        if not isinstance(threshold, int | float) or math.isnan(threshold):
            raise ValueError(f"`threshold` must be a number. Got threshold={threshold!r}.")
        super().__init__(beta=beta, threshold=threshold)
        self.beta, self.threshold = beta, threshold
        self.open = [False]
        self.start: list[list[Tensor]] = []

    def setup(self, run: Run) -> None:
        """Make buffers for the traces."""
        modalities = run.model.num_modalities
        unknown = torch.full((2, modalities), torch.nan, device=run.device)
        self.register_buffer("traces", unknown)
        self.trace = EpochMean(modalities, run.device)

    def begin_epoch(self, run: Run) -> None:
        """Remember the weights of the encoders whose window is open."""
        self.trace.reset()
        self.open = window_open(self.traces, self.threshold).tolist()
        self.start = [
            [p.detach().clone() for p in encoder.parameters()] if now else []
            for encoder, now in zip(run.model.encoders, self.open, strict=True)
        ]

    @torch.no_grad()
    def gradients(self, run: Run, out: Forward) -> None:
        """Note the squared gradients, then add the pull."""
        gradients = [
            [p.grad for p in encoder.parameters() if p.grad is not None]
            for encoder in run.model.encoders
        ]
        norms = [torch.stack(torch._foreach_norm(group)) for group in gradients]
        self.trace.add(torch.stack([norm.square().sum() for norm in norms]))
        if not any(self.open):
            return
        scores = -torch.stack([run.loss_function(a, out.batch.target) for a in out.sliced])
        lead = leads(run.mean(scores))
        pull = torch.where(lead > 0, torch.exp(self.beta * torch.tanh(lead)), 0.0)
        for k, encoder in enumerate(run.model.encoders):
            if not self.open[k]:
                continue
            for p, start in zip(encoder.parameters(), self.start[k], strict=True):
                if p.grad is not None:
                    p.grad += pull[k] * (p - start)

    def end_epoch(self, run: Run) -> None:
        """Keep the trace of this epoch and of the one before."""
        self.traces = torch.stack([self.traces[1], self.trace.mean()])

    def report(self) -> dict[str, Any]:
        """Mean squared encoder gradients (K,) of the epoch, and where the window was open (K,)."""
        return {"trace": self.traces[1].tolist(), "regulated": [float(now) for now in self.open]}
