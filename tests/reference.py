"""The late-fusion network in plain NumPy on samples, and the solvers to try on it.

It shares no formula with the package: it is differentiated by the complex step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import mimo_sim as ms
from mimo_sim.solvers import Solver

Parameters = list[list[np.ndarray]]  # per modality [V (m, h), U (m, h), W (h, d)], real or complex
TINY = 1e-40  # the complex step; its error is TINY squared, so derivatives are exact to round-off


def every_rule(f_star: float | tuple[float, ...]) -> list[Solver]:
    """Solvers with every update of the heads and every estimate of f*; `f_star` is the constant."""
    return [
        ms.Vanilla(),
        ms.Vanilla(heads="plain"),
        ms.MIMO(lam=2.0, mu=0.25),
        ms.MIMO(lam=2.0, mu=0.25, heads="plain"),
        ms.MIMO(lam=3.0, mu=0.5, f_star="zero"),
        ms.MIMO(lam=3.0, mu=0.5, f_star="running_minimum"),
        ms.MIMO(lam=1.0, mu=0.5, f_star=f_star),
    ]


@dataclass
class Network:
    """A late-fusion network; its losses are averages over n samples.

    They are 1/2 mean |y - sum_k V_k W_k x_k|^2 and 1/2 mean |y - U_k W_k x_k|^2.
    """

    inputs: Sequence[np.ndarray]  # (n, d_k)
    y: np.ndarray  # (n, m)
    lam: float
    mu: float
    f_star: np.ndarray  # (K,)
    heads: str

    @property
    def optima(self) -> np.ndarray:
        """(K,) exact uni-modal optima by least squares on the samples."""
        fits = [x @ np.linalg.lstsq(x, self.y, rcond=None)[0] for x in self.inputs]
        return np.array([0.5 * np.mean(np.sum((self.y - fit) ** 2, axis=1)) for fit in fits])

    def losses(self, parameters: Parameters) -> tuple[Any, np.ndarray]:
        """The multi-modal loss and the (K,) uni-modal losses."""
        features = [x @ w.T for x, (_, _, w) in zip(self.inputs, parameters, strict=True)]
        prediction = sum(z @ v.T for z, (v, _, _) in zip(features, parameters, strict=True))
        alone = [z @ u.T for z, (_, u, _) in zip(features, parameters, strict=True)]
        return self.half_mean_square(prediction), np.array(
            [self.half_mean_square(each) for each in alone]
        )

    def half_mean_square(self, prediction: Any) -> Any:
        return 0.5 * np.sum((self.y - prediction) ** 2) / len(self.y)

    def objective(self, parameters: Parameters) -> Any:
        loss, uni = self.losses(parameters)
        if self.lam == 0:
            return loss
        gaps = uni - self.f_star
        top = gaps.real.max()
        return loss + self.lam * (top + self.mu * np.log(np.sum(np.exp((gaps - top) / self.mu))))

    def derivative(self, function: Any, parameters: Parameters, k: int, i: int) -> np.ndarray:
        """Derivative of a real function by block i (0: V, 1: U, 2: W) of modality k."""
        gradient = np.empty(parameters[k][i].shape)
        for where in np.ndindex(gradient.shape):
            shifted = [[block.astype(complex) for block in triple] for triple in parameters]
            shifted[k][i][where] += 1j * TINY
            gradient[where] = function(shifted).imag / TINY
        return gradient

    def gradients(self, parameters: Parameters) -> Parameters:
        return [
            [self.derivative(self.objective, parameters, k, i) for i in range(3)]
            for k in range(len(parameters))
        ]

    def step(self, parameters: Parameters, eta: float, decay: float = 0.0) -> Parameters:
        """One step of gradient descent with the head update that `heads` asks for."""
        directions = self.gradients(parameters)
        for k in range(len(parameters)):
            if self.heads == "plain":
                directions[k][1] = self.derivative(
                    lambda p, k=k: self.losses(p)[1][k], parameters, k, 1
                )
        frozen = self.heads == "frozen"
        return [
            [
                block if frozen and i == 1 else (1 - eta * decay) * block - eta * slope
                for i, (block, slope) in enumerate(zip(triple, slopes, strict=True))
            ]
            for triple, slopes in zip(parameters, directions, strict=True)
        ]
