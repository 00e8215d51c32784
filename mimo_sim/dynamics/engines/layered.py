r"""Beyond two-layer late fusion: any depth, any fusion layer, ReLU, and a MIMO-like rule there (the open question of early and hybrid fusion).

A network has `depth` L layers of weights, of which every modality passes `fusion_layer` L_f of its own; their results are summed and pass the L - L_f
shared layers. L_f = 1 is early fusion, L_f = L late fusion, L = L_f = 2 the toy of :func:`mimo_sim.simulate`. No biases, so that an input set
to zero says nothing, and the uni-modal prediction of modality k is a head U_k of its own on what the network computes from x_k alone:

* ``readout="trunk"``: U_k replaces the last layer, so it reads features L - 1 layers deep (with all other inputs zero, where modalities share layers);
* ``readout="encoder"``: U_k reads what the modality hands over to the fusion, min(L_f, L - 1) layers deep. The two agree for L_f >= L - 1.

MIMO's objective (:func:`mimo_sim.objective.mimo_objective`) then applies as it is. Training is full-batch gradient descent in torch, float64, all problems,
methods and seeds at once through ``torch.func``. A linear network on second moments is trained on D weighted pseudo-samples with these moments.

Laws near the origin. While predictions are small, late fusion with weight a = lam sigma_k on the uni-modal loss moves as joint training does with the head
:math:`(V_k + a U_k)/\sqrt{1+a^2}` and :math:`\sqrt{1+a^2}` times the rate, at any depth (the other combination of heads stands still). With Gaussian starts
that head is distributed like V_k, so the growth law and the order threshold of two layers, :math:`\lambda^* = \sqrt{(|C_A|/|C_B|)^2-1}`, hold at every depth in
distribution: a deep network spends its time at the origin and does not forget its start, so single runs scatter. The aligned start (every layer
rank one, of size u0, along C_k) has parallel heads, v = u, and for L > 2

.. math:: t_k = \frac{u_0^{2-L}}{|C_k|}\, T_L(\lambda\sigma_k), \qquad T_L(a) = \int_0^\infty \frac{dx}{(1 + 2(1+a)x + (1+a^2)x^2)^{(L-1)/2}},
   \qquad T_L(0) = \frac{1}{L-2},

from :math:`\dot v = |C| w^{L-1}, \dot u = a|C| w^{L-1}, w^2 = v^2 + u^2 - u_0^2`. The order turns at
:math:`(L-2)\,T_L(\lambda) = |C_B|/|C_A|` (mu -> 0), which falls with depth from the two-layer threshold towards :math:`|C_A|/|C_B| - 1`.

Two-layer ReLU networks (any L_f) are linear networks at half the speed where data and start are symmetric under sign change, since a ReLU then passes exactly
half of every gradient.

Source of the joint-training laws: [ZLS] Zhang, Latham, Saxe, ICML 2024 (fusion layer and depth); those of the MIMO-like rule are this project's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
import xarray as xr
from torch.func import grad, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from mimo_sim import theory
from mimo_sim._checks import FloatArray, check_count, check_positive
from mimo_sim._progress import progress_bar
from mimo_sim.dynamics.driver import simulate
from mimo_sim.dynamics.engines.early import default_step_size, simulate_early
from mimo_sim.dynamics.records import limit
from mimo_sim.generators import superficial_preference
from mimo_sim.objective import mimo_objective, running_minimum, sigma_weights
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, Solver, Vanilla, initial_f_star

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
            "branches": [_padded(layers) for layers in zip(*self.branches, strict=True)],
            "trunk": self.trunk,
            "heads": np.stack(self.heads),
        }


def _padded(arrays: Sequence[FloatArray]) -> FloatArray:
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


# ------------------------------------------------------------------------------------------ training


def _layers(weights: list[torch.Tensor], x: torch.Tensor, relu: bool) -> torch.Tensor:
    """The pre-activation (..., n, out) after all layers; layers (..., out, in) broadcast."""
    for i, w in enumerate(weights):
        x = (torch.relu(x) if relu and i else x) @ w.mT
    return x


def _root(moment: FloatArray) -> FloatArray:
    """R with R^T R = moment."""
    values, vectors = np.linalg.eigh(moment)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)


def _data(
    problem: LateFusionProblem, samples: int | None, sample_seed: int
) -> tuple[LateFusionProblem, dict[str, Any]]:
    """What a member is trained on, rows scaled so that a loss is half a sum of squares; `shift` turns losses into excesses over the optima of `problem`."""
    every = range(problem.num_modalities)
    if samples is None:
        root, alone = _root(problem.input_moment), [_root(problem.sigma[k][k]) for k in every]
        return problem, {
            "inputs": _padded([root[:, problem.features(k)] for k in every]),
            "target": root @ problem.joint_map.T,
            "alone": _padded(alone),
            "targets": _padded(
                [x @ best.T for x, best in zip(alone, problem.unimodal_maps, strict=True)]
            ),
            "shift_mm": np.zeros(()),
            "shift_uni": np.zeros(problem.num_modalities),
        }
    parts, y = problem.sample(samples // 2, sample_seed)
    drawn = np.hstack(parts)
    x = (
        drawn @ np.linalg.pinv(_root(drawn.T @ drawn / len(drawn))) @ _root(problem.input_moment)
    )  # second moments of the inputs exactly the problem's
    y = np.vstack([y, -y]) + np.vstack([x - drawn, drawn - x]) @ problem.joint_map.T
    inputs = [np.vstack([x, -x])[:, problem.features(k)] for k in every]
    problem = LateFusionProblem.from_samples(inputs, y, names=problem.names)
    stacked, target = _padded(inputs) / math.sqrt(len(y)), y / math.sqrt(len(y))
    data = {
        "inputs": stacked,
        "target": target,
        "alone": stacked,
        "targets": np.stack([target for _ in every]),
    }
    return problem, {
        **data,
        "shift_mm": np.array(-problem.joint_optimum),
        "shift_uni": -problem.unimodal_optima,
    }


def _stack(trees: Sequence[Any]) -> Any:
    """One tree of tensors with a leading axis over members."""
    first = trees[0]
    if isinstance(first, dict):
        return {key: _stack([tree[key] for tree in trees]) for key in first}
    if isinstance(first, list):
        return [_stack([tree[i] for tree in trees]) for i in range(len(first))]
    return torch.from_numpy(np.stack(trees))


def _leaves(tree: Any) -> list[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        return [tree]
    return [
        leaf
        for branch in (tree.values() if isinstance(tree, dict) else tree)
        for leaf in _leaves(branch)
    ]


def member_objective(
    architecture: Architecture,
) -> Callable[..., tuple[torch.Tensor, tuple[torch.Tensor, ...]]]:
    """The objective of one network as a function ``(weights, data, method)`` of dicts of tensors; the second value is what a step records.

    ``method`` holds ``lam``, ``mu``, ``estimate`` (K,), the estimate of f* minus f*, and ``running``, whether that follows the losses.
    """
    relu, cut = architecture.activation == "relu", architecture.uni_layers

    def objective(
        weights: dict[str, Any], data: dict[str, Any], method: dict[str, Any]
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        fused = _layers(weights["branches"], data["inputs"], relu).sum(0)
        output = _layers(
            weights["trunk"], torch.relu(fused) if relu and weights["trunk"] else fused, relu
        )
        alone = _layers(
            [*[*weights["branches"], *weights["trunk"]][:cut], weights["heads"]],
            data["alone"],
            relu,
        )
        excess_mm = 0.5 * ((data["target"] - output) ** 2).sum() + data["shift_mm"]
        excess = 0.5 * ((data["targets"] - alone) ** 2).sum((1, 2)) + data["shift_uni"]
        estimate = torch.where(
            method["running"],
            running_minimum(method["estimate"], excess.detach()),
            method["estimate"],
        )
        return mimo_objective(excess_mm, excess - estimate, method["lam"], method["mu"]), (
            excess_mm,
            excess,
            estimate,
        )

    return objective


def _observer(
    architecture: Architecture,
) -> Callable[[dict[str, Any], dict[str, Any]], tuple[torch.Tensor, torch.Tensor]]:
    """(K,) Frobenius norms of the first layers, and (K,) sizes of the joint prediction from one modality alone."""
    relu = architecture.activation == "relu"

    def observe(weights: dict[str, Any], data: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        path = [*weights["branches"], *weights["trunk"]]
        return path[0].norm(dim=(1, 2)), _layers(path, data["alone"], relu).norm(dim=(1, 2))

    return observe


def train(
    problems: LateFusionProblem | Sequence[LateFusionProblem],
    methods: Solver | Sequence[Solver],
    architecture: Architecture,
    *,
    step_size: float,
    steps: int,
    width: int = 32,
    init_scale: float = 0.05,
    seeds: int = 1,
    start: Start = "gaussian",
    samples: int | None = None,
    record_every: int = 1,
    initial: Sequence[Network] | None = None,
    progress: bool = False,
) -> xr.Dataset:
    r"""Train every combination of problem, method and seed at once by full-batch gradient descent.

    Parameters
    ----------
    problems : one or more LateFusionProblem
        With equal dims and output_dim.
    methods : one or more of Vanilla() and MIMO(...)
        Reading ``heads="gradient"``; Vanilla leaves the uni-modal heads as they are.
    architecture : Architecture
    step_size : float
        eta > 0, the same for all. A member whose step is too large diverges alone (``diverged``).
    steps, width, seeds, record_every : int
        Gradient steps, hidden width of every layer, number of initialisations 0 ... seeds - 1, distance of recorded steps; each >= 1.
    init_scale : float
        :math:`u_0 > 0` (:func:`gaussian_weights`, :func:`aligned_weights`).
    start : {"gaussian", "aligned"}
    samples : int, optional
        Even, at least twice the number of features; train on this many Gaussian samples, in pairs (x, y), (-x, -y) and with the problem's input moments
        exactly, instead of on its moments. Needed for ReLU. Optima f_k* are then those of linear regression on the samples.
    initial : list of Network, optional
        One per seed; `width`, `init_scale`, `seeds` and `start` are ignored.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    xarray.Dataset
        Dims problem, method, seed, step, modality: ``loss_mm``, ``loss_uni``, ``sigma`` (of MIMO's rule even where lam = 0), ``encoder_norm`` (Frobenius norm
        of the modality's first layer), ``response`` (root mean square of the joint prediction with all other inputs zero, in units of y), ``excess_mm``
        (f_mm minus the linear optimum); and ``diverged`` (problem, method, seed): losses not finite, or beyond 1e8 times those at the origin.

    Raises
    ------
    ValueError, TypeError
        For input outside the ranges above.
    """
    problems = [problems] if isinstance(problems, LateFusionProblem) else list(problems)
    methods = [methods] if isinstance(methods, Vanilla | MIMO) else list(methods)
    if not problems or not all(isinstance(problem, LateFusionProblem) for problem in problems):
        raise TypeError(f"`problems` must be one LateFusionProblem or more. Got {problems!r:.80}.")
    if len({(problem.dims, problem.output_dim, problem.names) for problem in problems}) > 1:
        raise ValueError("`problems` must agree in dims, output_dim and names.")
    if not methods or not all(isinstance(method, Vanilla | MIMO) for method in methods):
        raise TypeError(
            f"`methods` must be mimo_sim.Vanilla() or mimo_sim.MIMO(...), one or more. Got {methods!r:.80}."
        )
    if any(method.heads == "plain" for method in methods):
        raise ValueError(
            "`methods` must not have heads='plain': this engine descends the objective itself."
        )
    if not isinstance(architecture, Architecture):
        raise TypeError(f"`architecture` must be an Architecture. Got {architecture!r:.80}.")
    if start not in get_args(Start):
        raise ValueError(f"`start` must be one of {get_args(Start)}. Got start={start!r}.")
    check_positive("step_size", step_size)
    check_positive("init_scale", init_scale)
    steps, width, seeds, every = (
        check_count(*pair, 1)
        for pair in (
            ("steps", steps),
            ("width", width),
            ("seeds", seeds),
            ("record_every", record_every),
        )
    )
    if samples is None and architecture.activation == "relu":
        raise ValueError(
            "`samples` is needed for activation='relu': a ReLU network sees more than second moments. Got samples=None."
        )
    if samples is not None and check_count("samples", samples, 2 * sum(problems[0].dims)) % 2:
        raise ValueError(f"`samples` must be even (pairs x, -x). Got samples={samples}.")

    prepared = [
        _data(problem, samples, sample_seed) for sample_seed, problem in enumerate(problems)
    ]
    problems = [problem for problem, _ in prepared]
    make = gaussian_weights if start == "gaussian" else aligned_weights
    members = [
        (p, method, s)
        for p in range(len(problems))
        for method in methods
        for s in range(len(initial) if initial is not None else seeds)
    ]
    networks = [
        initial[s] if initial is not None else make(problems[p], architecture, width, init_scale, s)
        for p, _, s in members
    ]
    layers = (architecture.fusion_layer, architecture.depth - architecture.fusion_layer)
    if not networks or any(
        (len(network.branches[0]), len(network.trunk)) != layers for network in networks
    ):
        raise ValueError(
            f"`initial` must hold one Network or more, each with the layers of {architecture}."
        )
    weights = _stack([network.stacked() for network in networks])
    data = _stack([prepared[p][1] for p, _, _ in members])
    rules = _stack(
        [
            {
                "lam": np.array(float(method.lam)),
                "mu": np.array(float(method.mu)),
                "estimate": initial_f_star(method, problems[p].unimodal_optima)
                - problems[p].unimodal_optima,
                "running": np.array(method.f_star == "running_minimum"),
            }
            for p, method, _ in members
        ]
    )
    recorded = np.unique(np.append(np.arange(0, steps, every), steps))
    shape = (len(members), len(recorded))
    records = {
        name: np.empty(shape if name == "excess_mm" else (*shape, problems[0].num_modalities))
        for name in RECORDED
    }
    step: Any = make_fx(vmap(grad(member_objective(architecture), has_aux=True)))(
        weights, data, rules
    )  # traced once: twice as fast, same bits
    step.graph.eliminate_dead_code()
    step.recompile()
    observe, leaves, row = (
        make_fx(vmap(_observer(architecture)))(weights, data),
        _leaves(weights),
        0,
    )
    with progress_bar(steps, progress) as advance, torch.no_grad():
        for t in range(steps + 1):
            slopes, (mm, uni, rules["estimate"]) = step(weights, data, rules)
            if t == recorded[row]:
                for name, values in zip(
                    RECORDED,
                    (mm, uni, uni - rules["estimate"], *observe(weights, data)),
                    strict=True,
                ):
                    records[name][:, row] = values.numpy()
                row += 1
            if t < steps:
                torch._foreach_add_(leaves, _leaves(slopes), alpha=-step_size)
            advance(1)
    axes = (len(problems), len(methods), len(members) // (len(problems) * len(methods)))
    shaped = {name: values.reshape(*axes, *values.shape[1:]) for name, values in records.items()}
    return _labelled(problems, methods, architecture, recorded, shaped).assign_attrs(
        step_size=step_size,
        steps=steps,
        width=width,
        init_scale=init_scale,
        start="given" if initial is not None else start,
        samples=samples or 0,
    )


RECORDED = ("excess_mm", "excess_uni", "gaps", "encoder_norm", "response")


def _labelled(
    problems: list[LateFusionProblem],
    methods: list[Solver],
    architecture: Architecture,
    steps: np.ndarray,
    records: dict[str, FloatArray],
) -> xr.Dataset:
    """The dataset of :func:`train` from arrays (problem, method, seed, step) or (problem, method, seed, step, modality)."""
    over: tuple[str, ...] = ("problem", "method", "seed", "step")
    mu = np.array([method.mu for method in methods])[:, None, None, None]
    best = np.array([problem.joint_optimum for problem in problems])[:, None, None, None]
    optima = np.array([problem.unimodal_optima for problem in problems])[:, None, None, None, :]
    ceiling = np.array([limit(problem) for problem in problems])[:, None, None]
    worst = np.maximum(records["excess_mm"], records["excess_uni"].max(-1)).max(-1)
    each = (*over, "modality")
    return xr.Dataset(
        {
            "loss_mm": (over, best + records["excess_mm"], {"long_name": "multi-modal loss f_mm"}),
            "excess_mm": (
                over,
                records["excess_mm"],
                {"long_name": "f_mm minus the linear optimum"},
            ),
            "loss_uni": (each, optima + records["excess_uni"], {"long_name": "uni-modal loss f_k"}),
            "sigma": (
                each,
                sigma_weights(records["gaps"] / mu, 1.0),
                {"long_name": "weight sigma_k of the smoothed maximum"},
            ),
            "encoder_norm": (
                each,
                records["encoder_norm"],
                {"long_name": "Frobenius norm of the first layer of modality k"},
            ),
            "response": (
                each,
                records["response"],
                {"long_name": "rms of the joint prediction from modality k alone"},
            ),
            "diverged": (over[:3], ~(worst < ceiling)),
        },
        {
            "step": ("step", steps),
            "modality": list(problems[0].names),
            "lam": ("method", [float(method.lam) for method in methods]),
            "mu": ("method", [float(method.mu) for method in methods]),
            "seed": np.arange(worst.shape[2]),
        },
        {
            name: getattr(architecture, name)
            for name in ("depth", "fusion_layer", "activation", "readout")
        },
    )


def learning_steps(
    run: xr.Dataset, fraction: float = 0.5, of: str = "response", converged: float = 0.05
) -> xr.DataArray:
    """First recorded step at which the square of `of` reaches `fraction` of its final value, for every member and modality.

    Parameters
    ----------
    run : Dataset
        From :func:`train` (or :func:`mimo_sim.simulate` with ``of="encoder_norm"``).
    fraction : float
        In (0, 1); 0.5 is a half-time.
    of : {"response", "encoder_norm"}
    converged : float
        NaN is returned for a member that diverged, or whose f_mm still exceeds the linear optimum by more than this part of what it did at first.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"`fraction` must lie in (0, 1). Got fraction={fraction}.")
    squared = run[of] ** 2
    reached = squared >= fraction * squared.isel(step=-1)
    learned = run.excess_mm.isel(step=-1) <= converged * run.excess_mm.isel(step=0)
    steps: xr.DataArray = run.step[reached.argmax("step")].where(learned)
    return steps.drop_vars("step", errors="ignore").rename("learning_steps")


