"""`simulate`: one run of the two-layer toy, checked, trained by an engine, and labelled."""

from __future__ import annotations

import importlib
import json
import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from mimo_sim import theory
from mimo_sim._checks import (
    check_choice,
    check_count,
    check_flag,
    check_positive,
    check_step_size,
    check_width,
)
from mimo_sim._extras import explained
from mimo_sim.dynamics.batches import Batches, check_batches, check_decay, check_use_of_decay
from mimo_sim.dynamics.records import (
    MANY_FLIPS,
    Options,
    Records,
    check_momentum,
    recorded_steps,
)
from mimo_sim.dynamics.start import Weights, checked_weights, norm_squared, random_weights
from mimo_sim.dynamics.trajectory import arguments, build
from mimo_sim.errors import ChatteringWarning, DivergenceError
from mimo_sim.problem import LateFusionProblem, check_problem
from mimo_sim.rules import Rule
from mimo_sim.solvers import MIMO, AnySolver, check_solver

if TYPE_CHECKING:
    import xarray as xr

ENGINES = {
    "gram": "mimo_sim.dynamics.engines.gram",
    "autograd": "mimo_sim.dynamics.engines.autograd",
    "flow": "mimo_sim.dynamics.engines.flow",
}
ENGINES_OF_BATCHES = {
    "gram": "mimo_sim.dynamics.engines.batches",
    "autograd": "mimo_sim.dynamics.engines.autograd_batches",
}
ENGINES_OF_RULES = {
    "gram": "mimo_sim.dynamics.engines.rules",
    "autograd": "mimo_sim.dynamics.engines.autograd_rules",
}


def checked_settings(
    problem: LateFusionProblem,
    method: object,
    steps: int,
    record_every: int,
    seed: int,
    init_scale: float,
    weight_decay: float,
    *,
    with_rules: bool = False,
) -> tuple[int, int, int]:
    """Refuse what neither late nor early fusion can take, and rules where they are not simulated.

    Returns `steps`, `record_every` and `seed` as Python integers.
    """
    check_problem(problem)
    check_solver(method, with_rules=with_rules)
    if isinstance(method, Rule):
        method.check_modalities(problem.num_modalities)
    check_positive("init_scale", init_scale)
    check_positive("weight_decay", weight_decay, allow_zero=True)
    return (
        check_count("steps", steps, 1),
        check_count("record_every", record_every, 1),
        check_count("seed", seed, 0),
    )


def finished(
    problem: LateFusionProblem,
    method: AnySolver,
    settings: dict[str, Any],
    options: Options,
    records: Records,
    default: Callable[[LateFusionProblem, Any], float],
    threshold: Callable[[LateFusionProblem, float, float], float] | None = None,
) -> xr.Dataset:
    """The labelled run, with an error if it diverged and a warning if sigma chattered.

    `default` computes a safe step size, and `threshold` the one above which sigma flips. The
    messages tell both to the user.
    """
    step_size = options.step_size
    trajectory = build(problem, method, settings, options.steps, records, options.batches)
    if records.diverged_at is not None:
        safe = f"{default.__module__}.{default.__name__}(problem, method) = "
        safe += f"{default(problem, method):.3g} is safe"
        if options.batches is not None:
            safe += " for all data at once; a batch may be steeper"
        raise DivergenceError(
            f"Training diverged at step {records.diverged_at}: the losses are beyond 1e8 times "
            f"those of the zero network. step_size={step_size:.3g} is too large; {safe}. "
            "The trajectory up to there is on this exception.",
            records.diverged_at,
            trajectory,
        )
    if records.flips >= MANY_FLIPS and isinstance(method, MIMO) and method.lam > 0:
        expected = ""
        if threshold is not None:
            above = threshold(problem, method.lam, method.mu)
            expected = f" (chattering is expected above {above:.3g})"
        warnings.warn(
            f"sigma flips from step to step ({records.flips} times, first at step "
            f"{records.first_flip}): step_size={step_size:.3g} is too large for "
            f"mu={method.mu:g}{expected}. Results are sensitive to round-off; lower `step_size` or "
            "raise `mu`.",
            ChatteringWarning,
            stacklevel=3,
        )
    return trajectory


