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
from mimo_sim.rules import Weights as RuleWeights

Gradients = list[list[torch.Tensor]]  # of f_mm, f_1, ..., f_K, each by all parameters in order


def grad_norm_squared(parameters: list[torch.nn.Parameter]) -> float:
    """Sum of squares of the gradients that the parameters hold."""
    return sum(float((p.grad**2).sum()) for p in parameters if p.grad is not None)


def gradients(losses: list[torch.Tensor], parameters: list[torch.Tensor]) -> Gradients:
    """The gradient of each loss by all parameters."""
    found = []
    for loss in losses:
        one = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        found.append(
            [torch.zeros_like(p) if g is None else g for g, p in zip(one, parameters, strict=True)]
        )
    return found


def _product(one: list[torch.Tensor], other: list[torch.Tensor]) -> np.float64:
    return np.float64(sum(float((a * b).sum()) for a, b in zip(one, other, strict=True)))


def explained_by(problem: LateFusionProblem, network: LateFusionNetwork) -> list[np.float64]:
    """What each uni-modal head explains: the loss of the zero network minus f_k."""
    explained = []
    with torch.no_grad():
        pairs = zip(network.uni_heads, network.encoders, strict=True)
        for k, (u, w) in enumerate(pairs):
            alone, target = u @ w, torch.tensor(problem.sigma_yx[k])
            within = (alone @ network.blocks[k] * alone).sum()
            explained.append(np.float64((target * alone).sum() - 0.5 * within))
    return explained


def seen_by(
    problem: LateFusionProblem,
    excesses: list[float],
    slopes: Gradients,
    explained: list[np.float64],
) -> Seen:
    """What the rule sees. Parameters come in the order of `slopes`: all V, all U, all W."""
    K = problem.num_modalities
    joint, own = slopes[0], slopes[1:]
    return Seen(
        excess_mm=np.float64(excesses[0]),
        optimum_mm=np.float64(problem.joint_optimum),
        start=np.float64(problem.y_second_moment / 2),
        excess=[np.float64(loss) for loss in excesses[1:]],
        optimum=[np.float64(best) for best in problem.unimodal_optima],
        explained=explained,
        joint_head=[_product([joint[k]], [joint[k]]) for k in range(K)],
        joint=[_product([joint[2 * K + k]], [joint[2 * K + k]]) for k in range(K)],
        cross=[_product(joint, own[k]) for k in range(K)],
        own=[_product([own[k][2 * K + k]], [own[k][2 * K + k]]) for k in range(K)],
        own_head=[_product([own[k][K + k]], [own[k][K + k]]) for k in range(K)],
    )


def weighted(found: RuleWeights, slopes: Gradients, K: int) -> list[torch.Tensor]:
    """The direction of the step, by all V, all U and all W."""
    of_joint = [found.joint_head] * K + [0.0] * K + list(found.joint)
    direction = []
    for i, slope in enumerate(slopes[0]):
        k = i % K
        of_own = (0.0, found.uni_head[k], found.uni[k])[i // K]
        direction.append(float(of_joint[i]) * slope + float(of_own) * slopes[1 + k][i])
    return direction


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
            slopes = gradients([excess_mm, *excess_uni], trained)
            seen = seen_by(problem, losses, slopes, explained_by(problem, network))
            found = method.weights(seen)
            for parameter, slope in zip(trained, weighted(found, slopes, K), strict=True):
                parameter.grad = slope
            if t == options.steps[row]:
                records.excess_mm[row], records.excess_uni[row] = losses[0], losses[1:]
                records.weights[row] = [found.joint, found.uni]
                records.grad_norm_sq[row] = grad_norm_squared(trained)
                record_weights(records, row, network, problem)
                row += 1
            if t < last:
                optimizer.step()
            advance(1)
    return records