# ------------------------------------------------------------------------------------------ studies

SCALE = 2.0  # of the problem family: C = (1.697, 1.131), two-layer threshold 1.118
Advance = Callable[[], None]


def correlated_preference(rho: float, scale: float = SCALE) -> LateFusionProblem:
    """:func:`mimo_sim.generators.superficial_preference` with its true weights and correlation `rho` in (-1, 1) between the two scalar inputs."""
    if not -1 < rho < 1:
        raise ValueError(f"`rho` must lie in (-1, 1). Got rho={rho}.")
    base = superficial_preference(scale=scale)
    return LateFusionProblem.from_linear_model(
        list(base.joint_map.T), [[scale**2, rho * scale], [rho * scale, 1.0]]
    )


def time_ratios(run: xr.Dataset, fraction: float = 0.1, of: str = "response") -> xr.DataArray:
    """Learning time of the first modality over that of the second (:func:`learning_steps`): below 1 where the first comes first."""
    steps = learning_steps(run, fraction, of)
    return (
        (steps.isel(modality=0) / steps.isel(modality=1))
        .drop_vars("modality", errors="ignore")
        .rename("time_ratio")
    )


def first_crossing(lams: FloatArray, ratios: FloatArray) -> float:
    """The penalty at which the time ratio first passes 1, by linear interpolation of its logarithm; NaN if it does not."""
    logs = np.log(ratios)
    for i in range(len(lams) - 1):
        if logs[i] < 0 <= logs[i + 1]:
            return float(lams[i] + (lams[i + 1] - lams[i]) * logs[i] / (logs[i] - logs[i + 1]))
    return math.nan


