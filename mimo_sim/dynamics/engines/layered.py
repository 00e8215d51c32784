r"""Gradient descent on networks of any depth and fusion layer (:mod:`mimo_sim.dynamics.layered`), in torch.

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
from typing import Any, get_args

import numpy as np
import torch
import xarray as xr
from torch.func import grad, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from mimo_sim._checks import FloatArray, check_count, check_positive
from mimo_sim._progress import progress_bar
from mimo_sim.dynamics.layered import (
    Architecture,
    Network,
    Start,
    aligned_weights,
    gaussian_weights,
    padded,
)
from mimo_sim.dynamics.records import limit
from mimo_sim.objective import mimo_objective, running_minimum, sigma_weights
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, Solver, Vanilla, initial_f_star

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
            "inputs": padded([root[:, problem.features(k)] for k in every]),
            "target": root @ problem.joint_map.T,
            "alone": padded(alone),
            "targets": padded(
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
    stacked, target = padded(inputs) / math.sqrt(len(y)), y / math.sqrt(len(y))
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


def simulate_layered(
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
    """The dataset of :func:`simulate_layered` from arrays (problem, method, seed, step) or (problem, method, seed, step, modality)."""
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
        From :func:`simulate_layered` (or :func:`mimo_sim.simulate` with ``of="encoder_norm"``).
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
