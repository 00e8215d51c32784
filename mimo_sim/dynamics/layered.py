r"""Beyond two-layer late fusion: any depth, any fusion layer, ReLU, and a MIMO-like rule there (the open question of early and hybrid fusion).

A network has `depth` L layers of weights, of which every modality passes `fusion_layer` L_f of its own; their results are summed and pass the L - L_f
shared layers. L_f = 1 is early fusion, L_f = L late fusion, L = L_f = 2 the toy of :func:`mimo_sim.simulate`. No biases, so that an input set
to zero says nothing, and the uni-modal prediction of modality k is a head U_k of its own on what the network computes from x_k alone:

* ``readout="trunk"``: U_k replaces the last layer, so it reads features L - 1 layers deep (with all other inputs zero, where modalities share layers);
* ``readout="encoder"``: U_k reads what the modality hands over to the fusion, min(L_f, L - 1) layers deep. The two agree for L_f >= L - 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from mimo_sim._checks import FloatArray, check_count
from mimo_sim.problem import LateFusionProblem

Activation = Literal["linear", "relu"]
Readout = Literal["trunk", "encoder"]
Start = Literal["gaussian", "aligned"]


@dataclass(frozen=True)
class Architecture:
    """A fusion network without biases.

    Parameters
    ----------
    depth : int
        L >= 2, layers of weights from input to output.
    fusion_layer : int
        L_f in 1 ... L, layers of its own that each modality passes; 1 is early, L late fusion.
    activation : {"linear", "relu"}
        Between layers.
    readout : {"trunk", "encoder"}
        Where uni-modal heads read (see the module).
    """

    depth: int = 2
    fusion_layer: int = 2
    activation: Activation = "linear"
    readout: Readout = "trunk"

    def __post_init__(self) -> None:
        check_count("depth", self.depth, 2)
        if check_count("fusion_layer", self.fusion_layer, 1) > self.depth:
            raise ValueError(
                f"`fusion_layer` must be at most depth={self.depth}. Got fusion_layer={self.fusion_layer}."
            )
        for name, allowed in (("activation", get_args(Activation)), ("readout", get_args(Readout))):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"`{name}` must be one of {allowed}. Got {name}={getattr(self, name)!r}."
                )

    @property
    def uni_layers(self) -> int:
        """Layers between an input and its uni-modal head."""
        return self.depth - 1 if self.readout == "trunk" else min(self.fusion_layer, self.depth - 1)


@dataclass(frozen=True)
class Network:
    """Weights: `branches[k]` the L_f layers of modality k, `trunk` the shared ones, `heads` the U_k; each layer (out, in)."""

    branches: list[list[FloatArray]]
    trunk: list[FloatArray]
    heads: list[FloatArray]

    def stacked(self) -> dict[str, Any]:
        """The layers of the K branches as one array (K, out, in) per layer, inputs padded with zeros to one size (which stay zero), and the heads as one."""
        return {
            "branches": [padded(layers) for layers in zip(*self.branches, strict=True)],
            "trunk": self.trunk,
            "heads": np.stack(self.heads),
        }


def padded(arrays: Sequence[FloatArray]) -> FloatArray:
    """Matrices stacked (K, rows, columns), filled up with zeros."""
    shape = np.max([a.shape for a in arrays], axis=0)
    return np.stack(
        [np.pad(a, [(0, n - own) for n, own in zip(shape, a.shape, strict=True)]) for a in arrays]
    )


def _shapes(
    problem: LateFusionProblem, architecture: Architecture, width: int
) -> tuple[list[list[tuple[int, int]]], list[tuple[int, int]]]:
    """Shapes of every branch and of the trunk."""
    L, own = architecture.depth, architecture.fusion_layer
    outs = [width] * (L - 1) + [problem.output_dim]
    branches = [list(zip(outs[:own], [d, *outs[: own - 1]], strict=True)) for d in problem.dims]
    return branches, list(zip(outs[own:], outs[own - 1 : L - 1], strict=True))


def gaussian_weights(
    problem: LateFusionProblem, architecture: Architecture, width: int, init_scale: float, seed: int
) -> Network:
    """Gaussian weights of variance ``init_scale**2 / width`` in every layer."""
    rng, std = np.random.default_rng(seed), init_scale / math.sqrt(width)
    branches, trunk = _shapes(problem, architecture, width)
    return Network(
        [[std * rng.standard_normal(shape) for shape in shapes] for shapes in branches],
        [std * rng.standard_normal(shape) for shape in trunk],
        [std * rng.standard_normal((problem.output_dim, width)) for _ in problem.dims],
    )


def aligned_weights(
    problem: LateFusionProblem,
    architecture: Architecture,
    width: int,
    init_scale: float,
    _: int = 0,
) -> Network:
    """Every layer of rank one and norm `init_scale`, the first along C_k; m = 1. The start for which the laws of this module are exact as it tends to 0."""
    if problem.output_dim != 1:
        raise ValueError(
            f"`start='aligned'` needs scalar targets. Got output_dim={problem.output_dim}."
        )

    def unit(shape: tuple[int, int]) -> FloatArray:
        layer = np.zeros(shape)
        layer[0, 0] = init_scale
        return layer

    shapes, trunk = _shapes(problem, architecture, width)
    branches = [[unit(shape) for shape in each] for each in shapes]
    for branch, cross in zip(branches, problem.sigma_yx, strict=True):
        branch[0][0] = init_scale * cross[0] / max(np.linalg.norm(cross), np.finfo(float).tiny)
    return Network(
        branches, [unit(shape) for shape in trunk], [unit((1, width)) for _ in problem.dims]
    )


def symmetric(network: Network) -> Network:
    """A two-layer network twice as wide, each hidden unit with its mirror image: as a ReLU network it computes what `network` does as a linear one."""
    late = not network.trunk
    first = [np.vstack([branch[0], -branch[0]]) for branch in network.branches]
    branches = (
        [
            [w, np.hstack([branch[1], -branch[1]])]
            for w, branch in zip(first, network.branches, strict=True)
        ]
        if late
        else [[w] for w in first]
    )
    if [len(branch) + len(network.trunk) for branch in network.branches] != [2] * len(
        network.branches
    ):
        raise ValueError("`network` must have two layers.")
    return Network(
        branches,
        [np.hstack([w, -w]) for w in network.trunk],
        [np.hstack([u, -u]) for u in network.heads],
    )
