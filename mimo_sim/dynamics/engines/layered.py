r"""Gradient descent on fusion networks of any depth and fusion layer, in torch.

The networks are those of :mod:`mimo_sim.dynamics.layered`. They are trained by full-batch gradient
descent in float64, on MIMO's objective as it is. ``torch.func`` trains all problems, methods and
seeds at once.

Near the origin, while predictions are small, late fusion of any depth follows a simple rule. Let
a = lam sigma_k be the weight on the uni-modal loss. Then modality k moves as in joint training, but
with the head :math:`(V_k + a U_k)/\sqrt{1+a^2}`, and :math:`\sqrt{1+a^2}` times as fast. The other
combination of the two heads stands still. From a Gaussian start this head has the same distribution
as V_k. So over many starts, the two-layer order threshold
:math:`\lambda^* = \sqrt{(|C_A|/|C_B|)^2-1}` holds at every depth (in distribution). Single runs
scatter: a deep network spends its time near the origin and does not forget its start. For the
aligned start see :func:`mimo_sim.theory.deep_order_threshold`.

Let data and start be symmetric under a change of sign. Then a ReLU passes exactly half of every
gradient, so a two-layer ReLU network is a linear network at half the speed.

These rules are this project's own. For joint training see [ZLS] Zhang, Latham, Saxe, ICML 2024.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import torch
import xarray as xr
from torch.func import grad, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from mimo_sim._checks import (
    FloatArray,
    check_choice,
    check_count,
    check_flag,
    check_objects,
    check_positive,
    check_step_size,
    check_within,
    is_sequence,
)
from mimo_sim._progress import progress_bar
from mimo_sim.dynamics.engines._members import (
    Tree,
    leaves,
    member_objective,
    member_observer,
    stacked,
    training_data,
)
from mimo_sim.dynamics.layered import (
    Architecture,
    Network,
    Start,
    aligned_weights,
    check_architecture,
    gaussian_weights,
)
from mimo_sim.dynamics.records import limit
from mimo_sim.objective import sigma_weights
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, Solver, Vanilla, initial_f_star

MOST_SEEDS = 1_000_000  # their weights are all in memory
RECORDED = ("excess_mm", "excess_uni", "gaps", "encoder_norm", "response")


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
        With the same dims, output_dim and names.
    methods : one or more of Vanilla() and MIMO(...)
        With ``heads="gradient"``. Vanilla leaves the uni-modal heads as they are.
    architecture : Architecture
        Of all networks.
    step_size : float
        eta > 0, the same for all. Where it is too large only that member diverges (``diverged``).
    steps : int
        Number of gradient steps, >= 1.
    width : int
        Hidden width of every layer, >= 1.
    init_scale : float
        :math:`u_0 > 0` (:func:`.layered.gaussian_weights`, :func:`.layered.aligned_weights`).
    seeds : int
        Number of initialisations, 0 ... seeds - 1; >= 1.
    start : {"gaussian", "aligned"}
        Kind of initial weights.
    samples : int, optional
        Train on this many Gaussian samples instead of on the moments of the problem: an even
        number, at least twice the number of features. They come in pairs (x, y), (-x, -y), and
        their inputs have exactly the problem's moments. The optima f_k* are then those of linear
        regression on the samples. ReLU networks need samples.
    record_every : int
        Record step 0, then every `record_every` steps, and the last step.
    initial : list of Network, optional
        Initial weights; `width`, `init_scale`, `seeds` and `start` are then ignored.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    xarray.Dataset
        Dims problem, method, seed, step, modality.

        * ``loss_mm``, and ``excess_mm``, f_mm minus its linear optimum;
        * ``loss_uni``, and ``sigma``, the weights of MIMO's rule even where lam = 0;
        * ``encoder_norm``, Frobenius norm of the first layer of a modality;
        * ``response``, root mean square of the joint prediction with all other inputs zero, in
          units of y;
        * ``diverged`` (problem, method, seed): are losses not finite, or beyond 1e8 times those of
          the zero network?

        With `initial` the dimension seed counts these networks and has no coordinate. The
        attribute ``width`` is then theirs, NaN where their layers differ, and ``init_scale`` is
        NaN.

    Raises
    ------
    ValueError, TypeError
        For input outside the ranges above.
    """
    solvers = "mimo_sim.Vanilla() or mimo_sim.MIMO(...)"
    problems = check_objects("problems", problems, LateFusionProblem, "a LateFusionProblem")
    methods = check_objects("methods", methods, (Vanilla, MIMO), solvers)
    if initial is not None and not (is_sequence(initial) and len(initial) == 0):
        initial = check_objects("initial", initial, Network, "a Network")
    _check(problems, methods, architecture, start, samples)
    check_flag("progress", progress)
    check_step_size("step_size", step_size)
    check_positive("init_scale", init_scale)
    steps = check_count("steps", steps, 1)
    width = check_count("width", width, 1)
    seeds = check_count("seeds", seeds, 1, MOST_SEEDS)
    every = check_count("record_every", record_every, 1)

    prepared = [training_data(problem, samples, seed) for seed, problem in enumerate(problems)]
    problems = [problem for problem, _ in prepared]
    starts = range(len(initial) if initial is not None else seeds)
    weights_of = gaussian_weights if start == "gaussian" else aligned_weights
    networks, data, rules = [], [], []
    for p, problem in enumerate(problems):
        for method in methods:
            for seed in starts:
                if initial is not None:
                    networks.append(initial[seed])
                else:
                    networks.append(weights_of(problem, architecture, width, init_scale, seed))
                data.append(prepared[p][1])
                rules.append(_rule(method, problem))
    _check_layers(networks, architecture)
    recorded = np.unique(np.append(np.arange(0, steps, every), steps))
    records = _descend(
        architecture,
        stacked([network.stacked() for network in networks]),
        stacked(data),
        stacked(rules),
        step_size,
        recorded,
        progress,
    )
    axes = (len(problems), len(methods), len(starts))
    shaped = {name: values.reshape(*axes, *values.shape[1:]) for name, values in records.items()}
    run = _labelled(problems, methods, architecture, recorded, shaped)
    settings: dict[str, Any] = {"step_size": step_size, "steps": steps}
    if initial is None:
        run = run.assign_coords(seed=np.arange(seeds))
        settings |= {"width": width, "init_scale": init_scale, "start": start}
    else:
        widths = set[int]().union(*(network.widths for network in initial))
        settings["width"] = widths.pop() if len(widths) == 1 else math.nan
        settings |= {"init_scale": math.nan, "start": "given"}
    return run.assign_attrs(settings, samples=samples or 0)


