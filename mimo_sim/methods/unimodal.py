"""Every modality on its own: encoder and head, no fusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from mimo_sim.methods._base import Family, Method
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Forward

if TYPE_CHECKING:
    from mimo_sim.networks._base import FusionNetwork


class Unimodal(Method):
    """K uni-modal trainings at once: minimise sum_k l_k.

    One backward pass gives each branch exactly the gradient of its own loss. The fusion layer is
    not trained. The joint output is the mean of the heads' outputs, so it is an ensemble of
    networks that never met.
    """

    name: ClassVar[str] = "unimodal"
    title: ClassVar[str] = "encoders alone"
    family: ClassVar[Family] = "reference"
    about: ClassVar[str] = "each encoder alone with its own head; joint output: their mean"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="the usual training of one modality",
        follows="definition",
        compared=SAME_TENSORS,
        apart="round-off",
    )
    uses_heads: ClassVar[bool] = True
    capturable: ClassVar[bool] = True

    def fuse(self, model: FusionNetwork, features: Sequence[Tensor]) -> Tensor:
        """Mean (B, C) of the heads' outputs."""
        return torch.stack(model.head_logits(features)).mean(0)

    def objective(self, run: Run, out: Forward) -> Tensor:
        """sum_k l_k."""
        return out.head_losses.sum()
