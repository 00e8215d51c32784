"""The reference engine: the whole network in torch, differentiated by autograd.

It works in float64 and takes its steps with torch's SGD. The exact engine is compared with it: the
two share nothing but :mod:`mimo_sim.objective`. A step costs thousands of times more.
"""

from __future__ import annotations

import numpy as np
import torch

from mimo_sim._checks import FloatArray
from mimo_sim._progress import progress_bar
from mimo_sim.dynamics.records import FLIP_SIZE, Options, Records, limit
from mimo_sim.dynamics.start import Weights
from mimo_sim.objective import mimo_objective, running_minimum, sigma_weights
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, Solver, initial_f_star


class LateFusionNetwork(torch.nn.Module):
    """The two-layer network, with losses from the second moments of a problem.

    Encoders W_k (h, d_k), blocks V_k (m, h) of the joint head, uni-modal heads U_k (m, h).
    """

    def __init__(self, problem: LateFusionProblem, weights: list[Weights]) -> None:
        super().__init__()
        self.joint_heads = _parameters([v for v, _, _ in weights])
        self.uni_heads = _parameters([u for _, u, _ in weights])
        self.encoders = _parameters([w for _, _, w in weights])
        self.moment = torch.tensor(problem.input_moment)
        self.blocks = [torch.tensor(problem.sigma[k][k]) for k in range(problem.num_modalities)]
        self.joint_map = torch.tensor(problem.joint_map)
        self.uni_maps = [torch.tensor(best) for best in problem.unimodal_maps]

    def forward(self, plain_heads: bool = False) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The losses of the network.

        Returns
        -------
        0-dim tensor
            Excess of f_mm over its minimum.
        two tensors (K,)
            Excesses of the f_k over their minima, twice, with the same values. With `plain_heads`
            their gradients differ: the first sends none to the uni-modal heads, the second none to
            the encoders.
        """
        joint = [v @ w for v, w in zip(self.joint_heads, self.encoders, strict=True)]
        missing = self.joint_map - torch.cat(joint, dim=1)
        excess_mm = 0.5 * ((missing @ self.moment) * missing).sum()
        heads, encoders = list(self.uni_heads), list(self.encoders)
        if not plain_heads:
            both = self._excesses(heads, encoders)
            return excess_mm, both, both
        seen_by_encoders = self._excesses([u.detach() for u in heads], encoders)
        seen_by_heads = self._excesses(heads, [w.detach() for w in encoders])
        return excess_mm, seen_by_encoders, seen_by_heads

    def _excesses(self, heads: list[torch.Tensor], encoders: list[torch.Tensor]) -> torch.Tensor:
        """(K,) f_k - f_k*."""
        excesses = []
        for best, u, w, block in zip(self.uni_maps, heads, encoders, self.blocks, strict=True):
            missing = best - u @ w
            excesses.append(0.5 * ((missing @ block) * missing).sum())
        return torch.stack(excesses)


def _parameters(arrays: list[FloatArray]) -> torch.nn.ParameterList:
    return torch.nn.ParameterList([torch.nn.Parameter(torch.tensor(array)) for array in arrays])


def record_weights(
    records: Records, row: int, network: LateFusionNetwork, problem: LateFusionProblem
) -> None:
    """Store norms and maps of the network as a recorded step."""
    groups = (network.joint_heads, network.uni_heads, network.encoders)
    with torch.no_grad():
        for i, group in enumerate(groups):
            records.norms[row, :, i] = [float(p.norm()) for p in group]
        if records.joint_map is not None and records.uni_map is not None:
            pairs = zip(network.joint_heads, network.uni_heads, network.encoders, strict=True)
            for k, (v, u, w) in enumerate(pairs):
                records.joint_map[row][:, problem.features(k)] = (v @ w).numpy()
                records.uni_map[row][:, problem.features(k)] = (u @ w).numpy()


def needs_width(weights: list[Weights] | None) -> list[Weights]:
    """The weights of a network of finite width; raise ``ValueError`` where there are none."""
    if weights is None:
        raise ValueError(
            "`width` must be finite for engine='autograd', which trains the network itself. "
            "Got width=inf; use engine='gram'."
        )
    return weights


def run(
    problem: LateFusionProblem,
    method: Solver,
    weights: list[Weights] | None,
    init_scale: float,
    options: Options,
) -> Records:
    """Train the network itself. Needs a finite width."""
    del init_scale
    network = LateFusionNetwork(problem, needs_width(weights))
    frozen, plain = method.heads == "frozen", method.heads == "plain"
    network.uni_heads.requires_grad_(not frozen)
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(
        trained, lr=options.step_size, weight_decay=options.weight_decay, momentum=options.momentum
    )
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
            objective = excess_mm
            if isinstance(method, MIMO):
                objective = mimo_objective(excess_mm, gaps, method.lam, method.mu)
            objective.backward()
            if plain:  # each head follows the gradient of its own loss
                excess_heads.sum().backward()
            if t == options.steps[row]:
                records.excess_mm[row] = float(excess_mm.detach())
                records.excess_uni[row] = excess_uni.detach().numpy()
                records.f_star_excess[row], records.sigma[row] = estimate.numpy(), sigma.numpy()
                records.grad_norm_sq[row] = _grad_norm_squared(network, trained, method, sigma)
                record_weights(records, row, network, problem)
                row += 1
            flipped, previous, change = _flips(sigma, previous, change)
            if flipped:
                if records.flips == 0:
                    records.first_flip = t
                records.flips += flipped
            if t < last:
                optimizer.step()
            advance(1)
    return records


def _grad_norm_squared(
    network: LateFusionNetwork,
    trained: list[torch.nn.Parameter],
    method: Solver,
    sigma: torch.Tensor,
) -> float:
    """|grad F|^2. A plain head follows grad f_k; its part of grad F is lam sigma_k times that."""
    scale = {id(parameter): 1.0 for parameter in trained}
    if method.heads == "plain":
        for head, weight in zip(network.uni_heads, sigma, strict=True):
            scale[id(head)] = float(method.lam * weight) ** 2
    total = 0.0
    for parameter in trained:
        if parameter.grad is not None:
            total += scale[id(parameter)] * float((parameter.grad**2).sum())
    return total


def _flips(
    sigma: torch.Tensor, previous: torch.Tensor, change: torch.Tensor
) -> tuple[int, torch.Tensor, torch.Tensor]:
    """How many sigma_k flip (:data:`FLIP_SIZE`), and the new memory: sigma and its last change."""
    new = sigma - previous
    flipped = (new * change < 0) & (torch.minimum(new.abs(), change.abs()) > FLIP_SIZE)
    return int(np.count_nonzero(flipped.numpy())), sigma, new
