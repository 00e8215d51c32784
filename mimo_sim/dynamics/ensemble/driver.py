"""`simulate_ensemble`: thousands of runs of the toy at once."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event, Lock

import numpy as np
import numpy.typing as npt
import xarray as xr
from numba import get_num_threads

from mimo_sim._checks import check_choice, check_count, check_positive, check_width
from mimo_sim._progress import progress_bar
from mimo_sim.dynamics.batches import Batches
from mimo_sim.dynamics.ensemble import on_batches
from mimo_sim.dynamics.ensemble.cpu import LANES, view
from mimo_sim.dynamics.ensemble.groups import LEGS, Group, IntArray, View
from mimo_sim.dynamics.ensemble.results import Results
from mimo_sim.dynamics.ensemble.runs import Runs
from mimo_sim.dynamics.ensemble.step import Advance, Shape
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import AnySolver

ENGINES = {"batch": "mimo_sim.dynamics.ensemble.cpu", "cuda": "mimo_sim.dynamics.ensemble.cuda"}
# Bytes for the states that a group keeps. They say how many runs a thread trains together.
MEMORY = {"batch": 2**24, "cuda": 2**30}


def simulate_ensemble(
    problems: LateFusionProblem | Sequence[LateFusionProblem],
    methods: AnySolver | Sequence[AnySolver],
    *,
    step_size: npt.ArrayLike | None = None,
    steps: int = 2000,
    width: float = 100,
    init_scale: npt.ArrayLike = 1e-3,
    seed: npt.ArrayLike = 0,
    weight_decay: npt.ArrayLike = 0.0,
    momentum: npt.ArrayLike = 0.0,
    batches: Batches | Sequence[Batches] | None = None,
    decay: npt.ArrayLike = 0.0,
    tolerance: float | None = None,
    record_every: int | None = None,
    engine: str = "batch",
    threads: int | None = None,
    progress: bool = False,
) -> xr.Dataset:
    r"""Train many two-layer late-fusion networks: :func:`mimo_sim.simulate` for N runs at once.

    `problems`, `methods`, `step_size`, `init_scale`, `seed`, `weight_decay`, `momentum`, `batches`
    and `decay` are each one for all runs, or one per run.

    Parameters
    ----------
    problems : LateFusionProblem or N of them
        They may differ in sizes.
    methods : Vanilla, MIMO or a rule, or N of them
        What is minimised, or how gradients are weighed.
    step_size : float or N floats, optional
        eta > 0. By default every run has its own :func:`mimo_sim.theory.default_step_size`.
    steps : int
        Number of gradient steps, >= 1.
    width : int or inf
        Hidden width h of every encoder, as in `simulate`.
    init_scale, seed, weight_decay, momentum : number or N numbers
        As in `simulate`. The same seed gives the same initial weights as there.
    batches, decay : Batches and number, or N of them, optional
        As in `simulate`: every step sees a mini-batch. Each run is then one of `simulate`, bit by
        bit, and `threads` train several at a time. Not with `tolerance` or engine "cuda".
    tolerance : float, optional
        Stop a run once it has converged (see Notes). By default all steps are taken.
    record_every : int, optional
        Also return trajectories: step 0, then every `record_every` steps, and the last step. Rows
        after the end of a run are NaN.
    engine : {"batch", "cuda"}
        ``"batch"``: vectorised over runs, on all cores. ``"cuda"``: one GPU thread per run; needs
        the extra ``mimo_sim[cuda]`` and a device.
    threads : int, optional
        Threads of engine "batch"; by default as many as numba uses.
    progress : bool
        Show a progress bar on stderr. It counts the steps of all runs.

    Returns
    -------
    xarray.Dataset
        Dims ``run`` and ``modality``. Modalities that a problem does not have are NaN.

        At the end of each run, named as in `simulate`:

        * (run): ``loss_mm``, ``excess_mm``, ``objective``, ``worst_gap``;
        * (run, modality): ``loss_uni``, ``excess_uni``, ``gap``, ``sigma``, ``encoder_norm``,
          ``weight_mm``, ``weight_uni``, ``head_norm``, ``uni_head_norm``.

        Over each run:

        * ``half_time`` (run, modality): what :func:`mimo_sim.half_times` says of the run, recorded
          at every step.
        * ``drift`` (run): largest relative change of a :math:`|W_k|_F^2` over the last tenth of the
          run, seen every ``ceil(steps / 64)`` steps. Above 5% do not trust the half-times: the
          final norms were still changing.
        * ``plateau_step`` (run): the step midway between the two earliest half-times.
        * ``plateau_map`` (run, output, modality, component): the maps V_k W_k at that step. They
          show what each modality was credited with while one was learned alone.
        * ``flips`` (run): how often sigma flipped, as for ChatteringWarning.
        * ``status`` (run): how the run ended; the attributes of ``status`` name the values.
        * ``final_step``, ``diverged_at`` (run): -1 if it did not diverge.

        A diverged run stops at the first step whose losses exceed 1e8 times those of the zero
        network. Its last values may be infinite or NaN, and it has no half-times.

        With `record_every` also trajectories ``path_*`` (run, step[, modality]) of losses, sigma
        and norms.

    Raises
    ------
    ValueError, TypeError
        For input outside the ranges above.
    ModuleNotFoundError, RuntimeError
        With engine "cuda" where numba-cuda or a device is missing.

    Notes
    -----
    Bit by bit, a run's numbers depend neither on the other runs, nor on its place among them, nor
    on `threads`. They agree with those of `simulate` to round-off.

    *Convergence.* Let R_k and Q_k be the correlations of the inputs with the residuals of f_mm and
    f_k. The growth rate of modality k is :math:`(|R_k|_F^2 + (\lambda\sigma_k|Q_k|_F)^2)^{1/2}`,
    for a rule :math:`(|R_k|_F^2 + |Q_k|_F^2)^{1/2}`. A run has converged once its largest rate has
    fallen to `tolerance` times that of a network which computes zero. This is looked at every
    ``ceil(steps / 64)`` steps. Excess losses are then of relative order ``tolerance**2``. Norms are
    final up to a relative error of order `tolerance`, and so are half-times. A saddle, where one
    modality is learned and the other not yet, does not count: the rate of the other is not small
    there. Runs with weight decay never meet this condition.

    Examples
    --------
    >>> from mimo_sim import Vanilla
    >>> from mimo_sim.generators import scalar_pair
    >>> problems = [scalar_pair(2.0, rho) for rho in (0.0, 0.5)]
    >>> runs = simulate_ensemble(problems, Vanilla(), step_size=0.01, steps=4000, init_scale=1e-6)
    >>> ratio = runs.half_time.max("modality") / runs.half_time.min("modality")
    >>> bool(ratio[1] > ratio[0] > 3)
    True
    """
    steps = check_count("steps", steps, 1)
    width = check_width("width", width)
    check_choice("engine", engine, ENGINES)
    if tolerance is not None:
        check_positive("tolerance", tolerance)
    recorded: list[int] = []
    if record_every is not None:
        every = check_count("record_every", record_every, 1)
        recorded = [*range(0, steps, every), steps]
    workers = get_num_threads() if threads is None else check_count("threads", threads, 1)
    if engine == "cuda":
        workers = 1
    runs = Runs(
        problems,
        methods,
        step_size,
        init_scale,
        seed,
        weight_decay,
        width,
        momentum,
        batches,
        decay,
    )
    if batches is not None:
        _check_options_of_batches(tolerance, engine)
    groups = _groups(runs, engine, workers) if batches is None else []
    results = Results(runs, recorded)
    stop, lock = Event(), Lock()
    with (
        progress_bar(runs.count * steps, progress) as advance_bar,
        ThreadPoolExecutor(workers) as pool,
    ):

        def tick(run_steps: int) -> None:
            with lock:
                if stop.is_set():
                    raise InterruptedError
                try:
                    advance_bar(run_steps)
                except BaseException:
                    # No other thread may begin a leg before the main thread hears of this.
                    stop.set()
                    raise

        def train(shape: Shape, loop: Advance, members: list[int]) -> None:
            indices = np.asarray(members)

            def record(row: int, live: IntArray, seen: View) -> None:
                results.record(row, indices[live], shape, seen)

            # Diverged runs overflow. A thread that is told to stop has nothing to report.
            with np.errstate(all="ignore"), suppress(InterruptedError):
                group = Group(shape, *runs.tables(members, shape), loop, steps)
                group.run(tolerance, recorded, record, tick)
                results.store(indices, group, view(shape, group.state, group.constants))

        def train_on_batches(i: int) -> None:
            if not stop.is_set():
                results.store_trained(i, on_batches.train(runs, i, steps))
                with suppress(InterruptedError):
                    tick(steps)

        futures = [pool.submit(train, *group) for group in groups]
        if batches is not None:
            futures += [pool.submit(train_on_batches, i) for i in range(runs.count)]
        try:
            for future in futures:
                future.result()
        except BaseException:  # the keyboard too: the threads stop at the end of their legs
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    settings = {
        "steps": steps,
        "width": float(width),
        "engine": engine,
        "tolerance": math.nan if tolerance is None else float(tolerance),
    }
    return results.dataset(settings)


def _check_options_of_batches(tolerance: float | None, engine: str) -> None:
    """Raise for options that runs on mini-batches cannot have."""
    if tolerance is not None:
        raise ValueError(
            "`tolerance` must be None with `batches`: the residuals of a run on mini-batches do "
            f"not vanish. Got tolerance={tolerance!r}."
        )
    if engine != "batch":
        raise ValueError(
            f"`engine` must be 'batch' with `batches` of samples. Got engine={engine!r}."
        )


def _groups(runs: Runs, engine: str, workers: int) -> list[tuple[Shape, Advance, list[int]]]:
    """The runs that are trained together: their shape, its compiled loop, and their numbers.

    All runs of a group have one shape. A group is small enough for its share of the memory, and for
    every worker to have one.
    """
    compiled = importlib.import_module(ENGINES[engine])
    shapes: dict[Shape, list[int]] = {}
    for i in range(runs.count):
        shapes.setdefault(runs.shape(i), []).append(i)
    groups = []
    for shape, members in shapes.items():
        loop = compiled.advance(shape)
        fit = MEMORY[engine] // (8 * LEGS * shape.state.height)
        if fit >= LANES:
            fit = fit // LANES * LANES
        share = LANES * math.ceil(len(members) / workers / LANES)
        size = max(1, min(fit, share))
        starts = range(0, len(members), size)
        groups += [(shape, loop, members[first : first + size]) for first in starts]
    return groups
