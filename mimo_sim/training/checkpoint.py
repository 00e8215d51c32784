"""The state of a run in a file after every epoch, so that a killed run continues."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch

from mimo_sim._files import replacing
from mimo_sim.methods._base import Method
from mimo_sim.networks._base import FusionNetwork
from mimo_sim.training.evaluation import Selection
from mimo_sim.training.origins import Origin, described


class SavedRun(Protocol):
    """What a checkpoint needs of a run."""

    model: FusionNetwork
    method: Method
    optimizer: torch.optim.Optimizer
    device: torch.device
    table: list[dict[str, float]]
    seconds: float
    selection: Selection
    origin: Origin


def state(run: SavedRun) -> dict[str, Any]:
    """Everything that a run needs to continue to the same bytes."""
    return {
        "model": run.model.state_dict(),
        "method": run.method.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "table": run.table,
        "seconds": run.seconds,
        "best": run.selection.best,
        "origin": described(run.origin),
    }


def save(run: SavedRun, path: Path) -> None:
    """Write the state of a run: the whole file, or none."""
    with replacing(path) as temporary:
        torch.save(state(run), temporary)


def load(run: SavedRun, path: Path) -> None:
    """Continue from what :func:`save` wrote.

    A run that one code began and another one ends cannot be repeated: it is not ``clean``.

    Raises
    ------
    ValueError
        If the file is damaged.
    """
    try:
        found = torch.load(path, map_location=run.device, weights_only=True)
    except Exception as error:  # what torch raises depends on where the damage is
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}). Delete it: the run then starts again."
        ) from error
    restore(run, found)
    run.optimizer.load_state_dict(found["optimizer"])
    run.table = found["table"]
    run.seconds = found["seconds"]
    run.selection.best = tuple(found["best"])
    if found.get("origin") != described(run.origin):
        run.origin = replace(run.origin, clean=False)


def restore(run: SavedRun, found: dict[str, Any]) -> None:
    """Set the model and the method to a state.

    Some buffers of methods get their shape in training. They are made in the shape in which they
    were stored.
    """
    run.model.load_state_dict(found["model"])
    for path, value in found["method"].items():
        owner, _, name = path.rpartition(".")
        buffers = run.method.get_submodule(owner)._buffers
        if name in buffers:
            buffers[name] = value.to(run.device, copy=True)
    run.method.load_state_dict(found["method"])
