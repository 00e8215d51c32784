"""`mimo-sim bench tune`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mimo_sim._progress import in_lines, on_terminal, progress_bar
from mimo_sim.commands import _grammar as grammar
from mimo_sim.commands import bench
from mimo_sim.commands._options import Out, Quiet
from mimo_sim.commands._output import command_line
from mimo_sim.commands.bench_compare import show_results
from mimo_sim.commands.bench_run import MOST_SEEDS, data_settings, num_workers, say_failures


@bench.command()
def tune(
    dataset: Annotated[
        str, typer.Option(help="Data set of `bench list`, or an .npz file.")
    ] = "digits",
    method: Annotated[
        list[str], typer.Option(help="Method, repeatable; 'all' for every one that is defined.")
    ] = ["vanilla", "mimo"],  # noqa: B006
    trials: Annotated[
        int, typer.Option(help="Trials of every method, the defaults among them, >= 1.")
    ] = 12,
    trial_seeds: Annotated[
        int, typer.Option(help="Seeds of each trial, from 0 on; its score is the mean.")
    ] = 1,
    seeds: Annotated[
        int, typer.Option(help="Fresh seeds that defaults and chosen values are trained on.")
    ] = 8,
    first_seed: Annotated[int, typer.Option(help="First of the fresh seeds.")] = 100,
    sampler_seed: Annotated[int, typer.Option(help="Seed of the search, >= 0.")] = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Hyper-parameter that is not searched, e.g. mimo.lam=10."),
    ] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(
            help="Where to search a hyper-parameter, e.g. mimo.lam=log:1:10, "
            "f_star=zero,running_minimum or normalise=true,false; repeatable."
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help="cpu or full, as in `bench run`.")] = "cpu",
    root: Annotated[Path | None, typer.Option(help="Folder of the raw files.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option(help="Named setting of the data set; repeatable.")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="Other setting of the data set, e.g. train_size=2000.")
    ] = None,
    out: Out = Path("results"),
    jobs: Annotated[int | None, typer.Option(help="Processes, as in `bench run`.")] = None,
    cluster: Annotated[str | None, typer.Option(help="As in `bench run`.")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the train split, instead of the preset's.")
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(help="Learning rate, instead of the preset's; searched from / 10 to x 10."),
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(
            help="Weight decay, instead of the preset's; searched from / 10 to x 100, around 1e-4 "
            "where it is 0."
        ),
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="sgd, adam or adamw, instead of the preset's.")
    ] = None,
    encoder: Annotated[str | None, typer.Option(help="As in `bench run`.")] = None,
    width: Annotated[
        int | None, typer.Option(help="Feature length of the encoders, instead of the preset's.")
    ] = None,
    fusion: Annotated[str, typer.Option(help="As in `bench run`.")] = "late",
    unimodal: Annotated[str, typer.Option(help="heads or masked, as in `bench run`.")] = "heads",
    quiet: Quiet = False,
) -> None:
    """Tune methods with equal budgets, then compare them on fresh seeds.

    Learning rate, weight decay and a method's main hyper-parameters are searched. Choices are made
    on the validation split; no trial measures the test split. That is measured for the fresh seeds,
    defaults beside tuned. A killed search goes on to the same trials. `bench pack` stores trials
    and runs in one file; after `bench unpack` elsewhere the same command goes on there.
    """
    from mimo_sim import benchmark, datasets
    from mimo_sim._checks import check_count

    for name, value, *limits in (
        ("--trials", trials, 1, MOST_SEEDS),
        ("--trial-seeds", trial_seeds, 1, MOST_SEEDS),
        ("--seeds", seeds, 1, MOST_SEEDS),
        ("--first-seed", first_seed, 0),
        ("--sampler-seed", sampler_seed, 0),
    ):
        check_count(name, value, *limits)
    hyper = grammar.once(grammar.read_value("--set", text) for text in set_ or [])
    laws = grammar.once(grammar.read_space("--space", text) for text in space or [])
    own_data = data_settings(data or [], with_setting=bool(setting))
    record = datasets.get(dataset)
    preset_data, options = record.preset(preset)
    given = {
        "epochs": epochs,
        "lr": lr,
        "weight_decay": weight_decay,
        "optimizer": optimizer,
        "encoder": encoder,
        "width": width,
    }
    options |= {name: value for name, value in given.items() if value is not None}
    options |= {"fusion": fusion, "unimodal": unimodal}
    others = [text for text in data or [] if not text.startswith("setting=")]
    said = command_options(
        {"trials": trials, "sampler_seed": sampler_seed or None, "preset": preset, "data": others},
        given,
        {"trial_seeds": trial_seeds, "fusion": fusion, "unimodal": unimodal},
    )
    wanted: Sequence[str | None] = setting or [record.default_setting]
    planned = [
        job
        for name in wanted
        for job in benchmark.plan(
            dataset,
            method,
            [0],
            options,
            preset_data | ({} if name is None else {"setting": name}) | own_data,
            hyper,
            None,
            None if root is None else str(root),
        )
    ]
    own_laws = benchmark.laws_of([job.method for job in planned], laws)
    searches = [
        benchmark.Search(
            job,
            trials,
            tuple(range(trial_seeds)),
            sampler_seed,
            command_line(
                *("bench", "tune"),
                dataset=dataset,
                setting=job.data.get("setting") if record.default_setting else None,
                method=job.method,
                set=[f"{key}={grammar.write(value)}" for key, value in job.hyper.items()],
                space=[
                    f"{key}={grammar.write_space(law)}" for key, law in own_laws[job.method].items()
                ],
                **said,
            ),
            own_laws[job.method],
        )
        for job in planned
    ]
    fresh = range(first_seed, first_seed + seeds)
    runs = len(searches) * (trials * trial_seeds + 2 * seeds)
    total = runs * searches[0].job.settings.epochs
    title = f"{len(searches)} searches of {trials} trials"
    with progress_bar(total, on_terminal(quiet), title) as advance:
        workers = num_workers(jobs, 1, "auto")
        failures = benchmark.tune(searches, fresh, out, workers, advance, cluster, in_lines(quiet))
    try:
        if not quiet:
            places = {search.job.place.parts[0] for search in searches}
            show_results(
                [run for run in benchmark.read(out) if run.dataset in places and run.seed in fresh]
            )
    finally:  # why runs failed explains why there is nothing to show
        say_failures(failures)


def command_options(*groups: dict[str, Any]) -> dict[str, Any]:
    """The options that are not left at their defaults."""
    import inspect

    defaults = {name: one.default for name, one in inspect.signature(tune).parameters.items()}
    return {
        name: value
        for group in groups
        for name, value in group.items()
        if value is not None and value != defaults[name]
    } | {"trials": groups[0]["trials"]}
