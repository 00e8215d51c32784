"""Linear probes: what a linear predictor makes of the features of one frozen encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mimo_sim.training.metrics import accuracy

PENALTIES = (1.0, 0.1, 0.01, 1e-3, 1e-4)  # of the squared weights, strongest first


def linear_probe(
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    others: Sequence[Tensor],
    outputs: int,
    task: str = "classification",
) -> list[Tensor]:
    """Outputs of the best linear predictor on one encoder's frozen features.

    The predictor is fitted on `train` alone, once for each of :data:`PENALTIES`. The penalty that
    does best on `validation` is kept, the stronger one on a tie.

    Parameters
    ----------
    train, validation : pairs of features (n, d) and target
    others : sequence of features (n', d)
        What to predict on.
    outputs : int
        Classes C or target dimension m.
    task : {"classification", "regression"}
        Logistic regression or ridge regression.

    Returns
    -------
    list of tensors (n', C), float64
    """
    x, x_validation, *rest = _standardised(train[0], validation[0], *others)
    weight = x.new_zeros(x.shape[1] + 1, outputs)
    best, chosen = -float("inf"), weight
    for penalty in PENALTIES:
        if task == "classification":
            _fit_logistic(x, train[1], penalty, weight)  # from the stronger penalty's solution
            score = accuracy(_predict(x_validation, weight), validation[1])
        else:
            weight = _fit_ridge(x, train[1].double(), penalty)
            residual = _predict(x_validation, weight) - validation[1]
            score = -float(residual.square().mean())
        if score > best:
            best, chosen = score, weight.clone()
    return [_predict(z, chosen) for z in rest]


def _standardised(train: Tensor, *others: Tensor) -> list[Tensor]:
    """All features in units of the train features' standard deviation, float64."""
    train = train.double()
    mean, std = train.mean(0), train.std(0, correction=0)
    std = torch.where(std > 1e-8, std, 1.0)  # a feature that never moves says nothing
    return [(x.double() - mean) / std for x in (train, *others)]


def _predict(x: Tensor, weight: Tensor) -> Tensor:
    """Outputs (n, C) for features (n, d); the last row of the weight (d+1, C) is the bias."""
    return x @ weight[:-1] + weight[-1]


@torch.enable_grad()
def _fit_logistic(x: Tensor, y: Tensor, penalty: float, weight: Tensor) -> None:
    """Minimise mean cross-entropy + penalty/2 |W|^2 over `weight` (d+1, C), in place."""
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
        fit = cross_entropy(_predict(x, weight), y)
        decay = penalty / 2 * weight[:-1].square().sum()
        loss = fit + decay
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    weight.requires_grad_(False)


def _fit_ridge(x: Tensor, y: Tensor, penalty: float) -> Tensor:
    """The weight (d+1, m) that minimises 1/n |x W - y|^2 + penalty |W|^2, with a free bias."""
    eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    moment = x.T @ x / len(x) + penalty * eye
    slope = torch.linalg.solve(moment, x.T @ (y - y.mean(0)) / len(x))
    return torch.cat([slope, y.mean(0, keepdim=True)])
