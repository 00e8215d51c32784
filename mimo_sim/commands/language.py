"""`mimo-sim language`: adapters of a language model that hears and sees."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mimo_sim._progress import on_terminal, progress_bar
from mimo_sim.commands import app
from mimo_sim.commands._options import Out, Quiet
from mimo_sim.commands._output import command_line, report, say_written


@app.command()
def language(
    adapter: Annotated[
        list[str] | None, typer.Option(help="lora or moka, repeatable; by default both.")
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(help="joint, scalarization or mimo, repeatable; by default all."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Number of seeds, from 0 on, >= 1.")] = 3,
    model: Annotated[
        str, typer.Option(help="tiny, or the folder of a causal language model.")
    ] = "tiny",
    epochs: Annotated[int, typer.Option(help="Passes over the train split.")] = 14,
    batch_size: Annotated[int, typer.Option(help="Pairs per step.")] = 64,
    lr: Annotated[float, typer.Option(help="Largest learning rate.")] = 7e-3,
    lam: Annotated[float, typer.Option(help="Penalty of MIMO, or weight of the sum.")] = 2.0,
    mu: Annotated[float, typer.Option(help="Smoothing mu of MIMO's maximum, > 0.")] = 0.1,
    rank: Annotated[int, typer.Option(help="Rank of an adapter, of each modality.")] = 4,
    tokens: Annotated[int, typer.Option(help="Tokens of each modality.")] = 1,
    train_size: Annotated[int, typer.Option(help="Pairs in the train split.")] = 4000,
    snr: Annotated[float, typer.Option(help="Speech over noise, in dB.")] = 6.0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    dtype: Annotated[
        str, typer.Option(help="Of a model from a folder: float32 or bfloat16.")
    ] = "float32",
    root: Annotated[Path | None, typer.Option(help="Folder of AV-MNIST's raw files.")] = None,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads; by default torch's choice.")
    ] = None,
    out: Out = Path("results/language"),
    quiet: Quiet = False,
) -> None:
    """Train adapters on the sum of a spoken and a written digit, in words.

    A training that is there is kept. Writes a file for each, language.json and language.md.
    """
    import torch

    from mimo_sim import language as room
    from mimo_sim._checks import check_count
    from mimo_sim.language import results
    from mimo_sim.training import records

    check_count("seeds", seeds)
    if threads is not None:
        torch.set_num_threads(check_count("threads", threads))
    todo = [
        room.LanguageSettings(
            adapter=one,  # type: ignore[arg-type]
            objective=other,  # type: ignore[arg-type]
            lam=lam,
            mu=mu,
            rank=rank,
            tokens=tokens,
            model=model,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            seed=seed,
            device=device,
            dtype=dtype,  # type: ignore[arg-type]
        )
        for seed in range(seeds)
        for one in adapter or ("lora", "moka")
        for other in objective or ("joint", "scalarization", "mimo")
    ]
    chosen = {"train_size": train_size, "validation_size": 500, "test_size": 1000, "snr": snr}
    kept, loaded, data = {}, -1, {}
    with progress_bar(len(todo) * epochs, on_terminal(quiet), "epochs") as advance:
        for settings in todo:
            about = {"settings": settings.described(), "data": chosen}
            path = results.place(out, about["settings"])
            found = results.load_same(path, about)
            if found is None:
                if loaded != settings.seed:
                    loaded, data = settings.seed, room.load_sums(root, settings.seed, **chosen)
                found = about | room.train_adapters(settings, data, on_epoch=lambda _: advance())
                found = records.plain(found)
                results.write(path, found)
            else:
                for _ in range(epochs):
                    advance()
            kept[settings] = found
    ordered = [kept[one] for one in sorted(kept, key=lambda one: (one.row, one.seed))]
    made = records.environment(torch.device(device)) | {"command": command_line(*sys.argv[1:])}
    written = results.write_together(out, records.plain(made), ordered)
    if not quiet:
        title = "The sum of a spoken and a written digit, in words"
        report(results.rows(ordered), results.HEADER, title)
        say_written(written)
