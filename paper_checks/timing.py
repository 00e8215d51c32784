"""What happens between the losses and the gradients, for MIMO and the methods it is compared with.

All methods run on one late-fusion network: two MLP encoders, a joint head on the concatenated
features, and one linear uni-modal head each. The data are random tensors for classification, and
torch uses one thread of the CPU. The methods are written compactly here. Released code also moves
data and loops over tensors. So the ratios are lower bounds for what released code takes.

Sources: MGDA, Sener and Koltun, NeurIPS 2018, with Frank-Wolfe on the Gram matrix; PCGrad, Yu et
al., NeurIPS 2020; MMPareto, Wei and Hu, ICML 2024 (per encoder, two objectives; gamma = 1.5);
MIMO, arXiv:2511.06686, Algorithm 1.
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
from torch.nn.functional import cross_entropy

import mimo_sim as ms
from paper_checks.statistics import quantile_ratio

INPUT, HIDDEN, FEATURES, CLASSES, BATCH = 128, 256, 128, 10, 256
LAM, MU, GAMMA = 10.0, 0.1, 1.5
WARM_UP = 3
FRANK_WOLFE_STEPS, FRANK_WOLFE_TOLERANCE = 250, 1e-5  # as in the public implementations


class Network(nn.Module):
    """Late fusion of two modalities, with a fixed random batch."""

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
        """The joint loss, and the uni-modal losses."""
        features = [encoder(x) for encoder, x in zip(self.encoders, self.inputs, strict=True)]
        joint = cross_entropy(self.joint_head(torch.cat(features, dim=1)), self.labels)
        uni = [
            cross_entropy(head(z), self.labels)
            for head, z in zip(self.uni_heads, features, strict=True)
        ]
        return joint, uni


def _parameters(module: nn.Module) -> list[nn.Parameter]:
    return list(module.parameters())


def _flat(gradients: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([gradient.reshape(-1) for gradient in gradients])


# A method: from the losses to the flat gradient of each encoder. Heads get their gradients too.
Step = Callable[[Network, Tensor, list[Tensor]], list[Tensor]]


def _backward(network: Network, loss: Tensor, heads: list[nn.Parameter]) -> list[Tensor]:
    """One backward pass through both encoders and these heads."""
    encoders = [_parameters(encoder) for encoder in network.encoders]
    gradients = torch.autograd.grad(loss, [*encoders[0], *encoders[1], *heads])
    n = len(encoders[0])
    return [_flat(gradients[:n]), _flat(gradients[n : 2 * n])]


def vanilla(network: Network, joint: Tensor, uni: list[Tensor]) -> list[Tensor]:
    """One backward pass through f_mm."""
    return _backward(network, joint, _parameters(network.joint_head))


def mimo(network: Network, joint: Tensor, uni: list[Tensor]) -> list[Tensor]:
    """One backward pass through f_mm + lam g_mu, as `mimo_sim` forms it."""
    heads = _parameters(network.joint_head) + _parameters(network.uni_heads)
    objective = ms.objective.mimo_objective(joint, torch.stack(uni), LAM, MU)
    return _backward(network, objective, heads)


def separate(
    network: Network, joint: Tensor, uni: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """K + 1 backward passes: the gradients of f_mm, and of each f_k, by each encoder.

    The gradient of f_k by the other encoder is zero.
    """
    encoders = [_parameters(encoder) for encoder in network.encoders]
    heads = [_parameters(head) for head in network.uni_heads]
    joint_head = _parameters(network.joint_head)
    n = len(encoders[0])
    whole = torch.autograd.grad(joint, [*encoders[0], *encoders[1], *joint_head], retain_graph=True)
    own = [
        _flat(torch.autograd.grad(loss, [*encoder, *head], retain_graph=True)[:n])
        for loss, encoder, head in zip(uni, encoders, heads, strict=True)
    ]
    return [_flat(whole[:n]), _flat(whole[n : 2 * n])], own


def min_norm(gram: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weights of the shortest vector in the convex hull of gradients with this Gram matrix.

    By Frank-Wolfe, with exact line search.
    """
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
    if c >= a:
        return 1.0, 0.0
    if c >= e:
        return 0.0, 1.0
    weight = (e - c) / (a + e - 2 * c)
    return weight, 1 - weight


def mgda(network: Network, joint: Tensor, uni: list[Tensor]) -> list[Tensor]:
    """The shortest convex combination of the K + 1 gradients by all encoders."""
    whole, own = separate(network, joint, uni)
    zeros = [torch.zeros_like(gradient) for gradient in own]
    rows = torch.stack(
        [torch.cat(whole), torch.cat([own[0], zeros[1]]), torch.cat([zeros[0], own[1]])]
    )
    weights = min_norm((rows @ rows.T).double().numpy())
    combined = torch.as_tensor(weights, dtype=rows.dtype) @ rows
    return [combined[: len(own[0])], combined[len(own[0]) :]]


def pcgrad(network: Network, joint: Tensor, uni: list[Tensor]) -> list[Tensor]:
    """Per encoder, the sum of both gradients.

    Where they conflict, each first loses its part along the other.
    """
    result = []
    for u, g in zip(*separate(network, joint, uni), strict=True):
        c = float(u @ g)
        if c < 0:
            result.append((1 - c / float(u @ u)) * u + (1 - c / float(g @ g)) * g)
        else:
            result.append(u + g)
    return result


def mmpareto(network: Network, joint: Tensor, uni: list[Tensor]) -> list[Tensor]:
    """Per encoder, the sum of both gradients, times gamma.

    Where they conflict, their shortest convex combination, made as long as the sum.
    """
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
    """Torch uses a single thread while this context is open."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class Times:
    """Seconds from losses to gradients, (rounds,) for each method.

    In every round every method takes its turn.
    """

    seconds: dict[str, npt.NDArray[np.float64]]

    def ratio(self, name: str, to: str = "vanilla") -> tuple[float, float, float]:
        """Lower quartile of a method over that of another, with its 95% interval."""
        return quantile_ratio(self.seconds[name], self.seconds[to])


def measure(rounds: int) -> Times:
    """Time all methods in turn, in another order in every round.

    A few more rounds before them warm up, and are left out.
    """
    network = Network()
    taken: dict[str, list[float]] = {name: [] for name in METHODS}
    names = list(METHODS)
    with one_thread():
        for turn in range(rounds + WARM_UP):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                joint, uni = network()
                start = time.thread_time()
                METHODS[name](network, joint, uni)
                taken[name].append(time.thread_time() - start)
    return Times({name: np.array(values[WARM_UP:]) for name, values in taken.items()})


def multiply_adds(width: int = HIDDEN) -> tuple[int, int]:
    """Multiply-adds of a backward pass per sample: through f_mm, and more for the uni-modal heads.

    A layer takes two products, the first layer one.
    """
    encoder = INPUT * width + 2 * width * width + 2 * width * FEATURES
    return 2 * encoder + 2 * 2 * FEATURES * CLASSES, 2 * 2 * FEATURES * CLASSES
