"""OGM and OGM-GE: after the backward pass, scale down the encoder gradients of the modality that predicts better at the moment."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mimo_sim._checks import check_positive
from mimo_sim.methods._base import Family, Forward, Method, Run
from mimo_sim.methods._shared import (
    Window,
    check_window,
    inside,
    mean_of_others,
    true_class_probability,
)


def modulation(scores: Tensor, alpha: float) -> Tensor:
    """Coefficients kappa (K,) in (0, 1] from scores (K,) >= 0: 1 - tanh(alpha rho_k) where rho_k > 1, else 1.

    rho_k is the score over the mean score of the other modalities: the paper's ratio for K = 2 and an extension of ours for K > 2.
    """
    ratio = scores / (mean_of_others(scores) + 1e-8)
    return torch.where(ratio > 1, 1 - torch.tanh(alpha * ratio), torch.ones_like(ratio))


class OGM(Method):
    """On-the-fly gradient modulation by the batch's true-class probabilities of the sliced joint head.

    Parameters
    ----------
    alpha : float
        Strength, >= 0; zero is joint training, bit for bit. Published: 0.8 for CREMA-D, 0.1 for VGGSound.
    window : (int, int), optional
        First and last zero-based epoch in which it acts; None: all.

    Notes
    -----
    Peng, Wei, Deng, Wang, Hu, CVPR 2022, Eq. 7-11. Weights of the encoders are modulated, not their one-dimensional parameters (in the paper's networks:
    convolution kernels). K > 2 is an extension. Optimizers of Adam's kind cancel most of a constant scaling; the paper uses SGD.
    """

    name: ClassVar[str] = "ogm"
    family: ClassVar[Family] = "gradient"
    about: ClassVar[str] = "scales down the better modality's encoder gradient (CVPR 2022)"
    min_modalities: ClassVar[int] = 2
    needs_classes: ClassVar[bool] = True
    kappa_sum: Tensor  # (K,) over the epoch, for the report
    count: Tensor

    def __init__(self, alpha: float = 0.8, window: Window = (0, 50), **more: Any) -> None:
        check_positive("alpha", alpha, allow_zero=True)
        self.alpha, self.window = alpha, check_window(window)
        super().__init__(alpha=alpha, window=self.window, **more)

    def setup(self, run: Run) -> None:
        """Make buffers for the report."""
        self.register_buffer("kappa_sum", torch.zeros(run.model.num_modalities, device=run.device))
        self.register_buffer("count", torch.zeros((), device=run.device))

    def begin_epoch(self, run: Run) -> None:
        """Start the averages of the report."""
        self.kappa_sum.zero_()
        self.count.zero_()

    def gradients(self, run: Run, out: Forward) -> None:
        """Modulate the gradients of the encoders' weights."""
        if self.alpha == 0 or not inside(self.window, run.epoch):
            return
        kappa = modulation(
            run.mean(
                torch.stack([true_class_probability(a, out.batch.target) for a in out.sliced])
            ),
            self.alpha,
        )
        for encoder, coefficient in zip(run.model.encoders, kappa, strict=True):
            for parameter in encoder.parameters():
                if parameter.grad is not None and parameter.ndim > 1:
                    self.modulate(run, parameter.grad, coefficient)
        self.kappa_sum += kappa
        self.count += 1

    def modulate(self, run: Run, gradient: Tensor, kappa: Tensor) -> None:
        """g <- kappa g, in place."""
        gradient.mul_(kappa)

    def report(self) -> dict[str, Any]:
        """Epoch mean of kappa (K,), when it acted."""
        return {"kappa": (self.kappa_sum / self.count).tolist()} if self.count else {}


class OGMGE(OGM):
    """OGM with Gaussian noise of the gradient's own size on every modulated parameter, in both modalities.

    Parameters
    ----------
    alpha, window
        As in :class:`OGM`.
    noise : float
        Multiple, >= 0, of the standard deviation over the elements of the unmodulated gradient, as in the authors' code; 1 there. (The paper's text
        has the covariance of the mini-batch gradient instead, which is another quantity.)

    Notes
    -----
    Peng, Wei, Deng, Wang, Hu, CVPR 2022, Eq. 14-18 and released code.
    """

    name: ClassVar[str] = "ogm_ge"
    about: ClassVar[str] = "OGM plus gradient noise (CVPR 2022)"

    def __init__(self, alpha: float = 0.8, window: Window = (0, 50), noise: float = 1.0) -> None:
        check_positive("noise", noise, allow_zero=True)
        super().__init__(alpha, window, noise=noise)
        self.noise = noise

    def modulate(self, run: Run, gradient: Tensor, kappa: Tensor) -> None:
        """g <- kappa g + noise."""
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
