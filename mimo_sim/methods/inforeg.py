"""InfoReg: while an encoder still gains information fast, the better modality is pulled back to where its epoch began."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from mimo_sim._checks import check_positive
from mimo_sim.methods._base import Family, Forward, Method, Run


def leads(scores: Tensor) -> Tensor:
    """Mean lead (K,) of every modality over those with a lower score; 0 for the weakest."""
    ahead = scores[:, None] - scores
    behind = ahead > 0
    return torch.where(behind, ahead, 0.0).sum(1) / behind.sum(1).clamp_min(1)


def window_open(traces: Tensor, threshold: float) -> Tensor:
    """Whether (K,) the trace of the Fisher information grew by more than this fraction, from those of the last epoch but one and the last (2, K).

    Closed where a trace is not known (NaN) or zero.
    """
    before, last = traces
    return torch.logical_and(last > 0, (last - before) / last > threshold)


class InfoReg(Method):
    r"""Adds :math:`\alpha_k (\theta_k - \theta_k^{start})` to the encoder gradient, alpha_k = exp(beta tanh(lead_k)), start being that of the epoch.

    It acts on modalities that lead some other in mean true-class log-probability of the sliced joint head, in epochs before which the mean squared gradient
    of the encoder had grown by more than `threshold`; not in the first two.

    Parameters
    ----------
    beta : float
        Strength, >= 0; the paper's best 0.9. alpha_k is at least 1 wherever it acts.
    threshold : float
        Of the relative growth; the paper's best 0.04. Infinity is joint training, bit for bit.

    Notes
    -----
    Huang, Wei, Yang, Hu (CVPR 2025), Eq. 8-16, as the paper has it and not as in the released code, which differs. The trace is taken of the gradient before
    the pull. The step size times alpha_k must stay below 2.
    """

    name: ClassVar[str] = "inforeg"
    family: ClassVar[Family] = "gradient"
    about: ClassVar[str] = "pulls leading encoders back while information grows (CVPR 2025)"
    min_modalities: ClassVar[int] = 2
    needs_classes: ClassVar[bool] = True
    traces: Tensor  # (2, K) last epoch but one, last epoch
    trace_sum: Tensor
    count: Tensor

    def __init__(self, beta: float = 0.9, threshold: float = 0.04) -> None:
        check_positive("beta", beta, allow_zero=True)
        if not isinstance(threshold, int | float) or math.isnan(threshold):
            raise ValueError(f"`threshold` must be a number. Got threshold={threshold!r}.")
        super().__init__(beta=beta, threshold=threshold)
        self.beta, self.threshold = beta, threshold
        self.open = [False]
        self.start: list[list[Tensor]] = []

    def setup(self, run: Run) -> None:
        """Make buffers for the traces and the report."""
        self.register_buffer(
            "traces", torch.full((2, run.model.num_modalities), torch.nan, device=run.device)
        )
        self.register_buffer("trace_sum", torch.zeros(run.model.num_modalities, device=run.device))
        self.register_buffer("count", torch.zeros((), device=run.device))

    def begin_epoch(self, run: Run) -> None:
        """Remember the weights where the window is open."""
        self.trace_sum.zero_()
        self.count.zero_()
        self.open = window_open(self.traces, self.threshold).tolist()
        self.start = [
            [p.detach().clone() for p in e.parameters()] if now else []
            for e, now in zip(run.model.encoders, self.open, strict=True)
        ]

    @torch.no_grad()
    def gradients(self, run: Run, out: Forward) -> None:
        """Note the squared gradients, then add the pull."""
        gradients = [
            [p.grad for p in encoder.parameters() if p.grad is not None]
            for encoder in run.model.encoders
        ]
        self.trace_sum += torch.stack(
            [torch.stack(torch._foreach_norm(group)).square().sum() for group in gradients]
        )
        self.count += 1
        if not any(self.open):
            return
        scores = run.mean(
            -torch.stack([run.loss_function(a, out.batch.target) for a in out.sliced])
        )
        lead = leads(scores)
        pull = torch.where(lead > 0, torch.exp(self.beta * torch.tanh(lead)), 0.0)
        for k, encoder in enumerate(run.model.encoders):
            for p, start in zip(encoder.parameters(), self.start[k], strict=False):
                if p.grad is not None:
                    p.grad += pull[k] * (p - start)

    def end_epoch(self, run: Run) -> None:
        """The epoch's traces."""
        self.traces = torch.stack([self.traces[1], self.trace_sum / self.count.clamp_min(1)])

    def report(self) -> dict[str, Any]:
        """Mean squared encoder gradients (K,) of the epoch, and where the pull acted."""
        return {"trace": self.traces[1].tolist(), "regulated": [float(now) for now in self.open]}
