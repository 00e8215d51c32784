r"""What happens between the losses and the parameter gradients, for MIMO and for the methods it is compared with, on one late-fusion network.

Two MLP encoders, a joint head on the concatenated features, one linear uni-modal head each; random tensors, classification, CPU, one thread. Written here
compactly, without the per-tensor transfers and loops of released code, so the ratios are lower bounds for what those measure.

Sources: MGDA, Sener and Koltun, NeurIPS 2018, with Frank-Wolfe on the Gram matrix; PCGrad, Yu et al., NeurIPS 2020; MMPareto, Wei and Hu, ICML 2024 (per
encoder, two objectives; gamma = 1.5); MIMO, arXiv:2511.06686, Algorithm 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

import mimo_sim as ms
from paper_checks.statistics import quantile_ratio

INPUT, HIDDEN, FEATURES, CLASSES, BATCH = 128, 256, 128, 10, 256
LAM, MU, GAMMA = 10.0, 0.1, 1.5
WARM_UP = 3
FRANK_WOLFE_STEPS, FRANK_WOLFE_TOLERANCE = 250, 1e-5  # as in the public implementations


class Network(nn.Module):
    """Late fusion of two modalities; `forward` returns the joint and the uni-modal losses of a fixed random batch."""

    def __init__(self, seed: int = 0, width: int = HIDDEN) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoders = nn.ModuleList(
                nn.Sequential(
                    nn.Linear(INPUT, width),
                    nn.ReLU(),
                    nn.Linear(width, width),
                    nn.ReLU(),
                    nn.Linear(width, FEATURES),
                )
                for _ in range(2)
            )
            self.joint_head = nn.Linear(2 * FEATURES, CLASSES)
            self.uni_heads = nn.ModuleList(nn.Linear(FEATURES, CLASSES) for _ in range(2))
        self.inputs = [
            torch.randn(BATCH, INPUT, generator=generator) * scale for scale in (1.0, 0.3)
        ]
        self.labels = torch.randint(CLASSES, (BATCH,), generator=generator)

    def forward(self) -> tuple[Tensor, list[Tensor]]:
        """Joint loss and uni-modal losses."""
        features = [encoder(x) for encoder, x in zip(self.encoders, self.inputs, strict=True)]
        uni = [
            nn.functional.cross_entropy(head(z), self.labels)
            for head, z in zip(self.uni_heads, features, strict=True)
        ]
        return nn.functional.cross_entropy(
            self.joint_head(torch.cat(features, dim=1)), self.labels
        ), uni

    @property
    def groups(
        self,
    ) -> tuple[list[list[nn.Parameter]], list[nn.Parameter], list[list[nn.Parameter]]]:
        """Parameters of each encoder, of the joint head, of each uni-modal head."""
        return (
            [list(e.parameters()) for e in self.encoders],
            list(self.joint_head.parameters()),
            [list(h.parameters()) for h in self.uni_heads],
        )


def _flat(gradients: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([g.reshape(-1) for g in gradients])


Step = Callable[
    [Network, Tensor, list[Tensor]], list[Tensor]
]  # losses to the flat gradient of each encoder (heads are differentiated along the way)


def vanilla(network: Network, joint: Tensor, uni: list[Tensor]) -> list[Tensor]:
    """One backward pass through f_mm."""
    encoders, head, _ = network.groups
    gradients = torch.autograd.grad(joint, [*encoders[0], *encoders[1], *head])
    n = len(encoders[0])
    return [_flat(gradients[:n]), _flat(gradients[n : 2 * n])]


def mimo(network: Network, joint: Tensor, uni: list[Tensor]) -> list[Tensor]:
    """One backward pass through f_mm + lam g_mu, as `mimo_sim` forms it."""
    encoders, head, heads = network.groups
    objective = ms.objective.mimo_objective(joint, torch.stack(uni), LAM, MU)
    gradients = torch.autograd.grad(
        objective, [*encoders[0], *encoders[1], *head, *heads[0], *heads[1]]
    )
    n = len(encoders[0])
    return [_flat(gradients[:n]), _flat(gradients[n : 2 * n])]


def separate(
    network: Network, joint: Tensor, uni: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """K + 1 backward passes: the gradients of f_mm and of each f_k by each encoder (that of f_k by the others is zero)."""
    encoders, head, heads = network.groups
    n = len(encoders[0])
    whole = torch.autograd.grad(joint, [*encoders[0], *encoders[1], *head], retain_graph=True)
    own = [
        _flat(torch.autograd.grad(loss, [*e, *h], retain_graph=True)[:n])
        for loss, e, h in zip(uni, encoders, heads, strict=True)
    ]
    return [_flat(whole[:n]), _flat(whole[n : 2 * n])], own


def min_norm(gram: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weights of the shortest vector in the convex hull of gradients with this Gram matrix, by Frank-Wolfe with exact line search."""
    weights = np.full(len(gram), 1 / len(gram))
    for _ in range(FRANK_WOLFE_STEPS):
        slope = gram @ weights
        corner = int(slope.argmin())
        gap = float(weights @ slope - slope[corner])
        if gap <= FRANK_WOLFE_TOLERANCE * max(float(gram.max()), 1e-300):
            break
        toward = -weights
        toward[corner] += 1
        weights = weights + min(gap / max(float(toward @ gram @ toward), 1e-300), 1.0) * toward
    return np.asarray(weights)