def early_study(
    lams: Sequence[float],
    rhos: Sequence[float],
    *,
    mu: float = 0.05,
    init_scale: float = 1e-9,
    on_run: Advance = lambda: None,
) -> xr.Dataset:
    r"""Early against late fusion, two layers, exact engine in the limit of infinite width, over penalty and correlation.

    Returns
    -------
    xarray.Dataset
        ``time_ratio`` (fusion, rho, lam): time at which encoder A reaches a tenth of its final squared norm over that of encoder B; ``share`` and
        ``predicted_share`` (rho, lam): A's part of the early-fusion encoder's squared norm while it is small, measured when the norm has grown a
        thousandfold, and from the leading right singular vector of :func:`mimo_sim.theory.growth_matrix`; ``threshold`` (rho), the
        late-fusion order threshold; and, for rho = 0 and joint training, ``part`` (fusion, point, modality), squared encoder norms over their final values
        against ``time``.
    """
    ratios, share, predicted = (
        np.empty((2, len(rhos), len(lams))),
        np.empty((len(rhos), len(lams))),
        np.empty((len(rhos), len(lams))),
    )

    def both(problem: LateFusionProblem, method: Solver) -> list[xr.Dataset]:
        eta = min(default_step_size(problem, method), theory.default_step_size(problem, method)) * 2
        duration = 2.2 * theory.learning_times(problem, init_scale)
        steps = int(np.ceil(duration[np.isfinite(duration)].max() / eta))
        settings: dict[str, Any] = {
            "step_size": eta,
            "steps": steps,
            "record_every": max(1, steps // 1000),
            "width": math.inf,
            "init_scale": init_scale,
        }
        return [simulate_early(problem, method, **settings), simulate(problem, method, **settings)]

    for i, rho in enumerate(rhos):
        problem = correlated_preference(rho)
        for j, lam in enumerate(lams):
            runs = both(problem, MIMO(lam=lam, mu=mu))
            ratios[:, i, j] = [float(time_ratios(run, of="encoder_norm")) for run in runs]
            squared = runs[0].encoder_norm.values ** 2
            grown = int(np.argmax(squared.sum(1) > 1e6 * squared[0].sum()))
            share[i, j] = squared[grown, 0] / squared[grown].sum()
            leading = np.linalg.svd(theory.growth_matrix(problem, lam, mu))[2][0]
            predicted[i, j] = leading[0] ** 2
            on_run()
    joint = [
        run.isel(step=slice(None, None, 2)) for run in both(correlated_preference(0.0), Vanilla())
    ]
    part = np.array([(run.encoder_norm / run.encoder_norm[-1]).values ** 2 for run in joint])
    return xr.Dataset(
        {
            "time_ratio": (("fusion", "rho", "lam"), ratios),
            "share": (("rho", "lam"), share),
            "predicted_share": (("rho", "lam"), predicted),
            "threshold": (
                "rho",
                [theory.order_threshold(correlated_preference(rho), mu) for rho in rhos],
            ),
            "part": (("fusion", "point", "modality"), part),
        },
        {
            "fusion": ["early", "late"],
            "rho": list(rhos),
            "lam": list(lams),
            "modality": ["A", "B"],
            "time": ("point", joint[0].time.values),
        },
        {"mu": mu, "init_scale": init_scale, "scale": SCALE},
    )


def depth_study(
    lams: Sequence[float],
    rhos: Sequence[float],
    *,
    seeds: int = 5,
    mu: float = 0.05,
    width: int = 16,
    wide: int = 64,
    on_run: Advance = lambda: None,
) -> xr.Dataset:
    r"""Linear networks of depth 3 to 5 and all fusion layers, joint training and the MIMO-like rule.

    Returns
    -------
    xarray.Dataset
        ``joint_ratio`` and ``predicted_joint_ratio`` (fusion_layer, init_scale): t_B/t_A of joint training at L = 3 from the aligned start;
        ``ratio`` (network, seed, lam): t_A/t_B at L = 4 from Gaussian starts, network = "L_f readout"; ``threshold`` (start, depth, seed) and
        ``predicted_threshold`` (start, depth), penalties that reverse the order in late fusion;
        ``rho_ratio`` (rho_fusion_layer, penalty, rho, seed): t_A/t_B at L = 3 from Gaussian starts.
        NaN: not learned in time, no reversal within the penalties, or (Gaussian starts at L = 5, all but the first seed of aligned ones) not run.
    """
    problem, penalties = correlated_preference(0.0), [MIMO(lam=lam, mu=mu) for lam in lams]
    grid = np.asarray(lams, dtype=float)
    scales = (0.2, 0.1, 0.05, 0.025)
    joint, predicted = np.empty((2, len(scales))), np.empty((2, len(scales)))
    for i, own in enumerate((2, 3)):
        architecture = Architecture(3, own)
        starts = [aligned_weights(problem, architecture, 1, scale) for scale in scales]
        run = train(problem, Vanilla(), architecture, step_size=0.05, steps=1200, initial=starts)
        joint[i] = 1 / time_ratios(run)[0, 0]
        predicted[i] = [theory.deep_time_ratio(problem, 3, own, scale) for scale in scales]
        on_run()

    reads: list[tuple[int, Readout]] = [
        (1, "trunk"),
        (1, "encoder"),
        (2, "trunk"),
        (2, "encoder"),
        (3, "trunk"),
        (4, "trunk"),
    ]
    networks = [Architecture(4, own, readout=readout) for own, readout in reads]
    ratios = np.empty((len(networks), seeds, len(lams)))
    for i, network in enumerate(networks):
        run = train(
            problem,
            penalties,
            network,
            step_size=0.02,
            steps=900,
            width=width,
            init_scale=0.3,
            seeds=seeds,
            record_every=2,
        )
        ratios[i] = time_ratios(run)[0].transpose("seed", "method")
        on_run()

    depths, thresholds = (3, 4, 5), np.full((2, 3, seeds), np.nan)
    for i, (depth, scale) in enumerate(zip(depths, (0.03, 0.12, 0.22), strict=True)):
        run = train(
            problem,
            penalties,
            Architecture(depth, depth),
            step_size=0.02,
            steps=2200,
            width=1,
            init_scale=scale,
            start="aligned",
            record_every=2,
        )
        thresholds[0, i, 0] = first_crossing(grid, time_ratios(run)[0, :, 0].values)
        on_run()
    for i, (depth, scale) in enumerate(((3, 0.05), (4, 0.25))):
        run = train(
            problem,
            penalties,
            Architecture(depth, depth),
            step_size=0.02,
            steps=1400,
            width=wide,
            init_scale=scale,
            seeds=seeds,
            record_every=2,
        )
        thresholds[1, i] = [
            first_crossing(grid, each)
            for each in time_ratios(run)[0].transpose("seed", "method").values
        ]
        on_run()

    correlated, chosen = [correlated_preference(rho) for rho in rhos], (0.0, 3.0)
    over_rho = np.empty((2, len(chosen), len(rhos), seeds))
    for i, own in enumerate((2, 3)):
        methods = [MIMO(lam=lam, mu=mu) for lam in chosen]
        run = train(
            correlated,
            methods,
            Architecture(3, own),
            step_size=0.02,
            steps=1300,
            width=width,
            init_scale=0.1,
            seeds=seeds,
            record_every=2,
        )
        over_rho[i] = time_ratios(run).transpose("method", "problem", "seed")
        on_run()
    return xr.Dataset(
        {
            "joint_ratio": (("fusion_layer", "init_scale"), joint),
            "predicted_joint_ratio": (("fusion_layer", "init_scale"), predicted),
            "ratio": (("network", "seed", "lam"), ratios),
            "threshold": (("start", "depth", "seed"), thresholds),
            "predicted_threshold": (
                ("start", "depth"),
                [
                    [theory.deep_order_threshold(problem, depth) for depth in depths],
                    [theory.order_threshold(problem)] * len(depths),
                ],
            ),
            "rho_ratio": (("rho_fusion_layer", "penalty", "rho", "seed"), over_rho),
        },
        {
            "fusion_layer": [2, 3],
            "init_scale": list(scales),
            "network": [f"{network.fusion_layer} {network.readout}" for network in networks],
            "lam": list(lams),
            "start": ["aligned", "gaussian"],
            "depth": list(depths),
            "rho_fusion_layer": [2, 3],
            "penalty": list(chosen),
            "rho": list(rhos),
        },
        {"mu": mu, "width": width, "wide": wide, "seeds": seeds, "scale": SCALE},
    )


def relu_study(
    lams: Sequence[float],
    *,
    seeds: int = 5,
    mu: float = 0.05,
    width: int = 16,
    samples: int = 64,
    on_run: Advance = lambda: None,
) -> xr.Dataset:
    """ReLU against linear networks on the same samples: two-layer early and late fusion, three-layer late fusion.

    Returns
    -------
    xarray.Dataset
        ``ratio`` (network, activation, seed, lam): t_A/t_B; ``speed`` (network, activation, seed): learning time of A in joint training, in steps;
        ``final_excess`` (network, activation, seed, lam): f_mm minus the linear optimum at the end over its value at the start.
    """
    problem = correlated_preference(0.0)
    penalties = [MIMO(lam=lam, mu=mu) for lam in lams]
    shapes = {"early, L = 2": (2, 1, 0.01), "late, L = 2": (2, 2, 0.01), "late, L = 3": (3, 3, 0.2)}
    shape = (len(shapes), 2, seeds, len(lams))
    ratio, excess, speed = np.empty(shape), np.empty(shape), np.empty(shape[:3])
    for i, (depth, own, scale) in enumerate(shapes.values()):
        for j, activation in enumerate(get_args(Activation)):
            network = Architecture(depth, own, activation)
            steps = {2: 900, 3: 1100}[depth] * (1 if activation == "linear" else depth)
            run = train(
                problem,
                penalties,
                network,
                step_size=0.02,
                steps=steps,
                width=width,
                init_scale=scale,
                seeds=seeds,
                samples=samples,
                record_every=2,
            )
            ratio[i, j] = time_ratios(run)[0].transpose("seed", "method")
            excess[i, j] = (run.excess_mm.isel(step=-1) / run.excess_mm.isel(step=0))[0].transpose(
                "seed", "method"
            )
            speed[i, j] = learning_steps(run, 0.1)[0, 0].isel(modality=0)
            on_run()
    over = ("network", "activation", "seed", "lam")
    return xr.Dataset(
        {"ratio": (over, ratio), "final_excess": (over, excess), "speed": (over[:3], speed)},
        {"network": list(shapes), "activation": list(get_args(Activation)), "lam": list(lams)},
        {"mu": mu, "width": width, "seeds": seeds, "samples": samples, "scale": SCALE},
    )
