"""`mimo-sim sweep`: designs over many runs, on this machine or a cluster."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from mimo_sim._progress import on_terminal
from mimo_sim.commands import (
    FStar,
    Heads,
    InitScale,
    Lam,
    Method_,
    Mu,
    Quiet,
    Steps,
    StepSize,
    WeightDecay,
    Width,
    app,
    load_problem,
    make_method,
    whole_width,
)


def _value(text: str) -> Any:
    """A number, numbers joined by x (5x5) as a tuple, or the word itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    parts = [_value(part) for part in text.split("x")] if "x" in text else [text]
    return text if any(isinstance(part, str) for part in parts) else tuple(parts)


def _named(option: str, text: str) -> tuple[str, str]:
    name, equals, spec = text.partition("=")
    if not (name and equals and spec):
        raise ValueError(f"`{option}` must look like name=values. Got {text!r}.")
    return name.replace("-", "_"), spec


def _numbers(option: str, text: str, spec: str, form: str) -> list[Any]:
    numbers = [_value(part) for part in spec.split(":")]
    if len(numbers) != len(form.split(":")) or not all(
        isinstance(number, int | float) for number in numbers
    ):
        raise ValueError(f"`{option}` must look like name={form} with numbers. Got {text!r}.")
    return numbers


def _axis(text: str) -> tuple[str, list[Any]]:
    """``name=1,2,3``, ``name=low:high:count`` or ``name=log:low:high:count``."""
    import numpy as np

    name, spec = _named("--axis", text)
    if ":" not in spec:
        return name, [_value(part) for part in spec.split(",")]
    log = spec.startswith("log:")
    low, high, count = _numbers("--axis", text, spec.removeprefix("log:"), "low:high:count")
    if not isinstance(count, int) or count < 1 or (log and not (low > 0 and high > 0)):
        raise ValueError(
            f"`--axis` needs a whole count >= 1, and low and high > 0 after 'log:'. Got {text!r}."
        )
    values: list[Any] = (np.geomspace if log else np.linspace)(low, high, count).tolist()
    whole = (
        not log
        and isinstance(low, int)
        and isinstance(high, int)
        and all(value == int(value) for value in values)
    )
    return name, [int(value) for value in values] if whole else values


def _law(text: str) -> tuple[str, tuple[Any, ...]]:
    """``name=low:high``, ``name=log:low:high`` or ``name=int:low:high``."""
    name, spec = _named("--random", text)
    kind, _, rest = spec.partition(":")
    kind, rest = (kind, rest) if kind in ("log", "int") else ("uniform", spec)
    return name, (kind, *_numbers("--random", text, rest, "low:high"))


def _single(text: str) -> tuple[str, Any]:
    """``name=value``."""
    name, spec = _named("--set", text)
    value = _value(spec)
    if isinstance(value, tuple) or "," in spec or ":" in spec:
        raise ValueError(
            f"`--set` takes one number or word. Got {text!r}; more than one number is a value for --axis."
        )
    return name, value


@app.command()
def sweep(
    out: Annotated[
        Path,
        typer.Option(
            help="File (.nc) to write. If it or its chunks are there already, the sweep continues."
        ),
    ],
    axis: Annotated[
        list[str] | None,
        typer.Option(
            help="A dimension: rho=0,0.5,0.9 or rho=-0.8:0.8:9 or lam=log:0.1:100:7. May be repeated.",
            metavar="NAME=VALUES",
        ),
    ] = None,
    random: Annotated[
        list[str] | None,
        typer.Option(
            help="A distribution: rho=-0.8:0.8, lam=log:0.1:100 or problem_seed=int:0:9999. Needs --samples.",
            metavar="NAME=LAW",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="A parameter of the problem, for all runs: noise_variance=0.1.",
            metavar="NAME=VALUE",
        ),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Number of draws of the distributions, >= 1.")
    ] = None,
    design_seed: Annotated[int, typer.Option(help="Seed of the draws, >= 0.")] = 0,
    problem: Annotated[
        str,
        typer.Option(
            help="superficial, scalar-pair, random, or a problem (.json) or trajectory (.nc) file."
        ),
    ] = "scalar-pair",
    seeds: Annotated[int, typer.Option(help="Number of initialisations, >= 1.")] = 1,
    method: Method_ = "mimo",
    lam: Lam = 10.0,
    mu: Mu = 0.01,
    f_star: FStar = "exact",
    heads: Heads = None,
    steps: Steps = 20_000,
    step_size: StepSize = None,
    init_scale: InitScale = 1e-3,
    width: Width = 100,
    weight_decay: WeightDecay = 0.0,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Stop a run early when it has converged to this; by default none does."),
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
    """Train at every point of a grid or at random points, times seeds, and write one labelled file.

    Parameters are those of the problem (sigma_ratio, rho, ...), the method (lam, mu, f_star, heads, method) and the run (step_size, init_scale, width,
    weight_decay). Interrupted at any moment, the same command goes on from the last finished chunk and ends with the same file.

    mimo-sim sweep --axis sigma_ratio=1,1.5,2,3 --axis rho=-0.8:0.8:9 --seeds 5 --method vanilla --steps 40000 --init-scale 1e-9 --out zls.nc

    mimo-sim sweep --problem random --samples 1000 --random problem_seed=int:0:999999 --axis method=vanilla,mimo --out random.nc
    """
    from mimo_sim.generators import FAMILIES
    from mimo_sim.sweeps import sweep as run_sweep

    axes: dict[str, Any] = {}
    for name, values in [
        *map(_axis, axis or []),
        *map(_law, random or []),
        *map(_single, set_ or []),
    ]:
        if name in axes:
            raise ValueError(f"Every parameter may be given once. Got {name!r} twice.")
        axes[name] = values
    start, there = time.perf_counter(), out.exists() and not overwrite
    try:
        data = run_sweep(
            problem if problem in FAMILIES else load_problem(problem),
            axes,
            method=make_method(method, lam, mu, f_star, heads),
            seeds=seeds,
            samples=samples,
            design_seed=design_seed,
            steps=steps,
            step_size=step_size,
            init_scale=init_scale,
            width=whole_width(width),
            weight_decay=weight_decay,
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
        )
    except KeyboardInterrupt as stopped:
        typer.echo(f"mimo-sim: stopped. {' '.join(getattr(stopped, '__notes__', []))}", err=True)
        raise typer.Exit(130) from None
    if quiet:
        return
    typer.echo(_summary(data, time.perf_counter() - start))
    typer.echo(f"{out} was there already" if there else f"wrote {out}")


def _summary(data: Any, seconds: float) -> str:
    """Sizes, outcomes and time in one line."""
    counts = {
        word: int((data.status == code).sum())
        for code, word in (
            (0, "used all steps"),
            (1, "converged"),
            (2, "diverged"),
            (-1, "without a problem"),
        )
    }
    sizes = " x ".join(f"{dim} {data.sizes[dim]}" for dim in data.status.dims)
    return (
        f"{data.status.size:,} runs ({sizes}): "
        + ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
        + f"; {seconds:.1f} s"
    )
