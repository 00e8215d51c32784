"""Teachers: uni-modal networks that are trained before the run, and then stay as they are."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mimo_sim.methods._rehearsal import practise_alone, rehearsal

if TYPE_CHECKING:
    from mimo_sim.methods._run import Run
    from mimo_sim.networks._base import FusionNetwork


class Teachers(nn.Module):
    """Frozen copies of a model's encoders and uni-modal heads.

    Parameters
    ----------
    model : FusionNetwork
        What they are copied from.
    """

    def __init__(self, model: FusionNetwork) -> None:
        super().__init__()
        self.encoders = copy.deepcopy(model.encoders).requires_grad_(False)
        self.heads = copy.deepcopy(model.heads).requires_grad_(False)

    def learn(self, run: Run, epochs: int) -> None:
        """Become what the run's encoders and heads are after training alone for some epochs.

        They begin at the model as it is, and have the run's optimizer settings. The model is then
        put back as it was.
        """
        with rehearsal(run):
            practise_alone(run, epochs)
            self.encoders.load_state_dict(run.model.encoders.state_dict())
            self.heads.load_state_dict(run.model.heads.state_dict())

    @torch.no_grad()
    def lesson(self, run: Run) -> tuple[list[Tensor], list[Tensor]]:
        """What they say of the train split, in evaluation mode.

        Returns
        -------
        features : list of K tensors (n, d_k)
        outputs : list of K tensors (n, C)
        """
        self.eval()
        batches = [
            [teacher(x) for teacher, x in zip(self.encoders, batch.inputs, strict=True)]
            for batch in run.evaluation_batches(run.train)
        ]
        features = [torch.cat(parts) for parts in zip(*batches, strict=True)]
        return features, [head(h) for head, h in zip(self.heads, features, strict=True)]
