"""The conditional utilisation rate: how much a branch loses without the others' information.

It is defined in networks with gates between the encoders, where each encoder has a head of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor

from mimo_sim.datasets._data import Split
from mimo_sim.methods._base import Method
from mimo_sim.methods._evaluation import evaluation_mode
from mimo_sim.methods._step import Batch
from mimo_sim.networks._base import FusionNetwork
from mimo_sim.networks.mmtm import Gate, Gating
from mimo_sim.training.metrics import accuracy

if TYPE_CHECKING:
    from mimo_sim.networks.mmtm import MMTM


class GatedRun(Protocol):
    """What the measure uses of a run."""

    model: FusionNetwork
    method: Method
    train: Split

    def evaluation_batches(self, split: Split) -> Iterator[Batch]:
        """Every sample of a split once, in order."""
        ...


@torch.no_grad()
def mean_signals(run: GatedRun, split: Split) -> list[list[Tensor]]:
    """Means (channels[k],) over a split of what each gate is told of each modality."""
    model = cast("MMTM", run.model)
    totals: list[list[Tensor]] = [[] for _ in model.gates]

    def listen(number: int, gate: Gate, signals: Sequence[Tensor]) -> list[Tensor]:
        means = gate.means(signals)
        sums = [mean.double().sum(0) for mean in means]
        before = totals[number] or [torch.zeros_like(each) for each in sums]
        totals[number] = [a + b for a, b in zip(before, sums, strict=True)]
        return gate.values(means)

    with evaluation_mode(model):
        for batch in run.evaluation_batches(split):
            model.features(batch.inputs, listen)
    return [[(each / len(split)).float() for each in totals_of] for totals_of in totals]


def cut_off(means: Sequence[Sequence[Tensor]]) -> Gating:
    """Gates that know of the other modalities only what they are on average.

    Parameters
    ----------
    means : for each gate K tensors (channels[k],)
        What stands for each modality at the gates of the others.
    """

    def gating(number: int, gate: Gate, signals: Sequence[Tensor]) -> list[Tensor]:
        own = gate.means(signals)
        constant = [m.expand_as(mine) for m, mine in zip(means[number], own, strict=True)]
        return [
            gate.values([own[j] if j == k else constant[j] for j in range(len(own))])[k]
            for k in range(len(own))
        ]

    return gating


@torch.no_grad()
def conditional_utilisation(run: GatedRun, splits: Sequence[Split]) -> list[list[float]]:
    """u_k = (A(v_k) - A(v_k')) / A(v_k) for every branch.

    A is the accuracy of a branch's own output: v_k in the network as it is, and v_k' where every
    gate of the branch knows of the others only their mean over the train split. For two modalities
    u_1 is what branch 1 has from modality 2, and u_1 - u_2 is the imbalance of the paper. A branch
    that is never right has nan.

    Parameters
    ----------
    run : GatedRun
        Its network has gates, and its method trains a head for each encoder.
    splits : sequence of Split
        The splits to measure on.

    Returns
    -------
    list over splits of lists over modalities

    Raises
    ------
    ValueError
        If the network has no gates, or the method trains no heads.

    Notes
    -----
    Wu, Jastrzebski, Cho, Geras (ICML 2022). For K > 2 all others are cut off at once, an extension.
    """
    if not run.model.gated:
        raise ValueError(
            "the conditional utilisation rate needs gates between the encoders, as those of fusion "
            f"'mmtm'. Got fusion {run.model.name!r}."
        )
    cut = cut_off(mean_signals(run, run.train))
    found = []
    for split in splits:
        pairs = zip(_accuracies(run, split, None), _accuracies(run, split, cut), strict=True)
        found.append([(a - b) / a if a else float("nan") for a, b in pairs])
    return found


def _accuracies(run: GatedRun, split: Split, gating: Gating | None) -> list[float]:
    """A(v_k) of every branch with these gates."""
    model = cast("MMTM", run.model)
    parts: list[list[Tensor]] = []
    with evaluation_mode(model):
        for batch in run.evaluation_batches(split):
            outputs = run.method.unimodal_outputs(model, model.features(batch.inputs, gating))
            if outputs is None:
                raise ValueError(
                    "the conditional utilisation rate needs a method that trains a head for each "
                    f"encoder. Got method {run.method.name!r}."
                )
            parts.append(outputs)
    whole = [torch.cat(pieces) for pieces in zip(*parts, strict=True)]
    return [accuracy(v, split.target) for v in whole]
