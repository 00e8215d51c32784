r"""Fusion networks of any depth and fusion layer, and the weights that they start from.

A network has `depth` L layers of weights. Every modality passes `fusion_layer` L_f layers of its
own. Their results are summed and pass the other L - L_f layers, the trunk, together. L_f = 1 is
early fusion, L_f = L is late fusion, and L = L_f = 2 is the toy of :func:`mimo_sim.simulate`.

There are no biases, so an input set to zero contributes nothing. The uni-modal prediction of
modality k comes from a head U_k of its own, which reads what the network computes from x_k alone:

* ``readout="trunk"``: U_k takes the place of the last layer. It reads features L - 1 layers deep,
  with all other inputs set to zero where the modalities share layers.
* ``readout="encoder"``: U_k reads what the modality hands over to the fusion, min(L_f, L - 1)
  layers deep.

The two agree for L_f >= L - 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from mimo_sim._checks import FloatArray, check_choice, check_count, check_positive, shown
from mimo_sim.problem import LateFusionProblem, check_problem
from mimo_sim.theory.deep import check_layers

Activation = Literal["linear", "relu"]
Readout = Literal["trunk", "encoder"]
Start = Literal["gaussian", "aligned"]
Shapes = list[tuple[int, int]]


@dataclass(frozen=True)
class Architecture:
    """A fusion network without biases.

    Parameters
    ----------
    depth : int
        L >= 2, layers of weights from input to output.
    fusion_layer : int
        L_f from 1 to L, layers of its own that each modality passes. 1 is early, L late fusion.
    activation : {"linear", "relu"}
        Between layers.
    readout : {"trunk", "encoder"}
        What uni-modal heads read; :mod:`mimo_sim.dynamics.layered` says how.

    Raises
    ------
    ValueError, TypeError
        If a value is outside its range.
    """

    depth: int = 2
    fusion_layer: int = 2
    activation: Activation = "linear"
    readout: Readout = "trunk"

    def __post_init__(self) -> None:
        check_layers(self.depth, self.fusion_layer)
        check_choice("activation", self.activation, get_args(Activation))
        check_choice("readout", self.readout, get_args(Readout))

    @property
    def uni_layers(self) -> int:
        """Layers between an input and its uni-modal head."""
        return self.depth - 1 if self.readout == "trunk" else min(self.fusion_layer, self.depth - 1)


@dataclass(frozen=True)
class Network:
    """The weights of a fusion network; every layer is an array (out, in).

    `branches[k]` holds the L_f layers of modality k, `trunk` the L - L_f shared layers, and `heads`
    the uni-modal heads U_k.
    """

    branches: list[list[FloatArray]]
    trunk: list[FloatArray]
    heads: list[FloatArray]

    @property
    def widths(self) -> set[int]:
        """Hidden widths: one number where all layers agree."""
        paths = [[*branch, *self.trunk] for branch in self.branches]
        return {len(layer) for path in paths for layer in path[:-1]}

    def stacked(self) -> dict[str, Any]:
        """The same weights with the K modalities in one array (K, out, in) per layer.

        Inputs are padded with zeros to one size. Their weights stay zero in training.
        """
        return {
            "branches": [padded(layers) for layers in zip(*self.branches, strict=True)],
            "trunk": self.trunk,
            "heads": np.stack(self.heads),
        }


def padded(matrices: Sequence[FloatArray]) -> FloatArray:
    """Matrices as one array (number, rows, columns), filled up with zeros."""
    rows, columns = np.max([matrix.shape for matrix in matrices], axis=0)
    filled = np.zeros((len(matrices), rows, columns))
    for place, matrix in zip(filled, matrices, strict=True):
        place[: matrix.shape[0], : matrix.shape[1]] = matrix
    return filled


def check_architecture(architecture: object) -> None:
    """Raise ``TypeError`` unless this is an :class:`Architecture`."""
    if not isinstance(architecture, Architecture):
        raise TypeError(f"`architecture` must be an Architecture. Got {shown(architecture)}.")


def _shapes(
    problem: LateFusionProblem, architecture: Architecture, width: int, init_scale: float
) -> tuple[list[Shapes], Shapes]:
    """Shapes of the layers of every branch, and of the trunk, from checked arguments."""
    check_problem(problem)
    check_architecture(architecture)
    check_count("width", width)
    check_positive("init_scale", init_scale)
    own = architecture.fusion_layer
    outs = [width] * (architecture.depth - 1) + [problem.output_dim]
    branches = [list(zip(outs[:own], [d, *outs[: own - 1]], strict=True)) for d in problem.dims]
    trunk = list(zip(outs[own:], outs[own - 1 : -1], strict=True))
    return branches, trunk


def gaussian_weights(
    problem: LateFusionProblem, architecture: Architecture, width: int, init_scale: float, seed: int
) -> Network:
    """Gaussian weights of variance ``init_scale**2 / width`` in every layer.

    Parameters
    ----------
    problem : LateFusionProblem
        Its sizes are those of the inputs and outputs.
    architecture : Architecture
    width : int
        Hidden width of every layer, >= 1.
    init_scale : float
        u0 > 0.
    seed : int
        Of the random numbers, >= 0.
    """
    branches, trunk = _shapes(problem, architecture, width, init_scale)
    rng = np.random.default_rng(check_count("seed", seed, 0))
    std = init_scale / math.sqrt(width)
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
    seed: int = 0,
) -> Network:
    """Every layer of rank one and norm `init_scale`, the first along C_k.

    The laws of :mod:`mimo_sim.theory.deep` become exact for this start as `init_scale` tends to 0.
    Its arguments are those of :func:`gaussian_weights`; nothing is random, so `seed` has no effect.

    Raises
    ------
    ValueError
        Unless m = 1.
    """
    shapes, trunk = _shapes(problem, architecture, width, init_scale)
    check_count("seed", seed, 0)
    if problem.output_dim != 1:
        raise ValueError(
            f"`start='aligned'` needs scalar targets. Got output_dim={problem.output_dim}."
        )

    def unit(shape: tuple[int, int]) -> FloatArray:
        layer = np.zeros(shape)
        layer[0, 0] = init_scale
        return layer

    branches = [[unit(shape) for shape in each] for each in shapes]
    for branch, cross in zip(branches, problem.sigma_yx, strict=True):
        branch[0][0] = init_scale * cross[0] / max(np.linalg.norm(cross), np.finfo(float).tiny)
    heads = [unit((1, width)) for _ in problem.dims]
    return Network(branches, [unit(shape) for shape in trunk], heads)


def symmetric(network: Network) -> Network:
    """A two-layer network twice as wide, in which each hidden unit has a mirror image.

    As a ReLU network it computes what `network` computes as a linear one.

    Raises
    ------
    ValueError
        Unless `network` has two layers.
    """
    if any(len(branch) + len(network.trunk) != 2 for branch in network.branches):
        raise ValueError("`network` must have two layers.")

    def mirrored(layer: FloatArray) -> FloatArray:
        return np.hstack([layer, -layer])

    branches = []
    for first, *second in network.branches:
        branches.append([np.vstack([first, -first]), *(mirrored(layer) for layer in second)])
    return Network(
        branches,
        [mirrored(layer) for layer in network.trunk],
        [mirrored(head) for head in network.heads],
    )
