"""One member of a batch of fusion networks: what it is trained on, and what it minimises.

A member is one network with one problem and one method. Its weights, data and method are trees:
dicts and lists of tensors. :func:`stacked` puts the trees of many members together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from mimo_sim._checks import FloatArray
from mimo_sim.dynamics.layered import Architecture, padded
from mimo_sim.objective import mimo_objective, running_minimum
from mimo_sim.problem import LateFusionProblem

Tree = dict[str, Any]


def training_data(
    problem: LateFusionProblem, samples: int | None, sample_seed: int
) -> tuple[LateFusionProblem, Tree]:
    """The data of a member, and the problem whose optima its losses are measured from.

    Parameters
    ----------
    problem : LateFusionProblem
        Sizes K, m, d_k; D features in all.
    samples : int, optional
        How many samples to draw, an even number. By default the data are D weighted
        *pseudo-samples*: no real samples, but they have the moments of `problem`.
    sample_seed : int
        Of the samples.

    Returns
    -------
    LateFusionProblem
        `problem`, or the one that the samples make.
    dict of arrays
        For the joint loss: ``inputs`` (K, n, d) and ``target`` (n, m). For the uni-modal losses:
        ``alone`` (K, n, d) and ``targets`` (K, n, m). Each loss is half a sum of squares. To get
        its excess over the optimum, add ``shift_mm`` () or ``shift_uni`` (K,).
    """
    if samples is None:
        return problem, _pseudo_samples(problem)
    return _drawn_samples(problem, samples, sample_seed)


def _pseudo_samples(problem: LateFusionProblem) -> Tree:
    modalities = range(problem.num_modalities)
    root = _root(problem.input_moment)
    alone = [_root(problem.sigma[k][k]) for k in modalities]
    targets = [x @ best.T for x, best in zip(alone, problem.unimodal_maps, strict=True)]
    return {
        "inputs": padded([root[:, problem.features(k)] for k in modalities]),
        "target": root @ problem.joint_map.T,
        "alone": padded(alone),
        "targets": padded(targets),
        "shift_mm": np.zeros(()),
        "shift_uni": np.zeros(problem.num_modalities),
    }


def _drawn_samples(
    problem: LateFusionProblem, samples: int, sample_seed: int
) -> tuple[LateFusionProblem, Tree]:
    """Pairs (x, y), (-x, -y), whose inputs have exactly the second moments of `problem`."""
    modalities = range(problem.num_modalities)
    parts, y = problem.sample(samples // 2, sample_seed)
    drawn = np.hstack(parts)
    x = drawn @ np.linalg.pinv(_root(drawn.T @ drawn / len(drawn))) @ _root(problem.input_moment)
    y = np.vstack([y, -y]) + np.vstack([x - drawn, drawn - x]) @ problem.joint_map.T
    inputs = [np.vstack([x, -x])[:, problem.features(k)] for k in modalities]
    sampled = LateFusionProblem.from_samples(inputs, y, names=problem.names)
    stack, target = padded(inputs) / math.sqrt(len(y)), y / math.sqrt(len(y))
    return sampled, {
        "inputs": stack,
        "target": target,
        "alone": stack,
        "targets": np.stack([target for _ in modalities]),
        "shift_mm": np.array(-sampled.joint_optimum),
        "shift_uni": -sampled.unimodal_optima,
    }


def _root(moment: FloatArray) -> FloatArray:
    """R with R^T R = moment."""
    values, vectors = np.linalg.eigh(moment)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)


def stacked(trees: Sequence[Any]) -> Any:
    """Trees of arrays as one tree of tensors, with a leading axis over members."""
    first = trees[0]
    if isinstance(first, dict):
        return {key: stacked([tree[key] for tree in trees]) for key in first}
    if isinstance(first, list):
        return [stacked([tree[i] for tree in trees]) for i in range(len(first))]
    return torch.from_numpy(np.stack(trees))


def leaves(tree: Any) -> list[torch.Tensor]:
    """The tensors of a tree, in order."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    branches = tree.values() if isinstance(tree, dict) else tree
    found: list[torch.Tensor] = []
    for branch in branches:
        found += leaves(branch)
    return found


def _through(weights: list[torch.Tensor], x: torch.Tensor, relu: bool) -> torch.Tensor:
    """What comes out of these layers (..., out, in) for inputs (..., n, in), before any ReLU."""
    for i, layer in enumerate(weights):
        if relu and i > 0:
            x = torch.relu(x)
        x = x @ layer.mT
    return x


def member_objective(
    architecture: Architecture,
) -> Callable[..., tuple[torch.Tensor, tuple[torch.Tensor, ...]]]:
    """MIMO's objective of one member as a function ``(weights, data, method)`` of its trees.

    ``method`` holds four entries: ``lam``; ``mu``; ``estimate`` (K,), the estimate of f* minus f*;
    and ``running``, whether the estimate follows the losses. The function returns the objective,
    and what a step records: the excess of f_mm, the excesses of the f_k, and the new estimate.
    """
    relu, read_from = architecture.activation == "relu", architecture.uni_layers

    def objective(
        weights: Tree, data: Tree, method: Tree
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        fused = _through(weights["branches"], data["inputs"], relu).sum(0)
        if relu and weights["trunk"]:
            fused = torch.relu(fused)
        output = _through(weights["trunk"], fused, relu)
        own_path = [*weights["branches"], *weights["trunk"]][:read_from]
        alone = _through([*own_path, weights["heads"]], data["alone"], relu)
        excess_mm = 0.5 * ((data["target"] - output) ** 2).sum() + data["shift_mm"]
        excess = 0.5 * ((data["targets"] - alone) ** 2).sum((1, 2)) + data["shift_uni"]
        followed = running_minimum(method["estimate"], excess.detach())
        estimate = torch.where(method["running"], followed, method["estimate"])
        minimised = mimo_objective(excess_mm, excess - estimate, method["lam"], method["mu"])
        return minimised, (excess_mm, excess, estimate)

    return objective


def member_observer(
    architecture: Architecture,
) -> Callable[[Tree, Tree], tuple[torch.Tensor, torch.Tensor]]:
    """What is recorded besides the losses, as a function ``(weights, data)`` of a member's trees.

    It returns the Frobenius norms of the first layers (K,), and the sizes of the joint prediction
    from one modality alone (K,).
    """
    relu = architecture.activation == "relu"

    def observe(weights: Tree, data: Tree) -> tuple[torch.Tensor, torch.Tensor]:
        path = [*weights["branches"], *weights["trunk"]]
        response = _through(path, data["alone"], relu)
        return path[0].norm(dim=(1, 2)), response.norm(dim=(1, 2))

    return observe
