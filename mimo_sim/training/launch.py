"""Train a method on a data set from start to end, in this process or in several."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mimo_sim import methods
from mimo_sim._checks import check_flag, check_path
from mimo_sim._progress import progress_bar
from mimo_sim.datasets._data import Dataset
from mimo_sim.errors import NonFiniteError
from mimo_sim.methods._base import Method
from mimo_sim.training import origins, records
from mimo_sim.training._build import OwnEncoder, make_fabric
from mimo_sim.training.definitions import DEFINITIONS
from mimo_sim.training.loop import TrainingRun
from mimo_sim.training.result import Result
from mimo_sim.training.settings import Settings

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def train(
    method: Method | str,
    dataset: Dataset,
    *,
    epochs: int,
    folder: str | Path | None = None,
    progress: bool = False,
    on_epoch: Callable[[int], None] | None = None,
    callback: Callable[[dict[str, float]], None] | None = None,
    config: dict[str, Any] | None = None,
    encoders: Mapping[str, OwnEncoder] | None = None,
    measure_test: bool = True,
    **settings: Any,
) -> Result:
    """Train a method on a data set, then measure it on validation and, once, on test.

    Parameters
    ----------
    method : Method or str
        An object from :func:`mimo_sim.methods.create`, or a registered name, which has its
        published defaults. The object is copied, not changed.
    dataset : Dataset
    epochs : int
    folder : path or None
        Where the run's record goes (:mod:`mimo_sim.training.records`). It has a checkpoint after
        every epoch, so a killed run continues; on a CPU to the same bytes. A finished run is
        refused.
    progress : bool
        Show a bar of epochs on stderr.
    on_epoch : function or None
        Called with the number of epochs just done.
    callback : function or None
        Called after every epoch with its row of the table: ``epoch``, ``train_loss``,
        ``validation_accuracy`` and so on. It needs ``devices=1``.
    config : dict or None
        What is written into ``config.json`` of the record; None writes method, data set and
        settings.
    encoders : mapping or None
        Own encoders by modality: a ``torch.nn.Module`` from (B, *shape) to (B, width), which is
        copied and keeps its start weights, or a function that makes one, such as the class. A
        function is called under the seed of the run. Other modalities have those of `encoder`.
    measure_test : bool
        False leaves the test split alone, as a search must: figures are of validation only.
    **settings
        The other fields of :class:`Settings`.

    Returns
    -------
    Result

    Raises
    ------
    ValueError, TypeError
        For a bad argument, a method that is not defined for this number of modalities, or a folder
        that holds another run or a finished one.
    NonFiniteError
        When training diverges.
    """
    options = Settings.of(epochs=epochs, **settings)
    if isinstance(method, str):
        method = methods.create(method)
    if not isinstance(method, Method):
        raise TypeError(
            f"`method` must be a name or an object of mimo_sim.methods. Got {method!r}."
        )
    if not isinstance(dataset, Dataset):
        raise TypeError(f"`dataset` must be what mimo_sim.datasets.load returns. Got {dataset!r}.")
    check_path("folder", folder)
    check_flag("measure_test", measure_test)
    own = _checked_encoders(encoders)
    if callback is not None and options.devices > 1:
        raise ValueError(f"`callback` needs `devices` = 1. Got devices={options.devices}.")
    record = None
    if folder is not None:
        about = config or records.describe(method, dataset, options, own)
        record = records.Record(Path(folder), about)
        record.open()
    place = None if record is None else record.folder
    fabric = make_fabric(options)
    with progress_bar(epochs, progress, f"{method.name} on {dataset.name}") as advance:

        def tick(count: int) -> None:
            advance(count)
            if on_epoch is not None:
                on_epoch(count)

        if options.devices == 1:
            result = _train_and_test(
                fabric, method, dataset, options, place, own, measure_test, tick, callback
            )
        else:
            result = _in_several_processes(
                fabric, method, dataset, options, place, own, measure_test
            )
            tick(epochs)  # other processes did them: all at once
    if record is not None:
        record.close(result, DEFINITIONS)
        result.folder = record.folder
    return result


def _checked_encoders(encoders: Any) -> Mapping[str, OwnEncoder]:
    """Own encoders, each a module or a function."""
    if encoders is not None and not isinstance(encoders, Mapping):
        raise TypeError(f"`encoders` must be a mapping from modalities. Got {encoders!r:.80}.")
    found: dict[str, OwnEncoder] = dict(encoders or {})
    for modality, own in found.items():
        if not callable(own):
            raise TypeError(
                f"`encoders[{modality!r}]` must be a torch.nn.Module or a function that makes one "
                f"(a name goes to `encoder`). Got {own!r:.80}."
            )
    return found


def _train_and_test(
    fabric: Fabric,
    method: Method,
    dataset: Dataset,
    settings: Settings,
    folder: Path | None,
    encoders: Mapping[str, OwnEncoder],
    measure_test: bool,
    on_epoch: Callable[[int], None] = lambda _: None,
    callback: Callable[[dict[str, float]], None] | None = None,
) -> Result:
    run = TrainingRun(method, dataset, settings, fabric, encoders)

    begun = False  # the first call tells of the epochs of a checkpoint

    def tick(count: int) -> None:
        nonlocal begun
        on_epoch(count)
        if begun and callback is not None:
            callback(dict(run.table[-1]))
        begun = True

    run.fit(folder, tick)
    measured = run.test(dataset.test if measure_test else None)
    data = {
        "name": dataset.name,
        "modalities": run.modality_names,
        "sizes": [len(split) for split in (dataset.train, dataset.validation, dataset.test)],
    }
    about = {
        "seconds": run.seconds,
        "data": data | dict(dataset.about),
        "parameters": sum(parameter.numel() for parameter in run.model.parameters()),
        **records.environment(run.device),
        "origin": origins.described(run.origin),
    }
    if run.device.type == "cuda":
        about["steps"] = f"eager: {run.steps.why_not}" if run.steps.why_not else "captured"
    return Result(run.table, measured, about, run.model, run.method)


def _in_several_processes(
    fabric: Fabric,
    method: Method,
    dataset: Dataset,
    settings: Settings,
    folder: Path | None,
    encoders: Mapping[str, OwnEncoder],
    measure_test: bool,
) -> Result:
    """The same in new processes, one for each device.

    Process 0 leaves the result in a file, because a queue loses the tensors of a process that ends.
    """
    environment = dict(os.environ)
    try:
        with tempfile.TemporaryDirectory() as place:
            work = partial(
                _one_of_several,
                method=method,
                dataset=dataset,
                settings=settings,
                folder=folder,
                encoders=encoders,
                measure_test=measure_test,
                place=place,
            )
            # not as arguments: the launcher walks through those and refuses frozen dataclasses
            fabric.launch(work)
            found = torch.load(Path(place) / "result.pt", weights_only=False)
    finally:  # the launcher leaves its port there, which the next run may find taken
        for name in {*os.environ} - {*environment}:
            del os.environ[name]
    if isinstance(found, NonFiniteError):
        raise found
    return found  # type: ignore[no-any-return]


def _one_of_several(
    fabric: Fabric,
    *,
    method: Method,
    dataset: Dataset,
    settings: Settings,
    folder: Path | None,
    encoders: Mapping[str, OwnEncoder],
    measure_test: bool,
    place: str,
) -> None:
    """What each process does."""
    found: Result | NonFiniteError
    try:
        found = _train_and_test(fabric, method, dataset, settings, folder, encoders, measure_test)
    except NonFiniteError as error:  # on every process alike
        found = error
    if fabric.is_global_zero:
        torch.save(found, Path(place) / "result.pt")
