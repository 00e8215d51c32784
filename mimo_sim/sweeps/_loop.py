"""The loop over chunks: what is stored is read, what is missing is computed and stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mimo_sim.sweeps import _store as store
from mimo_sim.sweeps._backends import Backend
from mimo_sim.sweeps._design import Design
from mimo_sim.sweeps._recipe import Part, Recipe


def all_parts(
    recipe: Recipe,
    design: Design,
    folder: Path | None,
    backend: Backend,
    workers: int | None,
    cluster: Any,
    progress: bool,
) -> Part:
    """The results of all runs: chunks found in `folder`, and the others computed and kept there."""
    parts = {
        name: np.empty((design.runs, *shape), kind)
        for name, (shape, kind) in recipe.template.items()
    }
    missing = set(range(design.chunks))

    def place(index: int, part: Part) -> None:
        rows = design.rows(index)
        for name, values in part.items():
            parts[name][rows.start : rows.stop] = values
        missing.remove(index)

    if folder is not None:
        for index in range(design.chunks):
            found = store.read(folder / f"{index}.chunk")
            if found is not None:
                place(index, found)
    todo = sorted(missing)
    kept = design.runs - sum(len(design.rows(index)) for index in todo)
    chunks = ((index, design.columns(np.array(design.rows(index)))) for index in todo)
    try:
        with (
            _bar(design.runs, kept, recipe.options["steps"], progress) as advance,
            closing(backend(recipe, chunks, workers, cluster)) as results,
        ):
            for index, part in results:
                if folder is not None:
                    store.write(folder / f"{index}.chunk", part)
                place(index, part)
                advance(len(design.rows(index)))
    except BaseException as error:
        if folder is not None:
            error.add_note(
                f"{design.chunks - len(missing)} of {design.chunks} chunks are kept in {folder};"
                " the same call continues from there."
            )
        raise
    return parts


@contextmanager
def _bar(runs: int, done: int, steps: int, visible: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar over runs; yields a function that advances it."""
    if not visible:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("sweep"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs  {task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task, start, before = (
            bar.add_task("", total=runs, completed=done, rate=""),
            time.perf_counter(),
            done,
        )

        def advance(count: int) -> None:
            nonlocal done
            done += count
            rate = (done - before) * steps / (time.perf_counter() - start)
            bar.update(task, completed=done, rate=f"{rate:.3g} run-steps/s")

        yield advance
