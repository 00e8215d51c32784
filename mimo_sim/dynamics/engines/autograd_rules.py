"""The reference engine for rules: the whole network in torch, each objective differentiated alone.

It shares with the exact engine (:mod:`.rules`) nothing but the rule. Inner products of gradients
are sums over all parameters of the network, and the rule runs in plain numbers.
"""

from __future__ import annotations

import numpy as np
import torch

from mimo_sim._progress import progress_bar
from mimo_sim.dynamics.engines.autograd import LateFusionNetwork, needs_width, record_weights
from mimo_sim.dynamics.records import Options, Records, limit
from mimo_sim.dynamics.start import Weights
from mimo_sim.problem import LateFusionProblem
from mimo_sim.rules import Rule, Seen

Gradients = list[list[torch.Tensor]]  # of f_mm, f_1, ..., f_K, each by all parameters in order


def _gradients(losses: list[torch.Tensor], parameters: list[torch.Tensor]) -> Gradients:
    found = []
    for loss in losses:
        one = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        found.append(
            [torch.zeros_like(p) if g is None else g for g, p in zip(one, parameters, strict=True)]
        )
    return found


def _product(one: list[torch.Tensor], other: list[torch.Tensor]) -> np.float64:
    return np.float64(sum(float((a * b).sum()) for a, b in zip(one, other, strict=True)))


def _seen(
    problem: LateFusionProblem, network: LateFusionNetwork, losses: list[float], slopes: Gradients
) -> Seen:
    """What the rule sees. Parameters come in the order of `slopes`: all V, all U, all W."""
    K = problem.num_modalities
    joint, own = slopes[0], slopes[1:]
    explained = []
    with torch.no_grad():
        pairs = zip(network.uni_heads, network.encoders, strict=True)
        for k, (u, w) in enumerate(pairs):
            alone, target = u @ w, torch.tensor(problem.sigma_yx[k])
            within = (alone @ network.blocks[k] * alone).sum()
            explained.append(np.float64((target * alone).sum() - 0.5 * within))
    return Seen(
        excess_mm=np.float64(losses[0]),
        optimum_mm=np.float64(problem.joint_optimum),
        start=np.float64(problem.y_second_moment / 2),
        excess=[np.float64(loss) for loss in losses[1:]],
        optimum=[np.float64(best) for best in problem.unimodal_optima],
        explained=explained,
        joint_head=[_product([joint[k]], [joint[k]]) for k in range(K)],
        joint=[_product([joint[2 * K + k]], [joint[2 * K + k]]) for k in range(K)],
        cross=[_product(joint, own[k]) for k in range(K)],
        own=[_product([own[k][2 * K + k]], [own[k][2 * K + k]]) for k in range(K)],
        own_head=[_product([own[k][K + k]], [own[k][K + k]]) for k in range(K)],
    )


def run(
    problem: LateFusionProblem,
    method: Rule,
    weights: list[Weights] | None,
    init_scale: float,
    options: Options,
) -> Records:
    """Train the network itself. Needs a finite width."""
    del init_scale
    network, K = LateFusionNetwork(problem, needs_width(weights)), problem.num_modalities
    trained = [*network.joint_heads, *network.uni_heads, *network.encoders]
    optimizer = torch.optim.SGD(
        trained,
        lr=options.step_size,
        weight_decay=options.weight_decay,
        momentum=options.momentum,
    )
    records = Records.empty(problem, options)
    records.f_star_excess[:] = 0.0
    ceiling, row, last = limit(problem), 0, int(options.steps[-1])
    with progress_bar(last, options.progress) as advance, np.errstate(all="ignore"):
        for t in range(last + 1):
            excess_mm, excess_uni, _ = network()
            losses = [float(loss.detach()) for loss in (excess_mm, *excess_uni)]
            if not (losses[0] < ceiling and max(losses[1:]) < ceiling):
                records.diverged_at = t
                break
            slopes = _gradients([excess_mm, *excess_uni], trained)
            found = method.weights(_seen(problem, network, losses, slopes))
            of_joint = [found.joint_head] * K + [0.0] * K + list(found.joint)
            for i, parameter in enumerate(trained):
                k = i % K
                of_own = (0.0, found.uni_head[k], found.uni[k])[i // K]
                parameter.grad = float(of_joint[i]) * slopes[0][i]
                parameter.grad += float(of_own) * slopes[1 + k][i]
            if t == options.steps[row]:
                records.excess_mm[row], records.excess_uni[row] = losses[0], losses[1:]
                records.weights[row] = [found.joint, found.uni]
                records.grad_norm_sq[row] = sum(
                    float((p.grad**2).sum()) for p in trained if p.grad is not None
                )
                record_weights(records, row, network, problem)
                row += 1
            if t < last:
                optimizer.step()
            advance(1)
    return records
