"""Teachers: uni-modal networks that are trained before the run, and then stay as they are."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mimo_sim.methods._evaluation import evaluation_mode
from mimo_sim.methods._rehearsal import practise_alone, rehearsal

if TYPE_CHECKING:
    from mimo_sim.methods._run import Run
    from mimo_sim.networks._base import FusionNetwork


class Teachers(nn.Module):
    """A frozen copy of a model whose encoders and uni-modal heads were trained alone.

    Parameters
    ----------
    model : FusionNetwork
        What is copied.
    """

    def __init__(self, model: FusionNetwork) -> None:
        super().__init__()
        self.network = copy.deepcopy(model).requires_grad_(False)

    def learn(self, run: Run, epochs: int) -> None:
        """Become what the run's model is after its encoders trained alone for some epochs.

        They begin at the model as it is, and have the run's optimizer settings. The model is then
        put back as it was.
        """
        with rehearsal(run):
            practise_alone(run, epochs)
            self.network.load_state_dict(run.model.state_dict())

    @torch.no_grad()
    def lesson(self, run: Run) -> tuple[list[Tensor], list[Tensor]]:
        """What they say of the train split, in evaluation mode.

        Returns
        -------
        features : list of K tensors (n, d_k)
        outputs : list of K tensors (n, C)
            Uni-modal ones.
        """
        with evaluation_mode(self.network):
            batches = [
                self.network.features(batch.inputs) for batch in run.evaluation_batches(run.train)
            ]
            features = [torch.cat(parts) for parts in zip(*batches, strict=True)]
            return features, self.network.head_logits(features)
