"""The sum of the joint loss and the losses of uni-modal heads: the baseline that matters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from mimo_sim._checks import check_positive
from mimo_sim.methods._base import Family, Forward, Method, Run


class LinearScalarization(Method):
    """L + sum_k w_k l_k with separate uni-modal heads. MIMO tends to it with w_k = lam / K as mu grows.

    Parameters
    ----------
    weight : float, or one per modality
        w_k >= 0. Zero is joint training, bit for bit.

    Notes
    -----
    The uniform baseline of MMPareto (Wei and Hu, ICML 2024) and InfoReg (Huang et al., CVPR 2025). A plain sum, not a mean: compare it
    with others at step sizes that suit each.
    """

    name: ClassVar[str] = "linear_scalarization"
    family: ClassVar[Family] = "objective"
    about: ClassVar[str] = "joint loss plus uni-modal losses, fixed weights"
    uses_heads: ClassVar[bool] = True

    def __init__(self, weight: float | Sequence[float] = 1.0) -> None:
        for w in weight if isinstance(weight, list | tuple) else (weight,):
            check_positive("weight", w, allow_zero=True)
        super().__init__(weight=weight)
        self.weights: Tensor
        self.register_buffer("weights", torch.as_tensor(weight, dtype=torch.float32))
        self.off = not self.weights.any()

    def setup(self, run: Run) -> None:
        """Check that there is one weight per modality."""
        if self.weights.ndim and len(self.weights) != run.model.num_modalities:
            raise ValueError(
                f"`weight` must be one number or one per modality ({run.model.num_modalities}). Got weight={self.hyper['weight']!r}."
            )

    def objective(self, run: Run, out: Forward) -> Tensor:
        """L + sum_k w_k l_k."""
        return out.loss if self.off else out.loss + (self.weights * out.head_losses).sum()
