"""Curvature of the network's losses, by second derivatives of torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from paper_checks.network import Array, Data, Network, Objective


def flat(network: Network) -> torch.Tensor:
    """All weights of each network as one row of length P (B, P)."""
    parts = [part.reshape(len(part), -1) for part in (network.v, network.u, network.w)]
    return torch.tensor(np.concatenate(parts, axis=1))


def torch_losses(theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor, width: int) -> torch.Tensor:
    """The losses f_mm, f_1, ..., f_K of one network.

    The network is given as a row `theta` (P,), the samples as x (K, n, d) and y (n, m).
    """
    modalities, _, dim = x.shape
    outputs = y.shape[1]
    heads = modalities * outputs * width
    v = theta[:heads].reshape(modalities, outputs, width)
    u = theta[heads : 2 * heads].reshape(modalities, outputs, width)
    w = theta[2 * heads :].reshape(modalities, width, dim)
    # Products and sums instead of matrix products: torch batches them faster when they are tiny.
    hidden = (x[:, :, None] * w[:, None]).sum(-1)  # (K, n, h)
    joint = y - (hidden[:, :, None] * v[:, None]).sum((0, -1))
    own = y - (hidden[:, :, None] * u[:, None]).sum(-1)
    return torch.cat([(0.5 * (joint**2).sum(-1).mean())[None], 0.5 * (own**2).sum(-1).mean(-1)])


@dataclass(frozen=True)
class Curvature:
    """What was measured at B points. Curvature is the largest |eigenvalue| of a Hessian.

    Attributes
    ----------
    joint, single, objective : array (B,), (B, K), (B,)
        Curvature of f_mm, of each f_k and of F.
    slopes : array (B, K)
        |grad f_k|.
    sigma : array (B, K)
        MIMO's weights.
    """

    joint: Array
    single: Array
    slopes: Array
    objective: Array
    sigma: Array

    def stated(self, objective: Objective) -> Array:
        """The paper's L_mm + lam (max_k L_k + max_k l_k^2 / mu), at each point."""
        return np.asarray(
            self.joint
            + objective.lam
            * (self.single.max(axis=1) + (self.slopes**2).max(axis=1) / objective.mu)
        )

    def stated_for_runs(self, objective: Objective, runs: int) -> Array:
        """The same for each of `runs` runs, from the largest constants over the run's points.

        The points of one run stand next to each other. `objective` has one entry for each run.
        """
        joint = self.joint.reshape(runs, -1).max(axis=1)
        single = self.single.reshape(runs, -1).max(axis=1)
        slopes = self.slopes.reshape(runs, -1).max(axis=1)
        return np.asarray(joint + objective.lam * (single + slopes**2 / objective.mu))


def curvature(data: Data, network: Network, objective: Objective) -> Curvature:
    """Measure at B points, with B data sets and B objectives.

    The Hessian of F comes from differentiating F twice. It is not put together from its parts.
    """
    width = network.w.shape[2]
    theta, x, y = flat(network), torch.tensor(data.x), torch.tensor(data.y)
    lam, mu, f_star = (
        torch.tensor(part) for part in (objective.lam, objective.mu, objective.f_star)
    )

    def losses(t: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch_losses(t, a, b, width)

    def whole(
        t: torch.Tensor,
        a: torch.Tensor,
        b: torch.Tensor,
        penalty: torch.Tensor,
        smoothing: torch.Tensor,
        best: torch.Tensor,
    ) -> torch.Tensor:
        each = torch_losses(t, a, b, width)
        return each[0] + penalty * smoothing * torch.logsumexp((each[1:] - best) / smoothing, dim=0)

    values = torch.func.vmap(losses)(theta, x, y)
    slopes = torch.func.vmap(torch.func.jacrev(losses))(theta, x, y)
    each = torch.func.vmap(torch.func.jacrev(torch.func.jacrev(losses)))(theta, x, y)
    total = torch.func.vmap(torch.func.jacrev(torch.func.jacrev(whole)))(
        theta, x, y, lam, mu, f_star
    )
    largest = torch.linalg.eigvalsh(each).abs().amax(-1).numpy()
    sigma = torch.softmax((values[:, 1:] - f_star) / mu[:, None], dim=1)
    return Curvature(
        joint=largest[:, 0],
        single=largest[:, 1:],
        slopes=slopes[:, 1:].norm(dim=-1).numpy(),
        objective=torch.linalg.eigvalsh(total).abs().amax(-1).numpy(),
        sigma=sigma.numpy(),
    )
