"""MLB: a lagging encoder takes larger steps, a leading one smaller steps."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mimo_sim._checks import check_positive
from mimo_sim.methods._base import Family, Method, Search
from mimo_sim.methods._buffers import EpochMean
from mimo_sim.methods._conformance import Conformance
from mimo_sim.methods._run import Run
from mimo_sim.methods._scaling import scale_gradients
from mimo_sim.methods._scores import mean_of_others, true_class_probability
from mimo_sim.methods._step import Forward
from mimo_sim.methods._windows import Window, check_window, inside


def modulation(scores: Tensor, alpha: float, beta: float = 2.0) -> Tensor:
    """Coefficients kappa (K,) in (0, beta): 1 + tanh(alpha (rho_k - 1)), continuous at rho_k = 1.

    rho_k is the mean score of the other modalities over that of k: above 1 for one that lags. There
    the tanh is multiplied by beta - 1.

    Parameters
    ----------
    scores : Tensor (K,)
        How well each modality predicts, > 0.
    alpha : float
        Strength, >= 0.
    beta : float
        Bound of the coefficients, >= 1.
    """
    behind = mean_of_others(scores) / scores.clamp_min(torch.finfo(scores.dtype).tiny) - 1
    change = torch.tanh(alpha * behind)
    return 1 + torch.where(behind > 0, (beta - 1) * change, change)


class MLB(Method):
    """Multi-loss balanced: linear scalarization whose encoders take steps by their lag.

    The objective is L + sum_k l_k. After the backward pass the uni-modal heads score each modality
    by the mean probability that they give to the true classes. The gradients of encoder k and of
    the weight of its head are multiplied by kappa_k of :func:`modulation`. The fusion layer and the
    biases of the heads keep theirs.

    Parameters
    ----------
    alpha : float
        Strength, >= 0. Default 1.5, our choice: the published values are not known to us. Zero is
        linear scalarization, bit for bit.
    beta : float
        Bound of kappa for modalities that lag, >= 1. Default 2: they are accelerated as much as the
        leading ones are damped. At 1 none is accelerated.
    window : (int, int), optional
        First and last zero-based epoch in which kappa acts. Outside it is linear scalarization, bit
        for bit. Default None: all epochs.

    Notes
    -----
    Kontras, Chatzichristos, Blaschko, De Vos (BMVC 2024), arXiv:2405.07930; the coefficients are
    those of the released code. Optimizers of Adam's kind cancel most of a constant scaling.
    """

    name: ClassVar[str] = "mlb"
    title: ClassVar[str] = "MLB"
    family: ClassVar[Family] = "gradient"
    about: ClassVar[str] = "larger steps for encoders that lag, smaller for others (BMVC 2024)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Kontras, Chatzichristos, Blaschko, De Vos, BMVC 2024, arXiv:2405.07930",
        follows="both",
        code="kkontras/MLB",
        released="Its classes do not start as released, and its settings are not in it.",
    )
    search: ClassVar[Search] = {"alpha": ("log", 0.2, 10.0), "beta": ("uniform", 1.0, 4.0)}
    uses_heads: ClassVar[bool] = True
    needs_classes: ClassVar[bool] = True
    min_modalities: ClassVar[int] = 2
    kappa: EpochMean
    """Coefficients (K,), for the report."""

    def __init__(self, alpha: float = 1.5, beta: float = 2.0, window: Window = None) -> None:
        check_positive("alpha", alpha, allow_zero=True)
        check_positive("beta", beta)
        if beta < 1:
            raise ValueError(f"`beta` must be >= 1. Got beta={beta!r}.")
        self.window = check_window(window)
        super().__init__(alpha=alpha, beta=beta, window=self.window)
        self.alpha, self.beta = alpha, beta

    def setup(self, run: Run) -> None:
        """Make the buffer of the report."""
        self.kappa = EpochMean(run.model.num_modalities, run.device)

    def begin_epoch(self, run: Run) -> None:
        """Begin the mean of the report."""
        self.kappa.reset()

    def objective(self, run: Run, out: Forward) -> Tensor:
        """L + sum_k l_k."""
        return out.loss + out.head_losses.sum()

    @torch.no_grad()
    def gradients(self, run: Run, out: Forward) -> None:
        """Scale the gradients of encoders and of the heads' weights."""
        if not self.alpha or not inside(self.window, run.epoch):
            return
        model, target = out.model, out.batch.target
        outputs = model.head_logits(out.features)
        scores = torch.stack([true_class_probability(v, target) for v in outputs])
        kappa = modulation(run.mean(scores), self.alpha, self.beta)
        scale_gradients(model.encoders, kappa)
        scale_gradients([[head.get_parameter("weight")] for head in model.heads], kappa)
        self.kappa.add(kappa)

    def report(self) -> dict[str, Any]:
        """Epoch mean of kappa (K,), where it acted."""
        return {"kappa": self.kappa.mean().tolist()} if self.kappa.count else {}
