"""`mimo-sim bench list`, `run` and `compare`."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from mimo_sim._progress import on_terminal, progress_bar
from mimo_sim.commands import bench
from mimo_sim.commands._options import Out, Quiet
from mimo_sim.commands._output import report

OUTER_COMMA = re.compile(r",(?![^\[]*\])")  # outside of brackets


def _value(text: str) -> Any:
    """A number, true, false, none, a JSON list, or else the word itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {"none": None, "None": None, "True": True, "False": False}.get(text, text)


def _pairs(option: str, given: list[str]) -> dict[str, str]:
    pairs = dict(item.partition("=")[::2] for item in given)
    if len(pairs) < len(given) or not all(pairs) or any("=" not in item for item in given):
        raise ValueError(f"`{option}` must be key=value, each key once. Got {' '.join(given)}.")
    return pairs


@bench.command("list")
def list_() -> None:
    """List methods (family, hyper-parameters with defaults) and data sets."""
    from mimo_sim import datasets, methods

    rows = []
    for name in methods.available():
        cls = methods.get(name)
        hyper = " ".join(f"{key}={value}" for key, value in methods.create(name).hyper.items())
        rows.append((name, cls.family, cls.about, hyper))
    report(rows, ("method", "family", "what it does", "defaults"), "Methods")
    found = [
        (
            name,
            datasets.get(name).about,
            " x ".join(f"{key} {shape}" for key, shape in datasets.get(name).modalities.items()),
        )
        for name in datasets.available()
    ]
    report(found, ("data set", "about", "modalities"), "Data sets")


@bench.command()
def run(
    dataset: Annotated[str, typer.Option(help="Data set; see `bench list`.")] = "digits",
    method: Annotated[
        list[str],
        typer.Option(
            help="Method, repeatable; 'all' for every one that is defined for the data set."
        ),
    ] = ["mimo"],  # noqa: B006
    seeds: Annotated[
        int,
        typer.Option(
            help="Number of seeds, from --first-seed on; each draws data and start weights."
        ),
    ] = 1,
    first_seed: Annotated[
        int,
        typer.Option(help="Begin with this seed: to try on fresh ones what was chosen on others."),
    ] = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Hyper-parameter, e.g. lam=10 or mimo.lam=10; repeatable."),
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(help="Hyper-parameter values to go through, e.g. lam=1,10,100; repeatable."),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="cpu (small, minutes) or full (published sizes).")
    ] = "cpu",
    root: Annotated[Path | None, typer.Option(help="Folder of the raw files.")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(help="Named setting of the data set (avmnist: A, B, C, D); repeatable."),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="Other setting of the data set, e.g. train_size=2000; repeatable."),
    ] = None,
    out: Out = Path("results"),
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Processes, one CPU thread each; by default one per CPU core, or one on a GPU."
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the train split, instead of the preset's.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Samples per step.")] = 64,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 0.01,
    momentum: Annotated[float, typer.Option(help="Momentum of SGD.")] = 0.9,
    weight_decay: Annotated[float, typer.Option(help="Weight decay.")] = 1e-4,
    optimizer: Annotated[str, typer.Option(help="sgd, adam or adamw.")] = "sgd",
    schedule: Annotated[
        str, typer.Option(help="step (x 0.1 after 70 % of the epochs), cosine or constant.")
    ] = "step",
    encoder: Annotated[
        str | None,
        typer.Option(
            help="linear, mlp, lenet or resnet18, or one per modality joined by commas; by default chosen by shape."
        ),
    ] = None,
    width: Annotated[int, typer.Option(help="Feature length of the encoders.")] = 64,
    select: Annotated[str, typer.Option(help="last epoch, or best on validation.")] = "last",
    probe_every: Annotated[
        int, typer.Option(help="Also fit linear probes after every so many epochs; 0 never.")
    ] = 0,
    precision: Annotated[str, typer.Option(help="32-true or bf16-mixed.")] = "32-true",
    accelerator: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[
        int, typer.Option(help="Processes that share one run; they average gradients.")
    ] = 1,
    quiet: Quiet = False,
) -> None:
    """Train methods on a data set; finished runs are kept, interrupted ones continue. `bench compare` reads the results."""
    import time

    import torch

    from mimo_sim import benchmark, datasets

    if seeds < 1:
        raise ValueError(f"`--seeds` must be >= 1. Got {seeds}.")
    if first_seed < 0:
        raise ValueError(f"`--first-seed` must be >= 0. Got {first_seed}.")
    chosen = {
        key: [_value(part) for part in OUTER_COMMA.split(text)]
        for key, text in _pairs("--grid", grid or []).items()
    }
    hyper = {key: _value(text) for key, text in _pairs("--set", set_ or []).items()}
    more = {key: _value(text) for key, text in _pairs("--data", data or []).items()}
    for key, option in {"seed": "--seeds", **({"setting": "--setting"} if setting else {})}.items():
        if key in more:
            raise ValueError(
                f"`--data` must not have {key}: that is what {option} is for. Got {key}={more[key]}."
            )
    for key, value in more.items():
        if isinstance(value, list | dict):
            raise ValueError(f"`--data` takes one number or word for each key. Got {key}={value}.")
    common = {
        "batch_size": batch_size,
        "lr": lr,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "optimizer": optimizer,
        "schedule": schedule,
        "encoder": encoder,
        "width": width,
        "select": select,
        "probe_every": probe_every,
        "precision": precision,
        "accelerator": accelerator,
        "devices": devices,
    }
    todo: list[benchmark.Job] = []
    wanted: list[str | None] = [*setting] if setting else [datasets.get(dataset).default_setting]
    sizes, training = benchmark.preset(preset, dataset)
    options = training | common | ({} if epochs is None else {"epochs": epochs})
    for name in wanted:
        facts = sizes | more | ({} if name is None else {"setting": name})
        todo += benchmark.plan(
            dataset,
            method,
            range(first_seed, first_seed + seeds),
            options,
            facts,
            hyper,
            chosen,
            None if root is None else str(root),
        )
    if "all" in method and (unfit := benchmark.unfit(dataset)) and not quiet:
        typer.echo(f"left out, not defined for {dataset}: {', '.join(unfit)}")
    workers = (
        jobs
        if jobs is not None
        else 1
        if devices > 1 or (accelerator != "cpu" and torch.cuda.is_available())
        else os.cpu_count() or 1
    )
    left = len(benchmark.pending(todo, out))
    start = time.perf_counter()
    total = sum(job.settings.epochs for job in todo)
    with progress_bar(total, on_terminal(quiet), f"{left} of {len(todo)} runs") as advance:
        failures = benchmark.execute(todo, out, workers, advance)
    if not quiet:
        done = left - len(failures)
        typer.echo(
            f"{done} {'run' if done == 1 else 'runs'} in {time.perf_counter() - start:.0f} s, {len(todo) - left} were there already; records in {out}"
        )
        if len(failures) < len(todo):
            _print(benchmark.read(out, todo))
    places: dict[str, list[Path]] = {}
    for job, message in failures:
        places.setdefault(message, []).append(job.place)
    for message, (first, *others) in places.items():
        typer.echo(
            f"mimo-sim: error: {first}{f' and {len(others)} more' if others else ''}: {message}",
            err=True,
        )
    if failures:
        raise typer.Exit(2)


