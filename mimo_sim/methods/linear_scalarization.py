"""The sum of the joint loss and the losses of uni-modal heads: the baseline that matters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from mimo_sim._checks import check_positive
from mimo_sim.methods._base import Family, Method, Needs, Search
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Forward


class LinearScalarization(Method):
    """Minimise L + sum_k w_k l_k with fixed weights and separate uni-modal heads.

    MIMO tends to this with w_k = lam / K as its mu grows.

    Parameters
    ----------
    weight : float, or one per modality
        w_k >= 0. Default 1. Zero is joint training, bit for bit.

    Notes
    -----
    The uniform baseline of MMPareto (Wei and Hu, ICML 2024) and InfoReg (Huang et al., CVPR 2025).
    The losses are added, not averaged, so encoders take larger steps than in joint training.
    Compare methods at step sizes that suit each of them.
    """

    name: ClassVar[str] = "linear_scalarization"
    title: ClassVar[str] = "linear scalarization"
    family: ClassVar[Family] = "objective"
    about: ClassVar[str] = "joint loss plus uni-modal losses, fixed weights"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Wei, Hu, ICML 2024 (their uniform baseline)",
        follows="both",
        code="GeWu-Lab/MMPareto_ICML2024",
        compared=SAME_TENSORS,
        apart="round-off",
    )
    search: ClassVar[Search] = {"weight": ("log", 0.1, 10.0)}
    needs: ClassVar[Needs] = "joint"
    uses_heads: ClassVar[bool] = True
    capturable: ClassVar[bool] = True
    weights: Tensor
    """One weight () for all modalities, or one per modality (K,)."""

    def __init__(self, weight: float | Sequence[float] = 1.0) -> None:
        for w in weight if isinstance(weight, list | tuple) else (weight,):
            check_positive("weight", w, allow_zero=True)
        super().__init__(weight=weight)
        self.register_buffer("weights", torch.as_tensor(weight, dtype=torch.float32))
        self.off = not self.weights.any()

    def setup(self, run: Run) -> None:
        """Check that there is one weight per modality."""
        modalities = run.model.num_modalities
        if self.weights.ndim and len(self.weights) != modalities:
            raise ValueError(
                f"`weight` must be one number or one per modality ({modalities}). "
                f"Got weight={self.hyper['weight']!r}."
            )

    def objective(self, run: Run, out: Forward) -> Tensor:
        """L + sum_k w_k l_k."""
        if self.off:
            return out.loss
        return out.loss + (self.weights * out.head_losses).sum()
