r"""An independent truth for the checks: the late-fusion network on raw samples, many small data sets at once, sharing no formula with `mimo_sim`.

Losses are averages over samples, optima come from least squares, descent directions from back-propagation written out in NumPy, curvature from
torch's second derivatives. Leading axis B runs over data sets (or starting points); modalities share one input dimension d.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

import mimo_sim as ms

Array: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Data:
    """Samples x (B, K, n, d) and y (B, n, m)."""

    x: Array
    y: Array

    def take(self, index: npt.NDArray[np.int64]) -> Data:
        """Some of the data sets."""
        return Data(self.x[index], self.y[index])

    def problem(self, b: int) -> ms.LateFusionProblem:
        """Data set b for `mimo_sim`."""
        return ms.LateFusionProblem.from_samples(list(self.x[b]), self.y[b])


@dataclass(frozen=True)
class Network:
    """Weights v, u (B, K, m, h) of the joint and the uni-modal heads, and w (B, K, h, d) of the encoders."""

    v: Array
    u: Array
    w: Array

    def take(self, index: npt.NDArray[np.int64]) -> Network:
        """Some of the networks."""
        return Network(self.v[index], self.u[index], self.w[index])

    def initial(self, b: int) -> list[tuple[Array, Array, Array]]:
        """Network b as the `initial` of :func:`mimo_sim.simulate`."""
        return list(zip(self.v[b], self.u[b], self.w[b], strict=True))


@dataclass(frozen=True)
class Objective:
    """lam, mu (B,) of MIMO and the estimates f_star (B, K)."""

    lam: Array
    mu: Array
    f_star: Array

    def take(self, index: npt.NDArray[np.int64]) -> Objective:
        """Some of the objectives."""
        return Objective(self.lam[index], self.mu[index], self.f_star[index])


def random_data(
    rng: np.random.Generator,
    count: int,
    modalities: int = 2,
    dim: int = 1,
    outputs: int = 1,
    samples: int = 6,
) -> Data:
    """Correlated Gaussian inputs of different scales, and a noisy linear target."""
    features = modalities * dim
    mixing = np.eye(features) + 0.4 * rng.standard_normal((count, features, features)) / np.sqrt(
        features
    )
    scales = np.repeat(np.exp(0.4 * rng.standard_normal((count, modalities))), dim, axis=1)
    x = rng.standard_normal((count, samples, features)) @ mixing * scales[:, None]
    true = rng.standard_normal((count, features, outputs)) / np.sqrt(features) / scales[..., None]
    y = x @ true + 0.3 * rng.standard_normal((count, samples, outputs))
    return Data(x.reshape(count, samples, modalities, dim).transpose(0, 2, 1, 3).copy(), y)


def random_network(rng: np.random.Generator, data: Data, width: int, scale: float) -> Network:
    """Gaussian weights of standard deviation `scale`."""
    count, modalities, _, dim = data.x.shape
    outputs = data.y.shape[2]
    head, encoder = (count, modalities, outputs, width), (count, modalities, width, dim)
    return Network(*(scale * rng.standard_normal(shape) for shape in (head, head, encoder)))


def optima(data: Data) -> tuple[Array, Array]:
    """min f_mm (B,) and min f_k (B, K) by least squares on the samples."""

    def best(x: Array, y: Array) -> float:
        return 0.5 * float(
            np.mean(np.sum((y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) ** 2, axis=1))
        )

    joint = [best(np.concatenate(list(x), axis=1), y) for x, y in zip(data.x, data.y, strict=True)]
    single = [[best(own, y) for own in x] for x, y in zip(data.x, data.y, strict=True)]
    return np.array(joint), np.array(single)


def softmax(gaps: Array, mu: Array) -> Array:
    """Weights (B, K) of the smoothed maximum."""
    shifted = np.exp((gaps - gaps.max(axis=-1, keepdims=True)) / mu[..., None])
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


@dataclass(frozen=True)
class Descent:
    """A run: objective and |grad F|^2 (B, T + 1), f_mm (B, T + 1), f_k (B, T + 1, K), and the networks kept, (B * kept) with step fastest."""

    objective: Array
    grad_sq: Array
    f_mm: Array
    f_uni: Array
    final: Network
    kept: Network


def descend(
    data: Data,
    start: Network,
    objective: Objective,
    step_size: Array,
    steps: int,
    heads: Literal["gradient", "plain"] = "gradient",
    keep: Sequence[int] = (),
) -> Descent:
    """`steps` steps of gradient descent with step sizes (B,); `heads` as in :class:`mimo_sim.MIMO`. The networks before the steps in `keep` are returned."""
    x, y = data.x, data.y
    n = y.shape[1]
    v, u, w = start.v.copy(), start.u.copy(), start.w.copy()
    eta = step_size[:, None, None, None]
    values, slopes, joint, single, kept = [], [], [], [], []
    wanted = set(keep)
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(steps + 1):
            if t in wanted:
                kept.append((v.copy(), u.copy(), w.copy()))
            hidden = x @ w.swapaxes(-1, -2)  # (B, K, n, h)
            missing = y - (hidden @ v.swapaxes(-1, -2)).sum(axis=1)  # (B, n, m)
            own = y[:, None] - hidden @ u.swapaxes(-1, -2)  # (B, K, n, m)
            f_mm = 0.5 * (missing**2).sum(axis=(1, 2)) / n
            f_uni = 0.5 * (own**2).sum(axis=(2, 3)) / n
            gaps = f_uni - objective.f_star
            top = gaps.max(axis=1)
            parts = np.exp((gaps - top[:, None]) / objective.mu[:, None])
            total = parts.sum(axis=1)
            weight = (objective.lam[:, None] * parts / total[:, None])[:, :, None, None]
            back_joint = np.broadcast_to(missing[:, None], own.shape) / n
            back_own = own / n
            dv = back_joint.swapaxes(-1, -2) @ hidden
            du = back_own.swapaxes(-1, -2) @ hidden
            dw = (
                v.swapaxes(-1, -2) @ back_joint.swapaxes(-1, -2)
                + weight * (u.swapaxes(-1, -2) @ back_own.swapaxes(-1, -2))
            ) @ x
            values.append(f_mm + objective.lam * (top + objective.mu * np.log(total)))
            slopes.append(
                (dv**2).sum(axis=(1, 2, 3))
                + ((weight * du) ** 2).sum(axis=(1, 2, 3))
                + (dw**2).sum(axis=(1, 2, 3))
            )
            joint.append(f_mm)
            single.append(f_uni)
            if t < steps:
                v += eta * dv
                u += eta * (weight * du if heads == "gradient" else du)
                w += eta * dw
    networks = (
        [np.stack(part, axis=1).reshape(-1, *part[0].shape[1:]) for part in zip(*kept, strict=True)]
        if kept
        else [v[:0], u[:0], w[:0]]
    )
    return Descent(
        np.stack(values, 1),
        np.stack(slopes, 1),
        np.stack(joint, 1),
        np.stack(single, 1),
        Network(v, u, w),
        Network(*networks),
    )


# ------------------------------------------------------------------------------------------ derivatives by torch


def flat(network: Network) -> torch.Tensor:
    """All weights of each network as one row (B, P)."""
    return torch.tensor(
        np.concatenate(
            [part.reshape(len(part), -1) for part in (network.v, network.u, network.w)], axis=1
        )
    )


def torch_losses(theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor, width: int) -> torch.Tensor:
    """f_mm, f_1, ..., f_K of one network given as a row, from the samples x (K, n, d) and y (n, m)."""
    modalities, _, dim = x.shape
    outputs = y.shape[1]
    heads = modalities * outputs * width
    v = theta[:heads].reshape(modalities, outputs, width)
    u = theta[heads : 2 * heads].reshape(modalities, outputs, width)
    w = theta[2 * heads :].reshape(modalities, width, dim)
    hidden = (x[:, :, None] * w[:, None]).sum(
        -1
    )  # (K, n, h); products and sums, which torch batches faster than tiny matrix products
    joint = y - (hidden[:, :, None] * v[:, None]).sum((0, -1))
    own = y - (hidden[:, :, None] * u[:, None]).sum(-1)
    return torch.cat([(0.5 * (joint**2).sum(-1).mean())[None], 0.5 * (own**2).sum(-1).mean(-1)])


@dataclass(frozen=True)
class Curvature:
    """At each of B points: largest |eigenvalue| of the Hessians of f_mm (B,), f_k (B, K) and F (B,); slopes |grad f_k| (B, K); sigma (B, K)."""

    joint: Array
    single: Array
    slopes: Array
    objective: Array
    sigma: Array

    def stated(self, objective: Objective) -> Array:
        """The paper's L_mm + lam (max_k L_k + max_k l_k^2 / mu) with the constants of each point."""
        return np.asarray(
            self.joint
            + objective.lam
            * (self.single.max(axis=1) + (self.slopes**2).max(axis=1) / objective.mu)
        )


