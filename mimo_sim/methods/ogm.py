"""OGM and OGM-GE: slow down the encoder of the modality that predicts better at the moment."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mimo_sim._checks import check_positive
from mimo_sim.methods._base import Family, Method, Needs, Search
from mimo_sim.methods._buffers import EpochMean
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance
from mimo_sim.methods._run import Run
from mimo_sim.methods._scores import mean_of_others, true_class_probability
from mimo_sim.methods._step import Forward
from mimo_sim.methods._windows import Window, check_window, inside


def modulation(scores: Tensor, alpha: float) -> Tensor:
    """Coefficients kappa (K,) in (0, 1]: 1 - tanh(alpha rho_k) where rho_k > 1, else 1.

    rho_k is the score of a modality over the mean score of the others. For K = 2 this is the
    paper's ratio; for K > 2 it is an extension of ours.

    Parameters
    ----------
    scores : Tensor (K,)
        How well each modality predicts, >= 0.
    alpha : float
        Strength, >= 0.
    """
    ratio = scores / (mean_of_others(scores) + 1e-8)
    return torch.where(ratio > 1, 1 - torch.tanh(alpha * ratio), torch.ones_like(ratio))


class OGM(Method):
    """On-the-fly gradient modulation: scale down the encoder gradient of the better modality.

    After the backward pass the sliced logits score each modality by the probability that it gives
    to the true classes, summed over the batch. The gradient of encoder k is multiplied by kappa_k
    of :func:`modulation`.

    Parameters
    ----------
    alpha : float
        Strength, >= 0. Default 0.8, published for CREMA-D; 0.1 for VGGSound. Zero is joint
        training, bit for bit.
    window : (int, int), optional
        First and last zero-based epoch in which it acts. Default (0, 50). None: all epochs.

    Notes
    -----
    Peng, Wei, Deng, Wang, Hu (CVPR 2022), Eq. 7-11. Modulated are all parameters of the encoders
    that have two or more dimensions; in the released code, only convolution kernels. The ratio for
    K > 2 is an extension. Optimizers of Adam's kind cancel most of a constant scaling; the paper
    uses SGD.
    """

    name: ClassVar[str] = "ogm"
    title: ClassVar[str] = "OGM"
    family: ClassVar[Family] = "gradient"
    about: ClassVar[str] = "scales down the better modality's encoder gradient (CVPR 2022)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Peng, Wei, Deng, Wang, Hu, CVPR 2022",
        follows="paper",
        code="GeWu-Lab/OGM-GE_CVPR2022",
        released="Modulates convolution kernels only. Equal scores damp the audio encoder.",
        compared=SAME_TENSORS,
        apart="round-off",
    )
    search: ClassVar[Search] = {"alpha": ("uniform", 0.1, 1.0)}
    needs: ClassVar[Needs] = "slices"
    min_modalities: ClassVar[int] = 2
    needs_classes: ClassVar[bool] = True
    kappa: EpochMean
    """Coefficients (K,), for the report."""

    def __init__(self, alpha: float = 0.8, window: Window = (0, 50), **more: Any) -> None:
        check_positive("alpha", alpha, allow_zero=True)
        self.alpha, self.window = alpha, check_window(window)
        super().__init__(alpha=alpha, window=self.window, **more)

    def setup(self, run: Run) -> None:
        """Make the buffer of the report."""
        self.kappa = EpochMean(run.model.num_modalities, run.device)

    def begin_epoch(self, run: Run) -> None:
        """Begin the mean of the report."""
        self.kappa.reset()

    def gradients(self, run: Run, out: Forward) -> None:
        """Modulate the gradients of the encoders' weights."""
        if self.alpha == 0 or not inside(self.window, run.epoch):
            return
        scores = torch.stack([true_class_probability(a, out.batch.target) for a in out.sliced])
        kappa = modulation(run.mean(scores), self.alpha)
        for encoder, coefficient in zip(run.model.encoders, kappa, strict=True):
            for parameter in encoder.parameters():
                if parameter.grad is not None and parameter.ndim > 1:
                    self.modulate(run, parameter.grad, coefficient)
        self.kappa.add(kappa)

    def modulate(self, run: Run, gradient: Tensor, kappa: Tensor) -> None:
        """g <- kappa g, in place."""
        gradient.mul_(kappa)

    def report(self) -> dict[str, Any]:
        """Epoch mean of kappa (K,), where it acted."""
        return {"kappa": self.kappa.mean().tolist()} if self.kappa.count else {}


class OGMGE(OGM):
    """OGM with generalisation enhancement: Gaussian noise on every modulated parameter.

    The noise has the gradient's own size and is added in all modalities, also in those whose
    gradient is not scaled down.

    Parameters
    ----------
    alpha, window
        As in :class:`OGM`.
    noise : float
        Standard deviation of the noise, as a multiple of that of the elements of the unmodulated
        gradient; >= 0. Default 1, as in the authors' code.

    Notes
    -----
    Peng, Wei, Deng, Wang, Hu (CVPR 2022), Eq. 14-18, in the form of the released code. The text of
    the paper has the covariance of the mini-batch gradient instead, which is another quantity.
    """

    name: ClassVar[str] = "ogm_ge"
    title: ClassVar[str] = "OGM-GE"
    about: ClassVar[str] = "OGM plus gradient noise (CVPR 2022)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Peng, Wei, Deng, Wang, Hu, CVPR 2022",
        follows="released code",
        code="GeWu-Lab/OGM-GE_CVPR2022",
        released=(
            "The noise has the spread of a gradient's elements; the paper has the covariance of "
            "the mini-batch gradient."
        ),
        compared=SAME_TENSORS,
        apart="round-off",
    )

    def __init__(self, alpha: float = 0.8, window: Window = (0, 50), noise: float = 1.0) -> None:
        check_positive("noise", noise, allow_zero=True)
        super().__init__(alpha, window, noise=noise)
        self.noise = noise

    def modulate(self, run: Run, gradient: Tensor, kappa: Tensor) -> None:
        """g <- kappa g + noise, in place."""
        size = gradient.std(correction=min(1, gradient.numel() - 1)) + 1e-8
        gradient.mul_(kappa)
        if self.noise:
            draw = torch.randn(
                gradient.shape,
                generator=run.generator,
                device=gradient.device,
                dtype=gradient.dtype,
            )
            gradient.add_(draw * (self.noise * size))
