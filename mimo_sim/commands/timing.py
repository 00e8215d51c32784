"""`mimo-sim bench timing`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mimo_sim._progress import on_terminal, progress_bar
from mimo_sim.commands import bench
from mimo_sim.commands._options import Out, Quiet
from mimo_sim.commands._output import command_line, report, say_written

CLOCKS = {"wall": "elapsed time", "processor": "processor time"}


@bench.command()
def timing(
    method: Annotated[
        list[str] | None, typer.Option(help="Method, repeatable; by default all.")
    ] = None,
    network: Annotated[
        str, typer.Option(help="lenet (AV-MNIST shapes) or resnet18 (CREMA-D shapes).")
    ] = "lenet",
    rounds: Annotated[int, typer.Option(help="Rounds that count, >= 1.")] = 50,
    warm_up: Annotated[int, typer.Option(help="Rounds before them, >= 0.")] = 5,
    batch_size: Annotated[int, typer.Option(help="Samples per step.")] = 64,
    clock: Annotated[
        str,
        typer.Option(help="wall, or processor (CPU time of this process, for shared machines)."),
    ] = "wall",
    accelerator: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="32-true or bf16-mixed.")] = "32-true",
    captured: Annotated[
        bool,
        typer.Option(
            "--captured", help="On CUDA, take whole steps as graphs where a method allows it."
        ),
    ] = False,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads; by default torch's choice.")
    ] = None,
    out: Out = Path("results"),
    quiet: Quiet = False,
) -> None:
    """Time one step of every method on random tensors; methods take turns.

    Writes timing-<network>.json and timing-<network>.md.
    """
    import torch

    from mimo_sim import methods
    from mimo_sim._files import replacing
    from mimo_sim.benchmark import timing as timings
    from mimo_sim.training import records

    if threads is not None:
        if threads < 1:
            raise ValueError(f"`--threads` must be >= 1. Got {threads}.")
        torch.set_num_threads(threads)
    chosen = [methods.create(name) for name in method or methods.available()]
    with progress_bar(warm_up + rounds, on_terminal(quiet), "rounds") as advance:
        found, device = timings.time_methods(
            chosen,
            network,  # type: ignore[arg-type]
            rounds=rounds,
            warm_up=warm_up,
            batch_size=batch_size,
            clock=clock,  # type: ignore[arg-type]
            accelerator=accelerator,
            precision=precision,  # type: ignore[arg-type]
            captured=captured,
            on_round=advance,
        )
    shapes = {name: [batch_size, *shape] for name, shape in timings.SHAPES[network].items()}
    measured = "time between CUDA events" if device.type == "cuda" else CLOCKS[clock]
    content = {
        "about": records.environment(device)
        | {"command": command_line(*sys.argv[1:]), "threads": torch.get_num_threads()},
        "network": network,
        "shapes": shapes,
        "precision": precision,
        "measured": measured,
        "rounds": rounds,
        "how": timings.CAPTION,
        "methods": [
            {
                "method": one.method,
                "hyper": one.hyper,
                "fusion": one.fusion,
                "seconds": {part: one.quartiles(part) for part in timings.PARTS},
                "ratio": {
                    part: one.quartiles(part, timings.baseline_of(found, one.fusion))
                    for part in timings.PARTS
                },
            }
            for one in found
        ],
    }
    inputs = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in shapes.items())
    caption = (
        f"One step on random tensors ({inputs}), encoders {network}, {device.type}, {precision}, "
        f"{measured}. {timings.CAPTION}"
    )
    numbers, table = out / f"timing-{network}.json", out / f"timing-{network}.md"
    records.write_json(numbers, records.plain(content))
    with replacing(table) as temporary:
        temporary.write_text(timings.timing_markdown(found, caption))
    if not quiet:
        title = f"Step of {batch_size} samples, {network} on {device.type}, {measured}"
        report(timings.timing_rows(found), timings.HEADER, title)
        say_written([numbers, table])