def min_norm_pair(u: Tensor, g: Tensor) -> tuple[float, float]:
    """The same for two gradients, in closed form."""
    a, c, e = (float(value) for value in (u @ u, u @ g, g @ g))
    weight = 1.0 if c >= a else 0.0 if c >= e else (e - c) / (a + e - 2 * c)
    return weight, 1 - weight


def mgda(network: Network, joint: Tensor, uni: list[Tensor]) -> list[Tensor]:
    """Shortest convex combination of the K + 1 gradients by all encoders."""
    whole, own = separate(network, joint, uni)
    zeros = [torch.zeros_like(g) for g in own]
    rows = torch.stack(
        [torch.cat(whole), torch.cat([own[0], zeros[1]]), torch.cat([zeros[0], own[1]])]
    )
    weights = min_norm((rows @ rows.T).double().numpy())
    combined = torch.as_tensor(weights, dtype=rows.dtype) @ rows
    return [combined[: len(own[0])], combined[len(own[0]) :]]


def pcgrad(network: Network, joint: Tensor, uni: list[Tensor]) -> list[Tensor]:
    """Per encoder, each of two conflicting gradients loses its part along the other; their sum."""
    result = []
    for u, g in zip(*separate(network, joint, uni), strict=True):
        c = float(u @ g)
        result.append((1 - c / float(u @ u)) * u + (1 - c / float(g @ g)) * g if c < 0 else u + g)
    return result


def mmpareto(network: Network, joint: Tensor, uni: list[Tensor]) -> list[Tensor]:
    """Per encoder, the sum, or the min-norm combination where the two conflict, rescaled to the sum's length; times gamma."""
    result = []
    for u, g in zip(*separate(network, joint, uni), strict=True):
        total = u + g
        weights = (0.5, 0.5) if float(u @ g) > 0 else min_norm_pair(u, g)
        direction = 2 * weights[0] * u + 2 * weights[1] * g
        scale = max(float(total.norm()) / max(float(direction.norm()), 1e-30), 1.0)
        result.append(GAMMA * scale * direction)
    return result


METHODS: dict[str, Step] = {
    "vanilla": vanilla,
    "MIMO": mimo,
    "MGDA": mgda,
    "PCGrad": pcgrad,
    "MMPareto": mmpareto,
}


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on a single thread, and back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class Times:
    """Seconds from losses to gradients, (rounds,) per method; every method takes its turn in every round."""

    seconds: dict[str, npt.NDArray[np.float64]]

    def ratio(self, name: str, to: str = "vanilla") -> tuple[float, float, float]:
        """Lower quartile over lower quartile, with its 95% interval."""
        return quantile_ratio(self.seconds[name], self.seconds[to])


def measure(rounds: int) -> Times:
    """Interleaved and rotated; the first rounds warm up and are left out."""
    network = Network()
    taken: dict[str, list[float]] = {name: [] for name in METHODS}
    names = list(METHODS)
    with one_thread():
        for turn in range(rounds + WARM_UP):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                joint, uni = network()
                start = time.thread_time()
                METHODS[name](network, joint, uni)
                taken[name].append(time.thread_time() - start)
    return Times({name: np.array(values[WARM_UP:]) for name, values in taken.items()})


def multiply_adds(width: int = HIDDEN) -> tuple[int, int]:
    """Of the backward pass per sample: through f_mm, and what the uni-modal heads add (two products per layer, but one for the first)."""
    encoder = INPUT * width + 2 * width * width + 2 * width * FEATURES
    return 2 * encoder + 2 * 2 * FEATURES * CLASSES, 2 * 2 * FEATURES * CLASSES
