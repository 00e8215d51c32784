"""`mimo-sim sweep`: designs over many runs, on this machine or a cluster."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from mimo_sim._progress import on_terminal
from mimo_sim.commands import _grammar as grammar
from mimo_sim.commands import app
from mimo_sim.commands._options import ProblemName, Quiet, RunOptions, Seeds, SolverOptions, expand
from mimo_sim.commands._problems import load_problem


@app.command()
@expand
def sweep(
    *,
    out: Annotated[
        Path,
        typer.Option(
            help="File (.nc) to write. If it or its chunks are there already, the sweep continues."
        ),
    ],
    axis: Annotated[
        list[str] | None,
        typer.Option(
            help="A dimension: rho=0,0.5,0.9 or rho=-0.8:0.8:9 or lam=log:0.1:100:7."
            " May be repeated.",
            metavar="NAME=VALUES",
        ),
    ] = None,
    random: Annotated[
        list[str] | None,
        typer.Option(
            help="A distribution: rho=-0.8:0.8, lam=log:0.1:100 or problem_seed=int:0:9999."
            " Needs --samples. May be repeated.",
            metavar="NAME=LAW",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="One value for all runs: noise_variance=0.1. May be repeated.",
            metavar="NAME=VALUE",
        ),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Number of draws of the distributions, >= 1.")
    ] = None,
    design_seed: Annotated[int, typer.Option(help="Seed of the draws, >= 0.")] = 0,
    problem: ProblemName = "scalar-pair",
    seeds: Seeds = 1,
    solver: SolverOptions,
    options: RunOptions,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Stop a run once its growth rates fall to this part; by default none."),
    ] = None,
    on_error: Annotated[
        str,
        typer.Option(
            help="Where the problem does not exist (rho=1): raise, or nan to leave the run out."
        ),
    ] = "raise",
    backend: Annotated[
        str, typer.Option(help="threads, processes, or dask (with --cluster).")
    ] = "threads",
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", "--threads", help="Number of threads or processes; all cores by default."
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="dask: tcp://HOST:PORT of a scheduler, or local, local:2 to start one here."
        ),
    ] = None,
    chunk: Annotated[
        int | None,
        typer.Option(
            help="Runs per chunk, by default a few seconds' work; does not change the results."
        ),
    ] = None,
    engine: Annotated[str, typer.Option(help="batch (CPU) or cuda.")] = "batch",
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace another sweep at --out, or compute a finished one again."
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train the toy at many points, on a grid or at random.

    The points are called the design. The results are one labelled file.

    A parameter belongs to the problem (sigma_ratio, rho, ...), to the solver (method, lam, mu,
    f_star, heads), to the run (step_size, init_scale, width, weight_decay, momentum) or to the data
    (train_size, batch_size, batch_seed, replace, decay). Every point is run once per seed.

    After an interruption the same command goes on from the last finished chunk. It ends with the
    same file as a run without interruption.

    mimo-sim sweep --axis sigma_ratio=1,1.5,2,3 --axis rho=-0.8:0.8:9 --seeds 5 --out grid.nc

    mimo-sim sweep --problem random --samples 1000 --random problem_seed=int:0:9999 --out random.nc

    mimo-sim sweep --set train_size=500 --axis batch_size=5,50,500 --step-size 0.01 --out sgd.nc
    """
    from mimo_sim.generators import FAMILIES
    from mimo_sim.sweeps import sweep as run_sweep

    axes = grammar.once(
        [
            *(grammar.read_values("--axis", text) for text in axis or []),
            *(grammar.read_law("--random", text) for text in random or []),
            *(grammar.read_word("--set", text) for text in set_ or []),
        ]
    )
    axes = {name: _named_none(values) for name, values in axes.items()}
    solver_of_all = solver.solver()
    _refuse_unused(solver, axes)
    start, there = time.perf_counter(), out.exists() and not overwrite
    try:
        data = run_sweep(
            problem if problem in FAMILIES else load_problem(problem),
            axes,
            method=solver_of_all,
            seeds=seeds,
            samples=samples,
            design_seed=design_seed,
            tolerance=tolerance,
            on_error=on_error,
            out=out,
            overwrite=overwrite,
            backend=backend,
            workers=workers,
            cluster=cluster,
            chunk=chunk,
            engine=engine,
            progress=on_terminal(quiet),
            **options.settings(),
        )
    except KeyboardInterrupt as stopped:
        typer.echo(f"mimo-sim: stopped. {' '.join(getattr(stopped, '__notes__', []))}", err=True)
        raise typer.Exit(130) from None
    if quiet:
        return
    typer.echo(_summary(data, time.perf_counter() - start))
    typer.echo(f"{out} was there already" if there else f"wrote {out}")


def _refuse_unused(solver: SolverOptions, axes: dict[str, Any]) -> None:
    """Raise ``ValueError`` where an option of the solver was given that no run would use."""
    methods = axes.get("method", solver.method)
    methods = methods if isinstance(methods, list) else [methods]
    used = solver.method in methods
    if "mimo" not in methods:
        solver.refuse_unused(
            " and ".join(map(str, methods)),
            allowed={"mu"} if used and solver.method == "stch" else (),
        )
    if solver.heads is not None and not used:
        raise ValueError(
            f"`--heads` belongs to `--method` ({solver.method}), which no run uses: the sweep has "
            f"method={', '.join(map(str, methods))}. Got --heads {solver.heads}."
        )
    given = solver.of_mimo() | ({} if solver.heads is None else {"heads": solver.heads})
    for name in given.keys() & axes.keys():
        raise ValueError(
            f"`--{name.replace('_', '-')}` must be given once, as an option or as a parameter of"
            f" the sweep. Got {given[name]!r} and {axes[name]!r}."
        )


def _named_none(values: Any) -> Any:
    """`values` with the word "none" for None: no parameter of a sweep may be missing."""
    if isinstance(values, list):
        return [_named_none(value) for value in values]
    return "none" if values is None else values


OUTCOMES = {0: "used all steps", 1: "converged", 2: "diverged", -1: "without a problem"}


def _summary(data: Any, seconds: float) -> str:
    """Sizes, outcomes and time in one line."""
    sizes = " x ".join(f"{dim} {data.sizes[dim]}" for dim in data.status.dims)
    outcomes = []
    for code, word in OUTCOMES.items():
        count = int((data.status == code).sum())
        if count:
            outcomes.append(f"{count:,} {word}")
    return f"{data.status.size:,} runs ({sizes}): {', '.join(outcomes)}; {seconds:.1f} s"