@bench.command()
def compare(
    results: Annotated[Path, typer.Argument(help="Folder that `bench run` wrote.")] = Path(
        "results"
    ),
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for tables and figures (of the validation split: names with -validation); none by default.",
            file_okay=False,
        ),
    ] = None,
    split: Annotated[
        str, typer.Option(help="test, to report; or validation, to choose by.")
    ] = "test",
    baseline: Annotated[
        str, typer.Option(help="Method that the paired differences are to.")
    ] = "vanilla",
    curves: Annotated[
        list[str] | None,
        typer.Option(help="Methods in the per-epoch figure, repeatable; a few by default."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Compare methods over seeds: mean +- 95 % interval, paired differences to a baseline, accuracy against modality gap, grids, curves."""
    from mimo_sim import benchmark
    from mimo_sim.benchmark import comparison, tables

    runs = benchmark.read(results)
    rows = comparison.summary(runs, baseline, split)
    if not quiet:
        _print(runs, rows, baseline)
    if out is None:
        return
    from mimo_sim import plots
    from mimo_sim._files import replacing

    written = []
    for suffix, text in (
        (".md", tables.markdown(rows, baseline, comparison.unlike(runs))),
        (".csv", tables.comma_separated(rows)),
    ):
        written.append(out / f"table{tables.mark(rows)}{suffix}")
        with replacing(written[-1]) as temporary:
            temporary.write_text(text)
    for name, figure in plots.draw_benchmark(runs, rows, curves):
        for suffix in (".png", ".svg"):
            with replacing(out / f"{name}{suffix}") as temporary:
                plots.write(figure, temporary)
            written.append(out / f"{name}{suffix}")
    if not quiet:
        typer.echo("wrote " + " ".join(map(str, written)))


def _print(runs: list[Any], rows: list[Any] | None = None, baseline: str = "vanilla") -> None:
    from mimo_sim.benchmark import comparison, tables

    for title, header, cells in tables.comparison_tables(
        rows or comparison.summary(runs), baseline, brief=True
    ):
        report(cells, header, title)
    for line in tables.notes(runs):
        typer.echo(line)
