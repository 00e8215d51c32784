"""The late-fusion network on raw samples: an independent truth to compare the package with.

It shares no formula with `mimo_sim`, which computes everything from moments. Here losses are
averages over samples, optima come from least squares, and descent directions come from
back-propagation, written out in NumPy.

Many small data sets are trained at once: the leading axis B of every array runs over data sets
(or starting points). K is the number of modalities, n of samples, m of outputs, h the hidden
width. All modalities of a data set have the same number d of inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

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
    """Weights v of joint heads, u of uni-modal heads (B, K, m, h), w of encoders (B, K, h, d)."""

    v: Array
    u: Array
    w: Array

    def take(self, index: npt.NDArray[np.int64]) -> Network:
        """Some of the networks."""
        return Network(self.v[index], self.u[index], self.w[index])

    def initial(self, b: int) -> list[tuple[Array, Array, Array]]:
        """Network b as the argument `initial` of :func:`mimo_sim.simulate`."""
        return list(zip(self.v[b], self.u[b], self.w[b], strict=True))


@dataclass(frozen=True)
class Objective:
    """MIMO's objective: lam and mu (B,), and the estimates f_star (B, K)."""

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


def random_objective(
    rng: np.random.Generator, data: Data, lam: tuple[float, float], mu: tuple[float, float]
) -> Objective:
    """Random lam and mu, log-uniform in these ranges, with exact f*."""
    count = len(data.y)
    draw = [low * (high / low) ** rng.uniform(size=count) for low, high in (lam, mu)]
    return Objective(draw[0], draw[1], optima(data)[1])


def least_loss(x: Array, y: Array) -> float:
    """The smallest squared loss of a linear map from x (n, d) to y (n, m), by least squares."""
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    return 0.5 * float(np.mean(np.sum((y - x @ best) ** 2, axis=1)))


def optima(data: Data) -> tuple[Array, Array]:
    """The smallest f_mm (B,) and the smallest f_k (B, K)."""
    joint, single = [], []
    for x, y in zip(data.x, data.y, strict=True):
        joint.append(least_loss(np.concatenate(list(x), axis=1), y))
        single.append([least_loss(own, y) for own in x])
    return np.array(joint), np.array(single)


def softmax(gaps: Array, mu: Array) -> Array:
    """The sigma weights (B, K) of gaps (B, K)."""
    shifted = np.exp((gaps - gaps.max(axis=-1, keepdims=True)) / mu[..., None])
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


@dataclass(frozen=True)
class Descent:
    """Runs of T steps.

    Attributes
    ----------
    objective, grad_sq, f_mm : array (B, T + 1)
        F, |grad F|^2 and the multi-modal loss before each step and at the end.
    f_uni : array (B, T + 1, K)
        Uni-modal losses.
    final : Network
        The trained networks.
    kept : Network
        The networks that were to be kept. The leading axis has length B x (number kept), and
        the networks of one run stand next to each other.
    """

    objective: Array
    grad_sq: Array
    f_mm: Array
    f_uni: Array
    final: Network
    kept: Network


def _stacked(kept: list[Network], like: Network) -> Network:
    """Networks kept along the runs, put together: those of one run stand next to each other."""
    if not kept:
        return Network(like.v[:0], like.u[:0], like.w[:0])

    def joined(parts: list[Array]) -> Array:
        return np.stack(parts, axis=1).reshape(-1, *parts[0].shape[1:])

    return Network(
        joined([network.v for network in kept]),
        joined([network.u for network in kept]),
        joined([network.w for network in kept]),
    )


def descend(
    data: Data,
    start: Network,
    objective: Objective,
    step_size: Array,
    steps: int,
    heads: Literal["gradient", "plain"] = "gradient",
    keep: Sequence[int] = (),
) -> Descent:
    """Gradient descent for `steps` steps of sizes (B,).

    Parameters
    ----------
    data, start, objective
        B data sets, B networks and B objectives.
    step_size : array (B,)
        One for each run.
    steps : int
        Number T of steps.
    heads : {"gradient", "plain"}
        As in :class:`mimo_sim.MIMO`.
    keep : sequence of int
        Keep the networks as they are before these steps.
    """
    x, y = data.x, data.y
    n = y.shape[1]
    v, u, w = start.v.copy(), start.u.copy(), start.w.copy()
    eta = step_size[:, None, None, None]
    values, slopes, joint, single = [], [], [], []
    kept: list[Network] = []
    wanted = set(keep)
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(steps + 1):
            if t in wanted:
                kept.append(Network(v.copy(), u.copy(), w.copy()))
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
    final = Network(v, u, w)
    return Descent(
        np.stack(values, 1),
        np.stack(slopes, 1),
        np.stack(joint, 1),
        np.stack(single, 1),
        final,
        _stacked(kept, final),
    )


# ------------------------------------------------------- networks for problems of the package


def exact_samples(problem: ms.LateFusionProblem, copies: int = 1) -> Data:
    """Samples whose averages are the moments of a problem, `copies` times.

    The problem must have one output, and modalities of one size.
    """
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
    """Networks of width 1, with scalar inputs and output, that have these maps and encoder norms.

    All arguments have the shape (B, K). Signs are chosen freely: no loss and no eigenvalue
    depends on them.
    """
    w = encoder_norm[..., None, None]
    return Network(maps[..., None, None] / w, uni_maps[..., None, None] / w, w)
