"""Fusion networks in plain torch, written without the engines that are compared with them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

import mimo_sim as ms
from mimo_sim.dynamics.layered import Architecture, Network
from mimo_sim.solvers import Solver
from mimo_sim.studies._fusion import correlated_preference

# Relative. Contracting runs of some hundred steps on numbers of order one keep 1e-13.
ROUND_OFF = 1e-10
PROBLEM = correlated_preference(0.0)
MIXED = ms.generators.random_problem(dims=(2, 1, 3), seed=4, output_dim=2, noise_variance=0.1)
METHODS: list[Solver] = [
    ms.Vanilla(),
    ms.Vanilla(heads="plain"),
    ms.MIMO(lam=2.0, mu=0.25),
    ms.MIMO(lam=2.0, mu=0.25, heads="plain"),
    ms.MIMO(lam=3.0, mu=0.5, f_star="running_minimum"),
    ms.MIMO(lam=1.0, mu=0.5, f_star=(0.1, 0.2, 0.0)),
]


def close(mine: Any, theirs: Any, rtol: float = ROUND_OFF) -> None:
    np.testing.assert_allclose(
        mine, theirs, rtol=0, atol=rtol * max(float(np.max(np.abs(theirs))), 1e-6)
    )


def samples_of(
    problem: ms.LateFusionProblem,
) -> tuple[ms.LateFusionProblem, list[torch.Tensor], torch.Tensor]:
    inputs, y = problem.sample(40, seed=3)
    return (
        ms.LateFusionProblem.from_samples(inputs, y),
        [torch.tensor(x) for x in inputs],
        torch.tensor(y),
    )


def half_mean_square(residual: torch.Tensor) -> torch.Tensor:
    return 0.5 * (residual**2).sum() / len(residual)


def total_objective(
    f_mm: torch.Tensor, f: list[torch.Tensor], method: Solver, f_star: torch.Tensor
) -> torch.Tensor:
    if method.lam == 0:
        return f_mm
    gaps = (torch.stack(f) - f_star) / method.mu
    return f_mm + method.lam * method.mu * torch.logsumexp(gaps, 0)


def train_early(
    problem: ms.LateFusionProblem,
    method: Solver,
    weights: Any,
    eta: float,
    steps: int,
    decay: float,
) -> tuple[list[float], list[Any], list[Any]]:
    """Train early fusion as one torch network on samples.

    What a modality does not see is zero. Returns f_mm, the f_k and |W_k| at every step.
    """
    exact, inputs, y = samples_of(problem)
    V, W = torch.tensor(weights[0]), torch.tensor(weights[2])
    U = [torch.tensor(u) for u in weights[1]]
    parameters = [V, *U, W]
    for p in parameters:
        p.requires_grad_(True)
    x = torch.cat(inputs, 1)
    masked = []
    for k in range(len(inputs)):
        alone = [each if j == k else torch.zeros_like(each) for j, each in enumerate(inputs)]
        masked.append(torch.cat(alone, 1))
    rule = exact.unimodal_optima if isinstance(method.f_star, str) else method.f_star
    f_star = torch.tensor(np.broadcast_to(rule, len(inputs)).copy())
    lowest = torch.full_like(f_star, math.inf)
    history: tuple[list[float], list[Any], list[Any]] = ([], [], [])
    for _ in range(steps + 1):
        f_mm = half_mean_square(y - x @ W.T @ V.T)
        f = [half_mean_square(y - own @ W.T @ u.T) for own, u in zip(masked, U, strict=True)]
        lowest = torch.minimum(lowest, torch.stack(f).detach())
        estimate = lowest if method.f_star == "running_minimum" else f_star
        objective = total_objective(f_mm, f, method, estimate)
        slopes = list(
            torch.autograd.grad(objective, parameters, retain_graph=True, allow_unused=True)
        )
        if method.heads == "plain":
            slopes[1:-1] = torch.autograd.grad(sum(f[1:], f[0]), U)
        history[0].append(float(f_mm.detach()))
        history[1].append([float(each.detach()) for each in f])
        own_columns = [W[:, problem.features(k)] for k in range(len(inputs))]
        history[2].append([float(each.norm().detach()) for each in own_columns])
        with torch.no_grad():
            for i, (p, slope) in enumerate(zip(parameters, slopes, strict=True)):
                if method.heads != "frozen" or not 1 <= i <= len(U):
                    p.mul_(1 - eta * decay)
                if slope is not None:
                    p.sub_(eta * slope)
    return history


def train_network(
    network: Network,
    inputs: list[torch.Tensor],
    y: torch.Tensor,
    architecture: Architecture,
    method: Solver,
    f_star: np.ndarray,
    eta: float,
    steps: int,
) -> tuple[list[float], list[Any]]:
    """Train one fusion network, modality by modality, with zeros for masked inputs.

    Returns f_mm and the f_k at every step.
    """
    branches = [
        [torch.tensor(w, requires_grad=True) for w in branch] for branch in network.branches
    ]
    trunk = [torch.tensor(w, requires_grad=True) for w in network.trunk]
    heads = [torch.tensor(u, requires_grad=True) for u in network.heads]
    parameters = [*[w for branch in branches for w in branch], *trunk, *heads]

    def act(z: torch.Tensor) -> torch.Tensor:
        return torch.relu(z) if architecture.activation == "relu" else z

    f_starred = torch.tensor(f_star)

    def hidden(seen: list[torch.Tensor]) -> list[torch.Tensor]:
        """Activations from the fusion on; the last entry is the joint prediction."""
        ends = []
        for x, branch in zip(seen, branches, strict=True):
            z = x @ branch[0].T
            for w in branch[1:]:
                z = act(z) @ w.T
            ends.append(z)
        stages = [sum(ends[1:], ends[0])]
        for w in trunk:
            stages.append(act(stages[-1]) @ w.T)
        return stages

    def alone(k: int) -> torch.Tensor:
        if architecture.fusion_layer == architecture.depth:
            z = inputs[k] @ branches[k][0].T
            for w in branches[k][1:-1]:
                z = act(z) @ w.T
        else:
            stages = hidden([x if j == k else torch.zeros_like(x) for j, x in enumerate(inputs)])
            z = stages[-2] if architecture.readout == "trunk" else stages[0]
        return act(z) @ heads[k].T

    joint, uni = [], []
    for _ in range(steps + 1):
        f_mm = half_mean_square(y - hidden(inputs)[-1])
        f = [half_mean_square(y - alone(k)) for k in range(len(inputs))]
        joint.append(float(f_mm.detach()))
        uni.append([float(each.detach()) for each in f])
        slopes = torch.autograd.grad(
            total_objective(f_mm, f, method, f_starred), parameters, allow_unused=True
        )
        with torch.no_grad():
            for p, slope in zip(parameters, slopes, strict=True):
                if slope is not None:
                    p.sub_(eta * slope)
    return joint, uni
