"""How good a network is: measured after every epoch on validation, and at the end on test.

The functions take the run that they look at; :class:`EvaluatedRun` says what they use of it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from mimo_sim.datasets._data import Split, Task
from mimo_sim.methods._base import Method
from mimo_sim.methods._evaluation import evaluation_mode
from mimo_sim.methods._losses import LossFunction
from mimo_sim.methods._shapley import coalitions, shapley
from mimo_sim.methods._step import Batch
from mimo_sim.networks._base import FusionNetwork
from mimo_sim.training.metrics import accuracy, correlation, macro_f1
from mimo_sim.training.probes import linear_probe
from mimo_sim.training.settings import Select
from mimo_sim.training.utilisation import conditional_utilisation


class EvaluatedRun(Protocol):
    """What an evaluation uses of a run."""

    model: FusionNetwork
    method: Method
    task: Task
    num_outputs: int
    modality_names: list[str]
    loss_function: LossFunction
    device: torch.device
    train: Split
    validation: Split

    def evaluation_batches(self, split: Split) -> Iterator[Batch]:
        """Every sample of a split once, in order."""
        ...


class Encoded(NamedTuple):
    """A split seen through the encoders: K features (n, d_k), and the target."""

    features: list[Tensor]
    target: Tensor


class Selection:
    """The epoch that a run keeps.

    Parameters
    ----------
    kind : {"last", "best"}
        The last epoch, or the first of those with the highest validation score.

    Attributes
    ----------
    best : tuple (score, epoch, state)
        The best epoch so far. The state is None where the last epoch is kept.
    """

    def __init__(self, kind: Select) -> None:
        self.kind = kind
        self.best: tuple[float, int, dict[str, Any] | None] = (-math.inf, 0, None)

    def offer(self, score: float, epoch: int, run: EvaluatedRun) -> None:
        """Keep a copy of this epoch if it is the best so far."""
        if self.kind == "best" and score > self.best[0]:
            state = {"model": run.model.state_dict(), "method": run.method.state_dict()}
            self.best = score, epoch, copy.deepcopy(state)

    def epoch(self, epochs_done: int) -> int:
        """The epoch that is kept, counted from 0."""
        return self.best[1] if self.kind == "best" else epochs_done - 1


# ------------------------------------------------------------------------------------ one pass


@torch.no_grad()
def encode(run: EvaluatedRun, split: Split) -> Encoded:
    """Features of every sample of a split, in evaluation mode.

    Afterwards every module has its mode back; batch-norm statistics stay.
    """
    with evaluation_mode(run.model):
        parts = [run.model.features(batch.inputs) for batch in run.evaluation_batches(split)]
    features = [torch.cat(pieces) for pieces in zip(*parts, strict=True)]
    return Encoded(features, split.target)


@torch.no_grad()
def blank_features(run: EvaluatedRun) -> list[Tensor]:
    """Features (d_k,) of an all-zero network input, in evaluation mode."""
    blank = [torch.zeros(1, *x.shape[1:], device=run.device) for x in run.train.inputs]
    with evaluation_mode(run.model):
        return [feature[0] for feature in run.model.features(blank)]


def unimodal_outputs(run: EvaluatedRun, features: Sequence[Tensor]) -> dict[str, list[Tensor]]:
    """Uni-modal outputs that need no further fit, by the name of their definition.

    Returns
    -------
    dict
        ``"heads"``: of the method's own uni-modal predictors, where it trains some. ``"sliced"``:
        of the joint head split by modality, where the joint head is the plain linear one.
    """
    found: dict[str, list[Tensor]] = {}
    own = run.method.unimodal_outputs(run.model, features)
    if own is not None:
        found["heads"] = own
    if run.model.linear and type(run.method).fuse is Method.fuse:
        found["sliced"] = run.model.sliced(features)
    return found


def _score(run: EvaluatedRun, output: Tensor, target: Tensor) -> float:
    """The uni-modal figure: accuracy, or for regression the loss f_k."""
    if run.task == "classification":
        return accuracy(output, target)
    return float(run.loss_function(output, target))


@torch.no_grad()
def probe_scores(
    run: EvaluatedRun, train: Encoded, validation: Encoded, seen: Sequence[Encoded]
) -> list[list[float]]:
    """What linear probes of the encoders reach on some splits.

    Parameters
    ----------
    run : EvaluatedRun
    train, validation : Encoded
        The probes are fitted on the one; their penalties are chosen on the other.
    seen : sequence of Encoded
        The splits to score.

    Returns
    -------
    list over splits of lists over modalities
        Accuracy; for regression the loss f_k.
    """
    found: list[list[float]] = [[] for _ in seen]
    for k, feature in enumerate(train.features):
        fitted = linear_probe(
            (feature, train.target),
            (validation.features[k], validation.target),
            [one.features[k] for one in seen],
            run.num_outputs,
            run.task,
        )
        for scores, one, output in zip(found, seen, fitted, strict=True):
            scores.append(_score(run, output.to(feature.dtype), one.target))
    return found


# ----------------------------------------------------------------------------- after every epoch


@torch.no_grad()
def validate(run: EvaluatedRun, *, probe: bool) -> dict[str, float]:
    """An epoch's columns about the validation split, and the norms of the encoders' weights.

    `probe` also fits linear probes.
    """
    with evaluation_mode(run.method):
        seen = encode(run, run.validation)
        joint = run.method.fuse(run.model, seen.features)
        outputs = unimodal_outputs(run, seen.features)
    row: dict[str, float] = {}
    for figure, value in _figures(run, joint, seen.target).items():
        row[f"validation_{figure}"] = value
    for kind, by_modality in outputs.items():
        for name, output in zip(run.modality_names, by_modality, strict=True):
            for figure, value in _figures(run, output, seen.target).items():
                row[f"validation_{kind}_{figure}_{name}"] = value
    for name, encoder in zip(run.modality_names, run.model.encoders, strict=True):
        squares = [parameter.square().sum() for parameter in encoder.parameters()]
        row[f"encoder_norm_{name}"] = float(torch.stack(squares).sum().sqrt())
    if probe:
        figure = "accuracy" if run.task == "classification" else "loss"
        (scores,) = probe_scores(run, encode(run, run.train), seen, [seen])
        for name, score in zip(run.modality_names, scores, strict=True):
            row[f"validation_probe_{figure}_{name}"] = score
    return row


def _figures(run: EvaluatedRun, output: Tensor, target: Tensor) -> dict[str, float]:
    """Loss, and for classification accuracy."""
    found = {"loss": float(run.loss_function(output, target))}
    if run.task == "classification":
        found["accuracy"] = accuracy(output, target)
    return found


def validation_score(run: EvaluatedRun, row: dict[str, float]) -> float:
    """What an epoch is selected by, larger is better: validation accuracy, or minus the loss."""
    if run.task == "classification":
        return row["validation_accuracy"]
    return -row["validation_loss"]


# ------------------------------------------------------------------------------------ at the end


@torch.no_grad()
def final_figures(run: EvaluatedRun, test: Split | None, *, probes: bool) -> dict[str, Any]:
    """All figures of the network on ``"validation"`` and, where given, on ``"test"``.

    See :func:`measure`. A network with gates, and a head for each encoder, also has the
    ``utilisation`` of each modality
    (:func:`mimo_sim.training.utilisation.conditional_utilisation`).
    """
    splits = {"validation": run.validation} | ({} if test is None else {"test": test})
    seen = {name: encode(run, split) for name, split in splits.items()}
    scores: list[list[float]] | list[None] = [None] * len(seen)
    if probes:
        train = encode(run, run.train)
        scores = probe_scores(run, train, seen["validation"], list(seen.values()))
    blank = blank_features(run)
    found = {
        name: measure(run, one, blank, fitted)
        for (name, one), fitted in zip(seen.items(), scores, strict=True)
    }
    with_heads = "heads" in found["validation"]["unimodal"]
    if run.model.gated and with_heads and run.task == "classification":
        rates = conditional_utilisation(run, list(splits.values()))
        for figures, each in zip(found.values(), rates, strict=True):
            figures["utilisation"] = dict(zip(run.modality_names, each, strict=True))
    return found


@torch.no_grad()
def measure(
    run: EvaluatedRun,
    seen: Encoded,
    blank: Sequence[Tensor],
    probes: Sequence[float] | None = None,
) -> dict[str, Any]:
    """All figures of one split.

    Parameters
    ----------
    run : EvaluatedRun
    seen : Encoded
        The split to measure on.
    blank : K tensors (d_k,)
        Features of an all-zero network input.
    probes : K floats, or None
        What :func:`probe_scores` found on this split.

    Returns
    -------
    dict of JSON types
        Classification has ``accuracy``, ``macro_f1``, ``loss``, and by modality ``contribution``;
        regression has ``mse``, ``correlation``, ``loss``. Both have ``unimodal`` of each modality
        (regression: the loss f_k) and ``gap``, with one entry per definition of uni-modal accuracy.
    """
    names, target = run.modality_names, seen.target
    joint = run.method.fuse(run.model, seen.features)
    found: dict[str, Any] = {
        "samples": len(target),
        "loss": float(run.loss_function(joint, target)),
    }
    if run.task == "classification":
        found["accuracy"] = accuracy(joint, target)
        found["macro_f1"] = macro_f1(joint.argmax(1), target, run.num_outputs)
        zero = [torch.zeros_like(feature) for feature in blank]
        found["contribution"] = {
            "zero_features": dict(zip(names, _contribution(run, seen, zero), strict=True)),
            "zero_inputs": dict(zip(names, _contribution(run, seen, blank), strict=True)),
        }
    else:
        found["mse"] = float((joint - target).square().mean())
        found["correlation"] = correlation(joint, target)
    unimodal = {
        kind: [_score(run, output, target) for output in outputs]
        for kind, outputs in unimodal_outputs(run, seen.features).items()
    }
    if probes is not None:
        unimodal["probe"] = list(probes)
    found["unimodal"] = {
        kind: dict(zip(names, values, strict=True)) for kind, values in unimodal.items()
    }
    found["gap"] = {kind: max(values) - min(values) for kind, values in unimodal.items()}
    return found


def _contribution(run: EvaluatedRun, seen: Encoded, blank: Sequence[Tensor]) -> list[float]:
    """Shapley values of the joint accuracy when absent modalities show their `blank` feature."""
    values = []
    for present in coalitions(len(seen.features)):
        shown = []
        for k, feature in enumerate(seen.features):
            shown.append(feature if k in present else blank[k].expand_as(feature))
        values.append(accuracy(run.method.fuse(run.model, shown), seen.target))
    return shapley(torch.tensor(values, dtype=torch.float64)).tolist()