def _check(
    problems: list[LateFusionProblem],
    methods: list[Solver],
    architecture: Architecture,
    start: str,
    samples: int | None,
) -> None:
    """Refuse what :func:`simulate_layered` cannot train."""
    if len({(problem.dims, problem.output_dim, problem.names) for problem in problems}) > 1:
        raise ValueError("`problems` must agree in dims, output_dim and names.")
    if any(method.heads == "plain" for method in methods):
        raise ValueError(
            "`methods` must not have heads='plain': this engine descends the objective itself."
        )
    check_architecture(architecture)
    check_choice("start", start, get_args(Start))
    if samples is None and architecture.activation == "relu":
        raise ValueError(
            "`samples` is needed for activation='relu': a ReLU network sees more than second "
            "moments. Got samples=None."
        )
    if samples is not None and check_count("samples", samples, 2 * sum(problems[0].dims)) % 2:
        raise ValueError(f"`samples` must be even (pairs x, -x). Got samples={samples}.")


def _check_layers(networks: list[Network], architecture: Architecture) -> None:
    wanted = (architecture.fusion_layer, architecture.depth - architecture.fusion_layer)
    layers = [(len(network.branches[0]), len(network.trunk)) for network in networks]
    if not networks or any(found != wanted for found in layers):
        raise ValueError(
            f"`initial` must hold one Network or more, each with the layers of {architecture}."
        )


def _rule(method: Solver, problem: LateFusionProblem) -> Tree:
    """A method as :func:`.member_objective` takes it."""
    optima = problem.unimodal_optima
    return {
        "lam": np.array(float(method.lam)),
        "mu": np.array(float(method.mu)),
        "estimate": initial_f_star(method, optima) - optima,
        "running": np.array(method.f_star == "running_minimum"),
    }


