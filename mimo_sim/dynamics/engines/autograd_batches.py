"""The reference engine for mini-batches: the whole network in torch, on the samples themselves.

It shares with the exact engine (:mod:`.batches`) the order of the samples and the rules, nothing
else. Losses are averages over the samples of a batch; no moment is ever formed.
"""

from __future__ import annotations

import numpy as np
import torch

from mimo_sim._progress import progress_bar
from mimo_sim.dynamics.batches import Batches
from mimo_sim.dynamics.engines.autograd import LateFusionNetwork, needs_width, record_weights
from mimo_sim.dynamics.engines.autograd_rules import grad_norm_squared, gradients, seen_by, weighted
from mimo_sim.dynamics.records import Options, Records, limit
from mimo_sim.dynamics.start import Weights
from mimo_sim.objective import running_minimum, sigma_weights
from mimo_sim.problem import LateFusionProblem
from mimo_sim.rules import Rule
from mimo_sim.solvers import AnySolver, Solver, initial_f_star


class SampledNetwork(LateFusionNetwork):
    """The two-layer network with losses on samples. Its own call gives the losses of all data."""

    def __init__(self, batches: Batches, weights: list[Weights]) -> None:
        problem = batches.problem
        super().__init__(problem, weights)
        columns = [batches.inputs[:, problem.features(k)] for k in range(problem.num_modalities)]
        self.inputs = [torch.tensor(x) for x in columns]
        self.target = torch.tensor(batches.target)

    def on(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, list[float]]:
        """f_mm (), the f_k (K,) and what each uni-modal head explains, on these samples."""
        y, chosen = self.target[rows], [x[rows] for x in self.inputs]
        hidden = [x @ w.T for x, w in zip(chosen, self.encoders, strict=True)]
        joint = sum(h @ v.T for h, v in zip(hidden, self.joint_heads, strict=True))
        alone = [h @ u.T for h, u in zip(hidden, self.uni_heads, strict=True)]
        losses = torch.stack([_half_square(y - each) for each in alone])
        explained = [float((a * (2 * y - a)).detach().sum(1).mean() / 2) for a in alone]
        return _half_square(y - joint), losses, explained


def _half_square(missing: torch.Tensor) -> torch.Tensor:
    return 0.5 * (missing**2).sum(1).mean()


class _Weigher:
    """Vanilla and MIMO on losses of batches: averages, estimates of f*, sigma."""

    def __init__(self, problem: LateFusionProblem, method: Solver, decay: float) -> None:
        self.method, self.decay = method, decay
        self.optima = torch.tensor(problem.unimodal_optima)
        self.estimate = torch.tensor(initial_f_star(method, problem.unimodal_optima))
        self.smoothed: torch.Tensor | None = None

    def __call__(self, losses: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """sigma (K,) and the gaps (K,) that it follows from."""
        before = losses if self.smoothed is None else self.smoothed
        self.smoothed = self.decay * before + (1 - self.decay) * losses
        if self.method.f_star == "running_minimum":
            self.estimate = running_minimum(self.estimate, self.smoothed)
        gaps = self.smoothed - self.estimate
        return sigma_weights(gaps, self.method.mu), gaps


def run(
    problem: LateFusionProblem,
    method: AnySolver,
    weights: list[Weights] | None,
    init_scale: float,
    options: Options,
) -> Records:
    """Train the network itself on the batches. Needs a finite width."""
    del init_scale
    batches = options.batches
    assert batches is not None
    network, K = SampledNetwork(batches, needs_width(weights)), problem.num_modalities
    frozen = method.heads == "frozen" and not isinstance(method, Rule)
    network.uni_heads.requires_grad_(not frozen)
    every = [*network.joint_heads, *network.uni_heads, *network.encoders]
    optimizer = torch.optim.SGD(
        [p for p in every if p.requires_grad],
        lr=options.step_size,
        weight_decay=options.weight_decay,
        momentum=options.momentum,
    )
    weigh = None if isinstance(method, Rule) else _Weigher(problem, method, options.decay)
    records = Records.empty(problem, options)
    records.f_star_excess[:] = 0.0
    records.batch_excess = np.empty((len(options.steps), 1 + K))
    records.gap = np.empty_like(records.excess_uni)
    optima = np.array([problem.joint_optimum, *problem.unimodal_optima])
    ceiling, row, last = limit(problem), 0, int(options.steps[-1])
    order = batches.rows(last + 1)
    with progress_bar(last, options.progress) as advance, np.errstate(all="ignore"):
        for t in range(last + 1):
            loss_mm, losses, explained = network.on(order[t])
            excess = np.array([float(each.detach()) for each in (loss_mm, *losses)]) - optima
            if not excess.max() < ceiling:
                records.diverged_at = t
                break
            optimizer.zero_grad()
            record, gaps = t == options.steps[row], excess[1:]
            if isinstance(method, Rule):
                slopes = gradients([loss_mm, *losses], every)
                seen = seen_by(problem, excess.tolist(), slopes, list(map(np.float64, explained)))
                found = method.weights(seen)
                for parameter, slope in zip(every, weighted(found, slopes, K), strict=True):
                    parameter.grad = slope
                if record:
                    records.weights[row] = [found.joint, found.uni]
            else:
                assert weigh is not None
                sigma, gap = weigh(losses.detach())
                gaps = gap.numpy()
                torch.autograd.backward(loss_mm + method.lam * (sigma * losses).sum())
                if method.heads == "plain":  # each head follows the gradient of its own loss
                    heads = list(network.uni_heads)
                    own = torch.autograd.grad(network.on(order[t])[1].sum(), heads)
                    for head, slope in zip(heads, own, strict=True):
                        head.grad = slope
                if record:
                    records.sigma[row] = sigma.numpy()
                    records.f_star_excess[row] = (weigh.estimate - weigh.optima).numpy()
            if record:
                records.batch_excess[row], records.gap[row] = excess, gaps
                with torch.no_grad():
                    on_all = network()
                records.excess_mm[row], records.excess_uni[row] = float(on_all[0]), on_all[1]
                records.grad_norm_sq[row] = grad_norm_squared(every)
                record_weights(records, row, network, problem)
                row += 1
            if t < last:
                optimizer.step()
            advance(1)
    return records
