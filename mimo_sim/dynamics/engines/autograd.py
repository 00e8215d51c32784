"""The reference engine: the whole network in torch, float64, differentiated by autograd and stepped by torch's SGD.

It shares nothing with the exact engine but :mod:`mimo_sim.objective`, costs thousands of times more per step, and is there to be compared with.
"""

from __future__ import annotations

import numpy as np
import torch

from mimo_sim._progress import progress_bar
from mimo_sim.dynamics.records import FLIP_SIZE, Options, Records, limit
from mimo_sim.dynamics.start import Weights
from mimo_sim.objective import mimo_objective, running_minimum, sigma_weights
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, Solver, initial_f_star


class LateFusionNetwork(torch.nn.Module):
    """Encoders W_k (h, d_k), joint-head blocks V_k (m, h), uni-modal heads U_k (m, h); losses from the problem's second moments."""

    def __init__(self, problem: LateFusionProblem, weights: list[Weights]) -> None:
        super().__init__()

        def parameters(i: int) -> torch.nn.ParameterList:
            return torch.nn.ParameterList(
                [torch.nn.Parameter(torch.tensor(triple[i])) for triple in weights]
            )

        self.joint_heads, self.uni_heads, self.encoders = (
            parameters(0),
            parameters(1),
            parameters(2),
        )
        self.moment = torch.tensor(problem.input_moment)
        self.blocks = [torch.tensor(problem.sigma[k][k]) for k in range(problem.num_modalities)]
        self.joint_map = torch.tensor(problem.joint_map)
        self.uni_maps = [torch.tensor(best) for best in problem.unimodal_maps]

    def forward(self, plain_heads: bool = False) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Excess of f_mm over its minimum (0-dim); excesses of the f_k (K,) as the encoders see them, and as the uni-modal heads do.

        The last two are equal in value. With `plain_heads` the first sends no gradient to the heads and the second none to the encoders.
        """
        missing = self.joint_map - torch.cat(
            [v @ w for v, w in zip(self.joint_heads, self.encoders, strict=True)], dim=1
        )
        excess_mm = 0.5 * ((missing @ self.moment) * missing).sum()

        def excesses(heads: list[torch.Tensor], encoders: list[torch.Tensor]) -> torch.Tensor:
            gaps = [best - u @ w for best, u, w in zip(self.uni_maps, heads, encoders, strict=True)]
            return torch.stack(
                [
                    0.5 * ((gap @ block) * gap).sum()
                    for gap, block in zip(gaps, self.blocks, strict=True)
                ]
            )

        heads, encoders = list(self.uni_heads), list(self.encoders)
        if not plain_heads:
            both = excesses(heads, encoders)
            return excess_mm, both, both
        return (
            excess_mm,
            excesses([u.detach() for u in heads], encoders),
            excesses(heads, [w.detach() for w in encoders]),
        )


def _record(
    records: Records, row: int, network: LateFusionNetwork, problem: LateFusionProblem
) -> None:
    groups = (network.joint_heads, network.uni_heads, network.encoders)
    with torch.no_grad():
        for i, group in enumerate(groups):
            records.norms[row, :, i] = [float(p.norm()) for p in group]
        if records.joint_map is not None and records.uni_map is not None:
            pairs = zip(network.joint_heads, network.uni_heads, network.encoders, strict=True)
            for k, (v, u, w) in enumerate(pairs):
                records.joint_map[row][:, problem.features(k)] = (v @ w).numpy()
                records.uni_map[row][:, problem.features(k)] = (u @ w).numpy()


def run(
    problem: LateFusionProblem,
    method: Solver,
    weights: list[Weights] | None,
    init_scale: float,
    options: Options,
) -> Records:
    """Train the network itself. Needs a finite width."""
    if weights is None:
        raise ValueError(
            "`width` must be finite for engine='autograd', which trains the network itself. Got width=inf; use engine='gram'."
        )
    del init_scale
    network = LateFusionNetwork(problem, weights)
    frozen, plain = method.heads == "frozen", method.heads == "plain"
    network.uni_heads.requires_grad_(not frozen)
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=options.step_size, weight_decay=options.weight_decay)
    records = Records.empty(problem, options)
    estimate = torch.tensor(
        initial_f_star(method, problem.unimodal_optima) - problem.unimodal_optima
    )
    previous, change = torch.full_like(estimate, torch.nan), torch.full_like(estimate, torch.nan)
    ceiling, row, last = limit(problem), 0, int(options.steps[-1])
    with progress_bar(last, options.progress) as advance:
        for t in range(last + 1):
            optimizer.zero_grad()
            excess_mm, excess_uni, excess_heads = network(plain)
            if method.f_star == "running_minimum":
                estimate = running_minimum(estimate, excess_uni.detach())
            gaps = excess_uni - estimate
            sigma = sigma_weights(gaps.detach(), method.mu)
            if not (float(excess_mm.detach()) < ceiling and float(gaps.detach().max()) < ceiling):
                records.diverged_at = t
                break
            objective = (
                mimo_objective(excess_mm, gaps, method.lam, method.mu)
                if isinstance(method, MIMO)
                else excess_mm
            )
            objective.backward()
            if (
                plain
            ):  # each head follows its own loss; what it contributes to grad F carries lam * sigma
                excess_heads.sum().backward()
            if t == options.steps[row]:
                records.excess_mm[row], records.excess_uni[row] = (
                    float(excess_mm.detach()),
                    excess_uni.detach().numpy(),
                )
                records.f_star_excess[row], records.sigma[row] = estimate.numpy(), sigma.numpy()
                scale = {
                    id(u): float(method.lam * s) ** 2 if plain else 1.0
                    for u, s in zip(network.uni_heads, sigma, strict=True)
                }
                records.grad_norm_sq[row] = sum(
                    scale.get(id(p), 1.0) * float((p.grad**2).sum())
                    for p in trained
                    if p.grad is not None
                )
                _record(records, row, network, problem)
                row += 1
            flipped, previous, change = _flips(sigma, previous, change)
            if flipped:
                records.first_flip = t if records.flips == 0 else records.first_flip
                records.flips += flipped
            if t < last:
                optimizer.step()
            advance(1)
    return records


def _flips(
    sigma: torch.Tensor, previous: torch.Tensor, change: torch.Tensor
) -> tuple[int, torch.Tensor, torch.Tensor]:
    """How many sigma_k reversed a change larger than FLIP_SIZE by another such, with the new memory."""
    new = sigma - previous
    flipped = (new * change < 0) & (torch.minimum(new.abs(), change.abs()) > FLIP_SIZE)
    return int(np.count_nonzero(flipped.numpy())), sigma, new
