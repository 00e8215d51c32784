"""What a trained network is worth: joint accuracy, three readings of a modality's own accuracy, modality gap, contributions.

Every uni-modal figure carries the definition it uses (:data:`DEFINITIONS`); figures of different definitions are not comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from mimo_sim.methods._base import Method
from mimo_sim.methods._shapley import coalitions, shapley

if TYPE_CHECKING:
    from mimo_sim.training.run import TrainingRun

DEFINITIONS = {
    "accuracy": "share of samples whose largest joint output is the true class",
    "macro_f1": "mean over all classes of 2PR/(P+R), with 0/0 := 0",
    "heads": "(b) the method's own uni-modal predictors, trained with the network",
    "sliced": "(a) the joint head split by modality: weight block times feature plus bias / K, nothing trained for it",
    "probe": "(d) a linear probe: logistic regression (regression: ridge) on the frozen encoder's train features, regularisation chosen on validation",
    "gap": "largest minus smallest uni-modal accuracy (two modalities: |Acc_1 - Acc_2|), by definition of uni-modal accuracy",
    "contribution": "Shapley value of the joint accuracy when absent modalities have zero features, or zero network inputs; sums to v(all) - v(none)",
}
PENALTIES = (1.0, 0.1, 0.01, 1e-3, 1e-4)  # of the probes' squared weights, strongest first


class Encoded(NamedTuple):
    """A split seen through the encoders: K features (n, d_k) and the target."""

    features: list[Tensor]
    target: Tensor


def accuracy(output: Tensor, target: Tensor) -> float:
    """Share of rows of `output` (n, C) whose largest entry is at `target` (n,)."""
    return float((output.argmax(1) == target).double().mean())


def confusion_matrix(predicted: Tensor, target: Tensor, classes: int) -> Tensor:
    """Counts (C, C), rows true, columns predicted, int64."""
    return torch.bincount(target * classes + predicted, minlength=classes**2).reshape(
        classes, classes
    )


def macro_f1(predicted: Tensor, target: Tensor, classes: int) -> float:
    """Mean over all C classes of 2PR/(P+R) with 0/0 := 0; a class that the split lacks counts as 0.

    Examples
    --------
    >>> import torch
    >>> macro_f1(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 1]), 3)  # perfect on two classes, the third is absent
    0.6666666666666666
    """
    counts = confusion_matrix(predicted, target, classes).double()
    hits, both = (
        counts.diagonal(),
        counts.sum(0) + counts.sum(1),
    )  # F1 = 2 hits / (predicted + true)
    return float(torch.where(both > 0, 2 * hits / both.clamp_min(1), 0.0).mean())


# ------------------------------------------------------------------------------------------ linear probes


def _standardised(train: Tensor, *others: Tensor) -> list[Tensor]:
    train = train.double()
    mean, std = train.mean(0), train.std(0, correction=0)
    std = torch.where(std > 1e-8, std, 1.0)  # a feature that never moves says nothing
    return [(x.double() - mean) / std for x in (train, *others)]


@torch.enable_grad()
def _logistic(x: Tensor, y: Tensor, penalty: float, weight: Tensor) -> None:
    """Minimise mean cross-entropy + penalty/2 |W|^2 over ``weight`` (d+1, C) in place; the last row is the bias."""
    weight.requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [weight],
        max_iter=100,
        history_size=20,
        tolerance_grad=1e-5,
        tolerance_change=1e-6,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        loss = (
            torch.nn.functional.cross_entropy(x @ weight[:-1] + weight[-1], y)
            + penalty / 2 * weight[:-1].square().sum()
        )
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    weight.requires_grad_(False)


def probe(
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    others: Sequence[Tensor],
    outputs: int,
    task: str = "classification",
) -> list[Tensor]:
    """Outputs of the best linear predictor on one encoder's frozen features.

    Parameters
    ----------
    train, validation : pairs of features (n, d) and target
        Fitted on ``train`` alone; of the penalties :data:`PENALTIES` the one that does best on ``validation`` is kept, the stronger one on a tie.
    others : sequence of features (n', d)
        What to predict on.
    outputs : int
        Classes C or target dimension m.
    task : {"classification", "regression"}
        Logistic regression or ridge.

    Returns
    -------
    list of tensors (n', C), float64
    """
    x, x_validation, *rest = _standardised(train[0], validation[0], *others)
    weight = x.new_zeros(x.shape[1] + 1, outputs)
    best, chosen = -float("inf"), weight
    for penalty in PENALTIES:
        if task == "classification":
            _logistic(x, train[1], penalty, weight)  # from the stronger penalty's solution
            score = accuracy(x_validation @ weight[:-1] + weight[-1], validation[1])
        else:
            y = train[1].double()
            ridge = x.T @ x / len(x) + penalty * torch.eye(
                x.shape[1], dtype=x.dtype, device=x.device
            )
            weight = torch.cat(
                [torch.linalg.solve(ridge, x.T @ (y - y.mean(0)) / len(x)), y.mean(0, keepdim=True)]
            )
            score = -float(
                (x_validation @ weight[:-1] + weight[-1] - validation[1]).square().mean()
            )
        if score > best:
            best, chosen = score, weight.clone()
    return [z @ chosen[:-1] + chosen[-1] for z in rest]


# ------------------------------------------------------------------------------------------ everything about one split


def correlation(output: Tensor, target: Tensor) -> float:
    """Pearson correlation of outputs and targets (n, m), mean over the m columns; 0 for a constant column."""
    a, b = output.double() - output.double().mean(0), target.double() - target.double().mean(0)
    scale = a.norm(dim=0) * b.norm(dim=0)
    return float(torch.where(scale > 0, (a * b).sum(0) / scale.clamp_min(1e-300), 0.0).mean())


def readings(run: TrainingRun, features: Sequence[Tensor]) -> dict[str, list[Tensor]]:
    """Uni-modal outputs that need no further fit: the method's own (``heads``) and, where the joint head is the plain linear one, ``sliced``."""
    found: dict[str, list[Tensor]] = {}
    own = run.method.unimodal_outputs(run.model, features)
    if own is not None:
        found["heads"] = own
    if type(run.method).fuse is Method.fuse:
        found["sliced"] = run.model.sliced(features)
    return found


@torch.no_grad()
def probe_scores(
    run: TrainingRun, train: Encoded, validation: Encoded, seen: Sequence[Encoded]
) -> list[list[float]]:
    """What linear probes fitted on the encoders' `train` features reach: accuracy, or for regression the loss f_k, of every modality on every split seen."""
    found: list[list[float]] = [[] for _ in seen]
    for k, feature in enumerate(train.features):
        fitted = probe(
            (feature, train.target),
            (validation.features[k], validation.target),
            [one.features[k] for one in seen],
            run.num_outputs,
            run.task,
        )
        for scores, one, output in zip(found, seen, fitted, strict=True):
            scores.append(_score(run, output.to(feature.dtype), one.target))
    return found


def _score(run: TrainingRun, output: Tensor, target: Tensor) -> float:
    return (
        accuracy(output, target)
        if run.task == "classification"
        else float(run.loss_function(output, target))
    )


@torch.no_grad()
def measure(
    run: TrainingRun, seen: Encoded, blank: Sequence[Tensor], probes: Sequence[float] | None = None
) -> dict[str, Any]:
    """All figures of one split.

    Parameters
    ----------
    run : TrainingRun
        Gives model, method, task, modality names.
    seen : Encoded
        The split to measure on.
    blank : K tensors (d_k,)
        Features of an all-zero network input.
    probes : K floats, or None
        What :func:`probe_scores` found on this split.

    Returns
    -------
    dict
        ``accuracy``, ``macro_f1``, ``loss`` (regression: ``mse``, ``correlation``, ``loss``); by modality name ``unimodal`` (per definition;
        for regression the loss f_k) and for classification ``contribution``; ``gap`` per definition. JSON types only.
    """
    model, method, names, target = run.model, run.method, run.modality_names, seen.target
    joint = method.fuse(model, seen.features)
    found: dict[str, Any] = {
        "samples": len(target),
        "loss": float(run.loss_function(joint, target)),
    }
    if run.task == "classification":
        found |= {
            "accuracy": accuracy(joint, target),
            "macro_f1": macro_f1(joint.argmax(1), target, run.num_outputs),
        }
        absent = {"zero_features": [torch.zeros_like(h) for h in blank], "zero_inputs": list(blank)}
        found["contribution"] = {
            how: dict(zip(names, _contribution(run, seen, instead), strict=True))
            for how, instead in absent.items()
        }
    else:
        found |= {
            "mse": float((joint - target).square().mean()),
            "correlation": correlation(joint, target),
        }
    unimodal = {
        key: [_score(run, output, target) for output in outputs]
        for key, outputs in readings(run, seen.features).items()
    }
    if probes is not None:
        unimodal["probe"] = list(probes)
    found["unimodal"] = {
        key: dict(zip(names, values, strict=True)) for key, values in unimodal.items()
    }
    found["gap"] = {key: max(values) - min(values) for key, values in unimodal.items()}
    return found


def _contribution(run: TrainingRun, seen: Encoded, instead: Sequence[Tensor]) -> list[float]:
    """Shapley values of the joint accuracy when absent modalities show the feature `instead`."""
    values = []
    for present in coalitions(len(seen.features)):
        shown = [
            h if k in present else instead[k].expand_as(h) for k, h in enumerate(seen.features)
        ]
        values.append(accuracy(run.method.fuse(run.model, shown), seen.target))
    return shapley(torch.tensor(values, dtype=torch.float64)).tolist()