def curvature(data: Data, network: Network, objective: Objective) -> Curvature:
    """Measure at B points, with B data sets and B objectives. The Hessian of F is differentiated as it stands, not put together from its parts."""
    width = network.w.shape[2]
    theta, x, y = flat(network), torch.tensor(data.x), torch.tensor(data.y)
    lam, mu, f_star = (
        torch.tensor(objective.lam),
        torch.tensor(objective.mu),
        torch.tensor(objective.f_star),
    )

    def parts(t: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
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

    values = torch.func.vmap(parts)(theta, x, y)
    slopes = torch.func.vmap(torch.func.jacrev(parts))(theta, x, y)
    each = torch.func.vmap(torch.func.jacrev(torch.func.jacrev(parts)))(theta, x, y)
    total = torch.func.vmap(torch.func.jacrev(torch.func.jacrev(whole)))(
        theta, x, y, lam, mu, f_star
    )
    largest = torch.linalg.eigvalsh(each).abs().amax(-1).numpy()
    sigma = torch.softmax((values[:, 1:] - f_star) / mu[:, None], dim=1)
    return Curvature(
        largest[:, 0],
        largest[:, 1:],
        slopes[:, 1:].norm(dim=-1).numpy(),
        torch.linalg.eigvalsh(total).abs().amax(-1).numpy(),
        sigma.numpy(),
    )


# ------------------------------------------------------------------------------------------ curvature along runs of the package


def exact_samples(problem: ms.LateFusionProblem, copies: int = 1) -> Data:
    """Samples whose averages are the moments of a problem with one output and modalities of one size, `copies` times."""
    moment = np.block(
        [
            [problem.input_moment, problem.cross_moment.T],
            [problem.cross_moment, np.array([[problem.y_second_moment]])],
        ]
    )
    values, vectors = np.linalg.eigh(moment)
    rows = np.sqrt(len(moment)) * np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    x = rows[:, :-1].reshape(len(rows), problem.num_modalities, -1).transpose(1, 0, 2)
    return Data(
        np.broadcast_to(x, (copies, *x.shape)),
        np.broadcast_to(rows[:, -1:], (copies, len(rows), 1)),
    )


def scalar_weights(maps: Array, uni_maps: Array, encoder_norm: Array) -> Network:
    """The networks of width 1 with scalar inputs and output that have these maps (B, K) and encoder norms, up to signs which no loss or eigenvalue notices."""
    w = encoder_norm[..., None, None]
    return Network(maps[..., None, None] / w, uni_maps[..., None, None] / w, w)


# ------------------------------------------------------------------------------------------ Theorem 1's setting


@dataclass(frozen=True)
class Setting:
    """B problems with the step 1/L that the paper's formula gives for the run it makes, with L_mm, L_k and l_k measured along that very run."""

    data: Data
    start: Network
    objective: Objective
    step_size: Array
    inside: npt.NDArray[np.bool_]  # (B,) the run stays within the L that its step was made for
    sharpest: Array  # (B,) largest |eigenvalue| of F's Hessian met along the run
    run: Descent


def infimum(data: Data, objective: Objective) -> Array:
    """inf F (B,): both levels solved exactly, which one or more hidden units per output allow, and K gaps of zero."""
    joint, single = optima(data)
    gaps = single - objective.f_star
    top = gaps.max(axis=1)
    spread = np.exp((gaps - top[:, None]) / objective.mu[:, None]).sum(axis=1)
    return np.asarray(joint + objective.lam * (top + objective.mu * np.log(spread)))


def stated_constant(curves: Curvature, objective: Objective, runs: int) -> Array:
    """L_mm + lam (max_k L_k + max_k l_k^2 / mu) of each run, with the largest constants over its points."""
    joint = curves.joint.reshape(runs, -1).max(axis=1)
    single = curves.single.reshape(runs, -1).max(axis=1)
    slopes = curves.slopes.reshape(runs, -1).max(axis=1)
    return np.asarray(joint + objective.lam * (single + slopes**2 / objective.mu))


def setting(
    data: Data,
    start: Network,
    objective: Objective,
    steps: int,
    heads: Literal["gradient", "plain"] = "gradient",
    points: int = 8,
    passes: int = 3,
) -> Setting:
    """Find the step 1/L by repetition: run, measure, shorten the step to the L found, run again."""
    runs = len(data.y)
    keep = np.unique(np.r_[0, np.geomspace(1, steps, points - 1).astype(int)])
    index = np.repeat(np.arange(runs), len(keep))
    local = curvature(data, start, objective)
    bound = stated_constant(local, objective, runs)
    for attempt in range(passes):
        run = descend(data, start, objective, 1 / bound, steps, heads, keep=keep.tolist())
        along = curvature(data.take(index), run.kept, objective.take(index))
        found = stated_constant(along, objective, runs)
        inside = found <= bound * (1 + 1e-9)
        if attempt == passes - 1 or inside.all():
            break
        bound = np.where(inside, bound, 1.02 * found)
    return Setting(
        data,
        start,
        objective,
        1 / bound,
        inside,
        along.objective.reshape(runs, -1).max(axis=1),
        run,
    )


def random_objective(
    rng: np.random.Generator, data: Data, lam: tuple[float, float], mu: tuple[float, float]
) -> Objective:
    """lam and mu log-uniform in these ranges, exact optima."""
    count = len(data.y)
    draw = [low * (high / low) ** rng.uniform(size=count) for low, high in (lam, mu)]
    return Objective(draw[0], draw[1], optima(data)[1])


def increases(objective: Array, scale: Array) -> Array:
    """Largest relative increase of F in one step of each run (B,), in units of its scale; not finite counts as infinite."""
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.diff(objective, axis=1).max(axis=1) / scale
    return np.asarray(np.where(np.isfinite(objective).all(axis=1), steps, np.inf))


def rate_ratio(grad_sq: Array, drop: Array, step_size: Array) -> Array:
    """min_{t<T} |grad F|^2 over 2 (F_0 - inf F) / (eta T), the largest over all T, for each run (B,)."""
    steps = np.arange(1, grad_sq.shape[1])
    least = np.minimum.accumulate(grad_sq[:, :-1], axis=1)
    return np.asarray((least * steps * step_size[:, None] / (2 * drop[:, None])).max(axis=1))
