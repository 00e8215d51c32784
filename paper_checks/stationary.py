"""Stationary points of MIMO's objective in the toy, found by a damped Newton method.

Written out in NumPy from second moments; it shares no formula with `mimo_sim`. Many small problems
of one shape are solved at once: the leading axis B of every array runs over problems. K is the
number of modalities, m of outputs, d of inputs of a modality, h the hidden width.

The network enters through A_k = P_k W_k (2m, d), where P_k (2m, h) has the rows of V_k and then of
U_k. So F is a convex function of the maps A, put together with a product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paper_checks.network import Array, Data, Objective, softmax


@dataclass(frozen=True)
class Point:
    """F around one network for each problem.

    Attributes
    ----------
    value, f_mm, f_uni : array (B,), (B,), (B, K)
        F (weight decay included), and the losses.
    slope : array (B, K, 2m, d)
        Gradient of F without weight decay in the maps A_k.
    gradient, hessian : array (B, p), (B, p, p)
        Derivatives in all weights. The weights of modality k stand next to each other: P_k, W_k.
    """

    value: Array
    f_mm: Array
    f_uni: Array
    slope: Array
    gradient: Array
    hessian: Array


@dataclass(frozen=True)
class Landscape:
    """MIMO's objective F on B problems of one shape.

    Attributes
    ----------
    moment, cross, second : array (B, K, K, d, d), (B, K, m, d), (B,)
        E[x_k x_l^T], E[y x_k^T] and E|y|^2.
    objective : Objective
        lam, mu and f*, one each for every problem.
    width : int
        h, the same for all encoders.
    decay : float
        Weight decay: F gets decay/2 times the sum of all squared weights.
    """

    moment: Array
    cross: Array
    second: Array
    objective: Objective
    width: int
    decay: float = 0.0

    @classmethod
    def of(cls, data: Data, objective: Objective, width: int, decay: float = 0.0) -> Landscape:
        """The landscape of samples."""
        n = data.y.shape[1]
        return cls(
            np.einsum("bkni,blnj->bklij", data.x, data.x) / n,
            np.einsum("bnm,bkni->bkmi", data.y, data.x) / n,
            (data.y**2).sum(axis=(1, 2)) / n,
            objective,
            width,
            decay,
        )

    @property
    def weights(self) -> int:
        """How many weights a network has."""
        _, modalities, outputs, dim = self.cross.shape
        return int(modalities * self.width * (2 * outputs + dim))

    def take(self, index: npt.NDArray[np.int64]) -> Landscape:
        """Some of the problems."""
        return Landscape(
            self.moment[index],
            self.cross[index],
            self.second[index],
            self.objective.take(index),
            self.width,
            self.decay,
        )

    def split(self, theta: Array) -> tuple[Array, Array]:
        """Heads P (B, K, 2m, h) and encoders W (B, K, h, d) of weights (B, p)."""
        count, (_, modalities, outputs, dim) = len(theta), self.cross.shape
        rows = theta.reshape(count, modalities, -1)
        heads = 2 * outputs * self.width
        return (
            rows[..., :heads].reshape(count, modalities, 2 * outputs, self.width),
            rows[..., heads:].reshape(count, modalities, self.width, dim),
        )

    def at(self, theta: Array) -> Point:
        """F, its gradient and its Hessian at weights (B, p)."""
        p, w = self.split(theta)
        count, modalities, rows, h = p.shape
        m, dim = rows // 2, w.shape[-1]
        maps = p @ w
        joint, own = maps[:, :, :m], maps[:, :, m:]
        seen = np.einsum("bkmi,bklij->blmj", joint, self.moment)
        square = np.einsum("bkkij->bkij", self.moment)
        alone = own @ square
        f_mm = (
            self.second / 2
            - (self.cross * joint).sum((1, 2, 3))
            + (seen * joint).sum((1, 2, 3)) / 2
        )
        f_uni = (
            self.second[:, None] / 2
            - (self.cross * own).sum((2, 3))
            + (alone * own).sum((2, 3)) / 2
        )
        lam, mu = self.objective.lam, self.objective.mu
        gaps = f_uni - self.objective.f_star
        sigma = softmax(gaps, mu)
        top = gaps.max(axis=1)
        smoothed = top + mu * np.log(np.exp((gaps - top[:, None]) / mu[:, None]).sum(axis=1))
        uphill = alone - self.cross  # gradient of f_k in N_k
        weight = lam[:, None] * sigma
        slope = np.concatenate([seen - self.cross, weight[..., None, None] * uphill], axis=2)
        gradient = np.concatenate(
            [
                (slope @ w.swapaxes(-1, -2)).reshape(count, modalities, -1),
                (p.swapaxes(-1, -2) @ slope).reshape(count, modalities, -1),
            ],
            axis=2,
        ).reshape(count, -1)

        curved = np.zeros((count, modalities, rows, dim, modalities, rows, dim))
        curved[:, :, :m, :, :, :m] = np.einsum("bklij,ac->bkailcj", self.moment, np.eye(m))
        spread = sigma[:, :, None] * (np.eye(modalities) - sigma[:, None])
        curved[:, :, m:, :, :, m:] = np.einsum(
            "bkl,bkai,blcj->bkailcj", spread * (lam / mu)[:, None, None], uphill, uphill
        )
        size = rows * h + h * dim
        jacobian = np.zeros((count, modalities, rows, dim, modalities, size))
        product = np.zeros((count, modalities, size, modalities, size))
        for k in range(modalities):
            curved[:, k, m:, :, k, m:] += np.einsum(
                "b,bij,ac->baicj", weight[:, k], square[:, k], np.eye(m)
            )
            by_head = np.einsum("ac,bui->baicu", np.eye(rows), w[:, k])
            by_encoder = np.einsum("bau,ij->baiuj", p[:, k], np.eye(dim))
            jacobian[:, k, :, :, k] = np.concatenate(
                [by_head.reshape(count, rows, dim, -1), by_encoder.reshape(count, rows, dim, -1)],
                axis=-1,
            )
            cross = np.einsum("bai,uv->bauvi", slope[:, k], np.eye(h))
            cross = cross.reshape(count, rows * h, h * dim)
            product[:, k, : rows * h, k, rows * h :] = cross
            product[:, k, rows * h :, k, : rows * h] = cross.swapaxes(-1, -2)
        flat = jacobian.reshape(count, modalities * rows * dim, -1)
        inner = curved.reshape(count, flat.shape[1], -1)
        hessian = flat.swapaxes(-1, -2) @ inner @ flat + product.reshape(count, flat.shape[2], -1)
        return Point(
            value=f_mm + lam * smoothed + self.decay / 2 * (theta**2).sum(axis=1),
            f_mm=f_mm,
            f_uni=f_uni,
            slope=slope,
            gradient=gradient + self.decay * theta,
            hessian=hessian + self.decay * np.eye(theta.shape[1]),
        )

    def stationary(self, theta: Array, tolerance: float = 1e-10, rounds: int = 60) -> Array:
        """Weights (B, p) with a small gradient, from these on; where they are found, of any kind.

        Levenberg's method on |grad F|^2. A run that does not arrive stays where it is best, so
        look at the gradient of what is returned.
        """
        theta, index = theta.copy(), np.arange(len(theta))
        damping = np.full(len(theta), 1e-2)
        here = self.at(theta)
        gradient, hessian = here.gradient, here.hessian
        for _ in range(rounds):
            norms = np.linalg.norm(gradient, axis=1)
            live = index[(norms > tolerance) & (damping < 1e12)]
            if not len(live):
                break
            values, vectors = np.linalg.eigh(hessian[live])
            along = np.einsum("bji,bj->bi", vectors, gradient[live])
            scaled = values / (values**2 + damping[live, None]) * along
            moved = theta[live] - np.einsum("bij,bj->bi", vectors, scaled)
            there = self.take(live).at(moved)
            better = np.linalg.norm(there.gradient, axis=1) < norms[live]
            kept = live[better]
            theta[kept], gradient[kept] = moved[better], there.gradient[better]
            hessian[kept] = there.hessian[better]
            damping[live] = np.where(
                better, np.maximum(damping[live] / 6, 1e-14), damping[live] * 5
            )
        return theta


def way_down(landscape: Landscape, theta: Array, point: Point) -> Array:
    """Curvature of F along the direction that the proof of docs/landscape.md takes, (B,).

    In the block k with the largest slope G, let w z^T be its largest singular pair of size s. Let
    q be a direction of the hidden layer that no head reads (P q = 0), or that no input reaches
    (W^T q = 0). One of these exists at a stationary point with s > 0 in a network that is wide
    enough. The proof moves W along q z^T and P along -w q^T. Returned is the smallest eigenvalue of
    the Hessian in the plane of these two directions.
    """
    p, w = landscape.split(theta)
    width = p.shape[-1]
    left, sizes, right = np.linalg.svd(point.slope)
    block = sizes[..., 0].argmax(axis=1)
    index = np.arange(len(theta))
    p, w = p[index, block], w[index, block]
    units = []
    for matrix in (p, w.swapaxes(-1, -2)):
        values, vectors = np.linalg.svd(matrix)[1:]
        rest = values[:, -1] if matrix.shape[1] >= width else np.zeros(len(matrix))
        units.append((rest, vectors[:, -1]))
    (unread, reader), (unreached, reached) = units
    q = np.where((unread <= unreached)[:, None], reader, reached)
    head, encoder = np.zeros((2, *theta.shape))
    in_p, in_w = landscape.split(head)[0], landscape.split(encoder)[1]
    in_p[index, block] = -left[index, block, :, 0][:, :, None] * q[:, None]
    in_w[index, block] = q[:, :, None] * right[index, block, 0][:, None]
    plane = np.stack([head, encoder], axis=1)
    return np.linalg.eigvalsh(plane @ point.hessian @ plane.swapaxes(-1, -2))[:, 0]