def _descend(
    architecture: Architecture,
    weights: Tree,
    data: Tree,
    rules: Tree,
    step_size: float,
    recorded: np.ndarray,
    progress: bool,
) -> dict[str, FloatArray]:
    """Train all members in place, to the last recorded step.

    Returns arrays (members, steps), or (members, steps, K), with the names :data:`RECORDED`.
    """
    last = int(recorded[-1])
    shape = (len(rules["lam"]), len(recorded))
    modalities = rules["estimate"].shape[1]
    records = {
        name: np.empty(shape if name == "excess_mm" else (*shape, modalities)) for name in RECORDED
    }
    # Each function is traced once: twice as fast, with the same bits.
    step: Any = make_fx(vmap(grad(member_objective(architecture), has_aux=True)))(
        weights, data, rules
    )
    step.graph.eliminate_dead_code()
    step.recompile()
    observe = make_fx(vmap(member_observer(architecture)))(weights, data)
    trained, row = leaves(weights), 0
    with progress_bar(last, progress) as advance, torch.no_grad():
        for t in range(last + 1):
            slopes, (excess_mm, excess, rules["estimate"]) = step(weights, data, rules)
            if t == recorded[row]:
                gaps = excess - rules["estimate"]
                seen = (excess_mm, excess, gaps, *observe(weights, data))
                for name, values in zip(RECORDED, seen, strict=True):
                    records[name][:, row] = values.numpy()
                row += 1
            if t < last:
                torch._foreach_add_(trained, leaves(slopes), alpha=-step_size)
            advance(1)
    return records


def _labelled(
    problems: list[LateFusionProblem],
    methods: list[Solver],
    architecture: Architecture,
    steps: np.ndarray,
    records: dict[str, FloatArray],
) -> xr.Dataset:
    """The dataset of :func:`simulate_layered` from arrays (problem, method, seed, step, ...)."""
    over = ("problem", "method", "seed", "step")
    each = (*over, "modality")
    excess_mm, excess_uni = records["excess_mm"], records["excess_uni"]
    mu = np.array([method.mu for method in methods])[:, None, None, None]
    best = np.array([problem.joint_optimum for problem in problems])[:, None, None, None]
    optima = np.array([problem.unimodal_optima for problem in problems])[:, None, None, None, :]
    ceiling = np.array([limit(problem) for problem in problems])[:, None, None]
    worst = np.maximum(excess_mm, excess_uni.max(-1)).max(-1)
    relative = records["gaps"] / mu
    going = np.isfinite(relative).all(-1, keepdims=True)  # sigma is NaN once a member blew up
    sigma = np.where(going, sigma_weights(np.where(going, relative, 0.0), 1.0), np.nan)

    def named(dims: tuple[str, ...], values: FloatArray, long_name: str) -> tuple[Any, ...]:
        return dims, values, {"long_name": long_name}

    norm_name = "Frobenius norm of the first layer of modality k"
    response_name = "rms of the joint prediction from modality k alone"
    return xr.Dataset(
        {
            "loss_mm": named(over, best + excess_mm, "multi-modal loss f_mm"),
            "excess_mm": named(over, excess_mm, "f_mm minus the linear optimum"),
            "loss_uni": named(each, optima + excess_uni, "uni-modal loss f_k"),
            "sigma": named(each, sigma, "weight sigma_k of the smoothed maximum"),
            "encoder_norm": named(each, records["encoder_norm"], norm_name),
            "response": named(each, records["response"], response_name),
            "diverged": (over[:3], ~(worst < ceiling)),
        },
        {
            "step": ("step", steps),
            "modality": list(problems[0].names),
            "lam": ("method", [float(method.lam) for method in methods]),
            "mu": ("method", [float(method.mu) for method in methods]),
        },
        {
            name: getattr(architecture, name)
            for name in ("depth", "fusion_layer", "activation", "readout")
        },
    )


def learning_steps(
    run: xr.Dataset, fraction: float = 0.5, of: str = "response", converged: float = 0.05
) -> xr.DataArray:
    """First recorded step at which the square of `of` reaches a fraction of its final value.

    Parameters
    ----------
    run : Dataset
        From :func:`simulate_layered`, or from :func:`mimo_sim.simulate` with ``of="encoder_norm"``.
    fraction : float
        In (0, 1); 0.5 is a half-time.
    of : {"response", "encoder_norm"}
        What is measured.
    converged : float
        A member has learned if the excess of f_mm over the linear optimum has fallen to this
        fraction of its first value, or below.

    Returns
    -------
    DataArray
        In steps, for every member and modality; NaN for a member that has not learned.

    Raises
    ------
    ValueError
        If `fraction` is outside its range.
    """
    check_within("fraction", fraction, 0, 1)
    squared = run[of] ** 2
    reached = squared >= fraction * squared.isel(step=-1)
    learned = run.excess_mm.isel(step=-1) <= converged * run.excess_mm.isel(step=0)
    steps: xr.DataArray = run.step[reached.argmax("step")].where(learned)
    return steps.drop_vars("step", errors="ignore").rename("learning_steps")
