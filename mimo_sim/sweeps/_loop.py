"""The loop over chunks: what is stored is read, what is missing is computed and stored."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from mimo_sim._progress import progress_bar
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
    steps = recipe.options["steps"]
    chunks = ((index, design.columns(np.array(design.rows(index)))) for index in todo)
    try:
        with (
            progress_bar(
                design.runs, progress, "sweep", done=kept, unit="runs", rate=(steps, "run-steps/s")
            ) as advance,
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
