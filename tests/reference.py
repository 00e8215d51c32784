"""The late-fusion network a second time: plain NumPy on a finite data set, differentiated by the complex step. Shares no formula with the package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Parameters = list[list[np.ndarray]]  # per modality [V (m, h), U (m, h), W (h, d)], real or complex
TINY = 1e-40  # of the complex step: its error is TINY squared, so derivatives are exact up to round-off


@dataclass
class Network:
    """Losses are averages over n samples: 1/2 mean |y - sum_k V_k W_k x_k|^2 and 1/2 mean |y - U_k W_k x_k|^2."""

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
        features = [x @ w.T for x, (_, _, w) in zip(self.inputs, parameters, strict=True)]
        prediction = sum(z @ v.T for z, (v, _, _) in zip(features, parameters, strict=True))
        alone = [z @ u.T for z, (_, u, _) in zip(features, parameters, strict=True)]
        return self.half_mean_square(prediction), np.array([self.half_mean_square(each) for each in alone])

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
        """Of a real function with respect to block i (0: V, 1: U, 2: W) of modality k."""
        gradient = np.empty(parameters[k][i].shape)
        for where in np.ndindex(gradient.shape):
            shifted = [[block.astype(complex) for block in triple] for triple in parameters]
            shifted[k][i][where] += 1j * TINY
            gradient[where] = function(shifted).imag / TINY
        return gradient

    def gradients(self, parameters: Parameters) -> Parameters:
        return [[self.derivative(self.objective, parameters, k, i) for i in range(3)] for k in range(len(parameters))]

    def step(self, parameters: Parameters, eta: float, decay: float = 0.0) -> Parameters:
        """One step of gradient descent with the head update that `heads` asks for."""
        directions = self.gradients(parameters)
        for k in range(len(parameters)):
            if self.heads == "plain":
                directions[k][1] = self.derivative(lambda p, k=k: self.losses(p)[1][k], parameters, k, 1)
        frozen = self.heads == "frozen"
        return [
            [block if frozen and i == 1 else (1 - eta * decay) * block - eta * slope for i, (block, slope) in enumerate(zip(triple, slopes, strict=True))]
            for triple, slopes in zip(parameters, directions, strict=True)
        ]
