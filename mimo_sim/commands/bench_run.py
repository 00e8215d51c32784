"""`mimo-sim bench list` and `run`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mimo_sim._progress import in_lines, on_terminal, progress_bar
from mimo_sim.commands import _grammar as grammar
from mimo_sim.commands import bench
from mimo_sim.commands._options import Out, Quiet
from mimo_sim.commands._output import say_wrapped
from mimo_sim.commands._results import refuse_other_runs
from mimo_sim.commands.bench_compare import show_results
from mimo_sim.commands.data import settings

if TYPE_CHECKING:
    from mimo_sim.benchmark import Job

MOST_SEEDS = 100_000  # each is a run; far more than anyone trains
INDENT = " " * 4  # of what belongs to the line above it


def _else(default: str) -> str:
    """What help says of an option that a preset may set."""
    return f"{default}, or the preset's"


@bench.command("list")
def list_() -> None:
    """List methods, with family, source, needs and default hyper-parameters, and data sets."""
    from mimo_sim import datasets, methods

    typer.echo("Methods, each with the defaults that --set changes\n")
    for name, method in methods.catalogue().items():
        say_wrapped(f"{name} ({method.family}): {method.about}")
        say_wrapped(f"needs {method.requirements()}", INDENT)
        if method.waits:
            say_wrapped(f"waits for the device in every step: {method.waits}", INDENT)
        defaults = [f"{key}={grammar.write(value)}" for key, value in method.hyper.items()]
        say_wrapped(" ".join(defaults), INDENT)
    typer.echo("\nData sets, each with the shapes of its modalities\n")
    for name in datasets.available():
        record = datasets.get(name)
        say_wrapped(f"{name}: {record.about}")
        say_wrapped(", ".join(f"{key} {shape}" for key, shape in record.modalities.items()), INDENT)


@bench.command()
def run(
    dataset: Annotated[
        str,
        typer.Option(
            help="Data set of `bench list`, or an .npz file: y and an array per modality."
        ),
    ] = "digits",
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
        typer.Option(help="First seed. What was chosen on some seeds can be tried on others."),
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
        str,
        typer.Option(
            help="cpu (small: a run takes seconds to minutes), full (published sizes), or, of some "
            "data sets, paper (the published training too)."
        ),
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
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Workers of a dask cluster do the runs: tcp://HOST:PORT of its scheduler, or "
            "local:2 to start two. They share the folder --out."
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the train split, instead of the preset's.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Samples per step.", show_default=_else("64"))
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate.", show_default=_else("0.01"))
    ] = None,
    momentum: Annotated[
        float | None, typer.Option(help="Momentum of SGD.", show_default=_else("0.9"))
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(help="Weight decay.", show_default=_else("0.0001"))
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="sgd, adam or adamw.", show_default=_else("sgd"))
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="step (x 0.1 after 70 % of the epochs), cosine or constant.",
            show_default=_else("step"),
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="One of frames, gru, lenet, linear, mlp, patches, resnet18, transformer, or "
            "pretrained:FOLDER (of transformers); one per modality joined by commas; or by name, "
            "sound=gru,face=lenet.",
            show_default=_else("chosen by shape"),
        ),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(help="Feature length of the encoders.", show_default=_else("64")),
    ] = None,
    fusion: Annotated[
        str, typer.Option(help="How features are joined: attention, film, late, mmtm or sum.")
    ] = "late",
    unimodal: Annotated[
        str,
        typer.Option(
            help="Uni-modal objectives: heads on the encoders, or masked (the joint output where "
            "the other modalities are absent)."
        ),
    ] = "heads",
    augment: Annotated[
        str | None,
        typer.Option(
            help="Crop and flip colour pictures in training: none, clip (the frames of a video "
            "alike) or frame (each by itself).",
            show_default=_else("none"),
        ),
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(
            help="Modalities, joined by commas, that are spectrograms: hide bands of frequency and "
            "time at random in training."
        ),
    ] = None,
    select: Annotated[
        str | None,
        typer.Option(help="last epoch, or best on validation.", show_default=_else("last")),
    ] = None,
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
    """Train methods on a data set. Finished runs are kept, interrupted ones continue.

    `bench compare` reads the results.
    """
    from mimo_sim import benchmark, datasets

    if not 1 <= seeds <= MOST_SEEDS:
        raise ValueError(f"`--seeds` must be >= 1 and <= {MOST_SEEDS:,}. Got {seeds}.")
    if first_seed < 0:
        raise ValueError(f"`--first-seed` must be >= 0. Got {first_seed}.")
    hyper = grammar.once(grammar.read_value("--set", text) for text in set_ or [])
    grids = grammar.once(grammar.read_values("--grid", text) for text in grid or [])
    own_data = data_settings(data or [], with_setting=bool(setting))
    record = datasets.get(dataset)
    preset_data, options = record.preset(preset)
    given = {
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "optimizer": optimizer,
        "schedule": schedule,
        "encoder": encoder,
        "width": width,
        "select": select,
        "augment": augment,
        "masks": masks,
    }
    options |= {name: value for name, value in given.items() if value is not None}
    options |= {
        "fusion": fusion,
        "unimodal": unimodal,
        "probe_every": probe_every,
        "precision": precision,
        "accelerator": accelerator,
        "devices": devices,
    }
    todo: list[Job] = []
    wanted: Sequence[str | None] = setting or [record.default_setting]
    for name in wanted:
        chosen_data = preset_data | own_data
        if name is not None:
            chosen_data.setdefault("setting", name)
        todo += benchmark.plan(
            dataset,
            method,
            range(first_seed, first_seed + seeds),
            options,
            chosen_data,
            hyper,
            grids,
            None if root is None else str(root),
        )
    refused = benchmark.refused_methods(dataset, fusion)
    if "all" in method and refused and not quiet:
        typer.echo(f"left out, not defined for {dataset}: {', '.join(refused)}")
    _execute(todo, out, num_workers(jobs, devices, accelerator), quiet, cluster)


def data_settings(given: list[str], with_setting: bool) -> dict[str, Any]:
    """The words of --data as settings; what has an option of its own is refused."""
    found = settings(given, "--data")
    elsewhere = {"seed": "--seeds"}
    if with_setting:
        elsewhere["setting"] = "--setting"
    for name, option in elsewhere.items():
        if name in found:
            raise ValueError(
                f"`--data` must not have {name}: that is what {option} is for. "
                f"Got {name}={found[name]}."
            )
    return found


def num_workers(asked: int | None, devices: int, accelerator: str) -> int:
    """Number of worker processes: as asked, or one where a run has a device to itself."""
    import torch

    if asked is not None:
        return asked
    if devices > 1 or (accelerator != "cpu" and torch.cuda.is_available()):
        return 1
    return os.cpu_count() or 1


def _execute(
    todo: Sequence[Job], out: Path, workers: int, quiet: bool, cluster: str | None
) -> None:
    """Do the jobs and say how it went; exit code 2 if any failed."""
    import time

    from mimo_sim import benchmark

    refuse_other_runs(todo, out)
    pending = len(benchmark.pending(todo, out))
    total = sum(job.settings.epochs for job in todo)
    start = time.perf_counter()
    with progress_bar(total, on_terminal(quiet), f"{pending} of {len(todo)} runs") as advance:
        failures = benchmark.execute(todo, out, workers, advance, cluster, in_lines(quiet))
    if not quiet:
        done = pending - len(failures)
        typer.echo(
            f"{done} {'run' if done == 1 else 'runs'} in {time.perf_counter() - start:.0f} s, "
            f"{len(todo) - pending} were there already; records in {out}"
        )
        if len(failures) < len(todo):
            runs = benchmark.read(out, todo)
            show_results(runs)
    say_failures(failures)


def say_failures(failures: Sequence[tuple[Job, str]]) -> None:
    """Say what failed, each reason once; exit code 2 if anything did."""
    places: dict[str, list[Path]] = {}
    for job, message in failures:
        places.setdefault(message, []).append(job.place)
    for message, (first, *others) in places.items():
        more = f" and {len(others)} more" if others else ""
        typer.echo(f"mimo-sim: error: {first}{more}: {message}", err=True)
    if failures:
        raise typer.Exit(2)