def simulate(
    problem: LateFusionProblem,
    method: AnySolver,
    *,
    step_size: float | None = None,
    steps: int = 2000,
    width: float = 100,
    init_scale: float = 1e-3,
    seed: int = 0,
    record_every: int = 1,
    engine: str = "gram",
    initial: Sequence[Sequence[npt.ArrayLike]] | None = None,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    batches: Batches | None = None,
    decay: float = 0.0,
    record_maps: bool = False,
    progress: bool = False,
) -> xr.Dataset:
    r"""Train the two-layer late-fusion network by gradient descent.

    Parameters
    ----------
    problem : LateFusionProblem
        K modalities, m outputs.
    method : Vanilla, MIMO or a rule
        What is minimised, or how gradients are weighed (:mod:`mimo_sim.rules`).
    step_size : float, optional
        eta > 0. By default half of 1/L, where L bounds the smoothness along the way
        (:func:`mimo_sim.theory.default_step_size`). It shrinks as lam and 1/mu grow, so compare
        runs at one explicit step size.
    steps : int
        Number of gradient steps, >= 1.
    width : int or inf
        Hidden width h of every encoder. ``inf`` is the limit of infinite width, where
        :math:`Z_k = [V_k; U_k; W_k^T]` starts with :math:`Z_k Z_k^T` = ``init_scale**2`` I (engines
        "gram" and "flow").
    init_scale : float
        :math:`u_0` > 0: weights are Gaussian with variance ``init_scale**2 / width``.
    seed : int
        Of the initial weights, >= 0. Same seed, same bytes.
    record_every : int
        Record step 0, then every `record_every` steps, and always the last step.
    engine : {"gram", "autograd", "flow"}
        ``"gram"``: exact gradient descent; its cost depends on neither width nor sample size.
        ``"autograd"``: the whole network in torch, the reference.
        ``"flow"``: the gradient flow, recorded at times step * step_size. Not for rules.
    initial : list over modalities of (V_k (m, h), U_k (m, h), W_k (h, d_k)), optional
        Initial weights. They set the width, and `init_scale` and `seed` are ignored.
    weight_decay : float
        w >= 0. In each step every trained weight is also multiplied by 1 - step_size * w, as in
        torch's SGD. Losses, objective and |grad F|^2 do not include it.
    momentum : float
        Of heavy-ball momentum, in [0, 1), as in torch's SGD. Not for engine "flow".
    batches : Batches, optional
        Every step sees a mini-batch of these samples instead of all data
        (:class:`mimo_sim.Batches`). Then `problem` must be ``batches.problem``, and `step_size`
        must be given. Not for engine "flow".
    decay : float
        In [0, 1), for MIMO with `batches`. sigma and the running minimum follow exponential
        averages of the losses of the batches, which keep this part of the average before.
    record_maps : bool
        Also record ``joint_map`` (step, output, feature), the V_k W_k side by side, and
        ``uni_map``, the U_k W_k.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    xarray.Dataset
        Dims ``step`` and ``modality``.

        * (step): ``loss_mm``; ``excess_mm``, f_mm minus its minimum; ``objective``;
          ``grad_norm_sq``, |grad F|^2. A rule has no objective: there it is NaN, and the last is
          the squared norm of the step's direction.
        * (step, modality): ``loss_uni``; ``excess_uni``, f_k - f_k*; ``gap``, f_k minus the
          estimate of f_k* in use; ``sigma``, of MIMO only; ``weight_mm`` and ``weight_uni``, those
          of f_mm and f_k in the update of encoder k; and the Frobenius norms ``encoder_norm``,
          ``head_norm``, ``uni_head_norm``.

        With `batches` the losses, excesses and norms are those of all data. ``batch_loss_mm`` and
        ``batch_loss_uni`` are the losses of the batch, and ``objective``, ``gap``, the weights and
        ``grad_norm_sq`` follow from it. ``sample_input`` and ``sample_target`` are the data.

        The attributes hold everything else that is needed to run it again (:func:`rerun`).

    Raises
    ------
    ValueError, TypeError
        For input outside the ranges above.
    DivergenceError
        If the losses blow up; the trajectory so far is on the exception.

    Warns
    -----
    ChatteringWarning
        If sigma flips from step to step, so that results are sensitive to round-off.

    Examples
    --------
    >>> from mimo_sim import MIMO
    >>> from mimo_sim.generators import superficial_preference
    >>> method = MIMO(lam=10.0, mu=0.01)
    >>> run = simulate(superficial_preference(), method, step_size=1e-3, steps=10_000)
    >>> bool(run.loss_mm[-1] < 1e-6 * run.loss_mm[0])
    True
    """
    steps, record_every, seed = checked_settings(
        problem, method, steps, record_every, seed, init_scale, weight_decay, with_rules=True
    )
    check_choice("engine", engine, ENGINES)
    check_batches(batches, problem, engine, step_size)
    check_decay(decay)
    check_use_of_decay(decay, method, batches)
    check_flag("record_maps", record_maps)
    check_momentum(momentum, engine)
    weights: list[Weights] | None
    if initial is not None:
        weights = checked_weights(problem, initial)
        width = weights[0][0].shape[1]
    else:
        width = check_width("width", width)
        finite = not math.isinf(width)
        weights = random_weights(problem, int(width), init_scale, seed) if finite else None
    if step_size is None:
        step_size = theory.default_step_size(
            problem, method, init_norm_squared=norm_squared(weights, init_scale)
        )
    check_step_size("step_size", step_size)

    options = Options(
        float(step_size),
        float(weight_decay),
        recorded_steps(steps, record_every),
        record_maps,
        progress,
        float(momentum),
        batches,
        float(decay),
    )
    engines = ENGINES_OF_RULES if isinstance(method, Rule) else ENGINES
    if batches is not None:
        engines = ENGINES_OF_BATCHES
    check_choice("engine", engine, engines)
    with explained():
        trained_by = importlib.import_module(engines[engine])
    records = trained_by.run(problem, method, weights, init_scale, options)

    settings = {
        "step_size": float(step_size),
        "steps": steps,
        "width": float(width),
        "init_scale": float(init_scale),
        "seed": seed,
        "record_every": record_every,
        "engine": engine,
        "weight_decay": float(weight_decay),
        "record_maps": int(record_maps),
    }
    settings |= {"momentum": float(momentum)} if momentum > 0 else {}
    settings |= {"decay": float(decay)} if decay > 0 else {}
    if initial is not None and weights is not None:
        settings["initial"] = json.dumps(
            [[block.tolist() for block in triple] for triple in weights]
        )
    return finished(
        problem,
        method,
        settings,
        options,
        records,
        theory.default_step_size,
        theory.chattering_threshold,
    )


def rerun(run: xr.Dataset, **changes: Any) -> xr.Dataset:
    """Repeat a run from its attributes alone.

    Parameters
    ----------
    run : Dataset
        From :func:`simulate`.
    **changes
        Other values for arguments of :func:`simulate`, also for `problem` and `method`. A new
        `width`, `init_scale` or `seed` asks for a new random start.

    Returns
    -------
    xarray.Dataset
        If nothing is changed, the same bits as `run`, on the same machine with the same versions.

    Raises
    ------
    TypeError
        For a change that is no argument of :func:`simulate`.
    """
    stored = arguments(run)
    unknown = changes.keys() - stored.keys() - {"progress"}
    if unknown:
        raise TypeError(
            "rerun changes arguments of simulate (for lam or mu: method=MIMO(...)). "
            f"Got {', '.join(sorted(unknown))}."
        )
    new_start = {"width", "init_scale", "seed"} & changes.keys()
    if new_start and "initial" not in changes:
        stored["initial"] = None
    stored.update(changes)
    return simulate(stored.pop("problem"), stored.pop("method"), **stored)
