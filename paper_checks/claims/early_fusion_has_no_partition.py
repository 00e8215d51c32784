"""Early fusion has no partition by modality: what breaks, and in which networks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from paper_checks.claim import Claim, Counterexample, Evidence, Verdict

CLAIM = Claim(
    id="early-fusion-has-no-partition",
    topic="11 Break conditions",
    says="With early fusion the weights are not split by modality, and the gradient does not "
    "decompose. The gradient by weights that carry one modality depends on the other modality, "
    "even at a fixed residual. A step on one modality's own loss changes what the other one "
    "contributes to the prediction.",
    source="[MIMO] Sec. 3.1 and conclusion (summary: break condition of mechanism 1, open "
    "question 1)",
    assumptions="Early fusion: one encoder for the joined inputs, one joint head. A modality alone "
    "means that the inputs of the other are set to zero. Each modality has its own uni-modal head. "
    "Encoders of 1 or 2 layers, linear or ReLU, without biases.",
    how="property-based",
    recorded=Verdict.CONDITIONAL,
)

SAMPLES, DIM, WIDTH, STEP = 12, 3, 6, 0.05
MOVED = 1e-6  # a larger relative change is not round-off


@dataclass(frozen=True)
class Kind:
    """Which network."""

    early: bool
    layers: int
    relu: bool

    def __str__(self) -> str:
        fusion = "early" if self.early else "late"
        layers = "1 layer" if self.layers == 1 else f"{self.layers} layers"
        return f"{fusion}, {layers}, {'ReLU' if self.relu else 'linear'}"


class Fusion:
    """Two modalities through one encoder (early fusion), or through one each (late fusion)."""

    def __init__(self, kind: Kind, generator: torch.Generator) -> None:
        def weight(*shape: int) -> Tensor:
            values = torch.randn(*shape, generator=generator, dtype=torch.float64)
            return values.div(shape[-1] ** 0.5).requires_grad_()

        self.kind = kind
        sizes = [2 * DIM] if kind.early else [DIM, DIM]
        self.encoders = [
            [weight(WIDTH, d if i == 0 else WIDTH) for i in range(kind.layers)] for d in sizes
        ]
        self.joint_heads = [weight(1, WIDTH) for _ in sizes]
        self.uni_heads = [weight(1, WIDTH) for _ in range(2)]

    def encode(self, x: Tensor, which: int) -> Tensor:
        """Output of an encoder."""
        for layer in self.encoders[which]:
            x = x @ layer.T
            if self.kind.relu:
                x = x.relu()
        return x

    def features(self, x: list[Tensor], k: int) -> Tensor:
        """The features of modality k alone."""
        if not self.kind.early:
            return self.encode(x[k], k)
        silent = [values if j == k else torch.zeros_like(values) for j, values in enumerate(x)]
        return self.encode(torch.cat(silent, dim=1), 0)

    def part(self, x: list[Tensor], k: int) -> Tensor:
        """The joint prediction from modality k alone."""
        return self.features(x, k) @ self.joint_heads[self.place(k)].T

    def joint(self, x: list[Tensor]) -> Tensor:
        """The joint prediction."""
        if self.kind.early:
            return self.encode(torch.cat(x, dim=1), 0) @ self.joint_heads[0].T
        return self.part(x, 0) + self.part(x, 1)

    def place(self, k: int) -> int:
        """Index of the encoder, and of the joint head, that modality k runs through."""
        return 0 if self.kind.early else k

    def carriers(self, k: int) -> list[Tensor]:
        """The weights that modality k's part of the joint prediction runs through."""
        return [*self.encoders[self.place(k)], self.joint_heads[self.place(k)]]

    def weights(self) -> list[Tensor]:
        """All weights."""
        layers = [layer for encoder in self.encoders for layer in encoder]
        return [*layers, *self.joint_heads, *self.uni_heads]


def measure(kind: Kind, seed: int) -> tuple[float, float]:
    """Two relative changes in one random network.

    The first: replace modality 1's inputs, and keep the residual. How much does the gradient of
    <residual, prediction> change, by the weights that carry modality 0? The second: take a gradient
    step on modality 0's own loss. How much does modality 1's part of the joint prediction change?
    """
    generator = torch.Generator().manual_seed(seed)
    network = Fusion(kind, generator)

    def draw(features: int) -> Tensor:
        return torch.randn(SAMPLES, features, generator=generator, dtype=torch.float64)

    x = [draw(DIM) for _ in range(2)]
    other = [draw(DIM) for _ in range(2)]
    residual, y = draw(1), draw(1)

    def gradient(inputs: list[Tensor]) -> Tensor:
        value = (residual * network.joint(inputs)).sum()
        return torch.cat([g.ravel() for g in torch.autograd.grad(value, network.carriers(0))])

    here, there = gradient(x), gradient([x[0], other[1]])
    before = network.part(x, 1).detach()
    loss = 0.5 * (y - network.features(x, 0) @ network.uni_heads[0].T).square().mean()
    weights = network.weights()
    slopes = torch.autograd.grad(loss, weights, allow_unused=True)
    with torch.no_grad():
        for weight, slope in zip(weights, slopes, strict=True):
            if slope is not None:
                weight -= STEP * slope
        moved = float((network.part(x, 1) - before).norm() / before.norm())
    return float((there - here).norm() / here.norm()), moved


def check(draws: int) -> Evidence:
    """Both changes over random networks and data: zero for late fusion, not for early fusion."""
    seeds = range(max(draws // 8, 5))
    kinds = [Kind(*parts) for parts in itertools.product((False, True), (1, 2), (False, True))]
    table = {kind: np.array([measure(kind, seed) for seed in seeds]) for kind in kinds}
    late = max(float(rows.max()) for kind, rows in table.items() if not kind.early)
    early = {kind: rows for kind, rows in table.items() if kind.early}
    coupled = min(float(rows[:, 0].min()) for rows in early.values())
    moving = [kind for kind, rows in early.items() if rows[:, 1].min() > MOVED]
    spared = [str(kind) for kind in early if kind not in moving]
    if late != 0 or coupled <= MOVED or not moving:
        verdict = Verdict.REFUTED
    elif spared:
        verdict = Verdict.CONDITIONAL
    else:
        verdict = Verdict.HOLDS
    least = min((float(np.median(early[kind][:, 1])) for kind in moving), default=0)
    words = (
        "When the other modality is replaced at a fixed residual, the gradient does not change in "
        f"late fusion, and changes by at least {coupled:.0%} in early fusion: the decomposition "
        "does fail. But a step on one modality's own loss moves the other's part of the prediction "
        f"only where layers are shared (there by {least:.1%} or more in the median). With a single "
        f"layer ({'; '.join(spared)}) the columns of the encoder are a partition by modality, and "
        "MIMO could still act on it."
    )
    example = Counterexample.shown_by(
        "One linear encoder layer over (x_1, x_2): f_1 leaves the columns of x_2 alone",
        "import numpy as np",
        "r = np.random.default_rng(0)",
        "W, U, x = r.normal(size=(6, 2)), r.normal(size=(1, 6)), np.array([[1.0], [0.0]])",
        "print('gradient of f_1 by the columns of W for x_1 and x_2:', "
        "np.abs(-(1 - U @ W @ x) * U.T @ x.T).max(axis=0))",
    )
    return Evidence(
        verdict=verdict,
        words=words,
        numbers={
            str(kind): {
                "gradient at a fixed residual, median change": float(np.median(rows[:, 0])),
                "other part, median change": float(np.median(rows[:, 1])),
            }
            for kind, rows in table.items()
        },
        counterexample=None if verdict is Verdict.HOLDS else example,
    )
