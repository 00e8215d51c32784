"""Methods compared on data in memory, without a results folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from mimo_sim import datasets
from mimo_sim import methods as registry
from mimo_sim._checks import check_choice, check_count, is_sequence, shown
from mimo_sim._progress import progress_bar
from mimo_sim.benchmark.comparison import Row, caveats, summary
from mimo_sim.benchmark.records import SPLITS, FinishedRun
from mimo_sim.benchmark.tables import markdown
from mimo_sim.datasets._data import Dataset
from mimo_sim.datasets._record import PRESET_EPOCHS
from mimo_sim.methods._base import Method
from mimo_sim.training import Settings, train
from mimo_sim.training.definitions import DEFINITIONS
from mimo_sim.training.records import describe, plain

Data: TypeAlias = Dataset | str | Callable[[int], Dataset]


@dataclass(frozen=True)
class Comparison:
    """Methods compared over seeds. Printed, and in a notebook, it is a table in Markdown.

    Attributes
    ----------
    rows : list of Row
        One for each metric of each method.
    runs : list of FinishedRun
        Every training, with its metrics on validation and on test.
    baseline : str
    """

    rows: list[Row]
    runs: list[FinishedRun]
    baseline: str

    def __str__(self) -> str:
        return markdown(self.rows, self.baseline, caveats(self.runs))

    _repr_markdown_ = __str__


def compare(
    data: Data,
    methods: Sequence[Method | str],
    seeds: int | Sequence[int] = 3,
    *,
    baseline: str = "vanilla",
    split: str = "test",
    epochs: int = PRESET_EPOCHS,
    progress: bool = False,
    **settings: Any,
) -> Comparison:
    """Train methods with several seeds and compare them.

    Parameters
    ----------
    data : Dataset, str or function
        The same data for all seeds; or a name of :func:`mimo_sim.datasets.available` or an .npz
        file; or a function of the seed. The latter draw a new split for each seed.
    methods : sequence of Method or str
    seeds : int or sequence of int
        So many seeds from 0 on, or these.
    baseline : str
        The method that the others are compared with, seed by seed.
    split : {"test", "validation"}
        Choose by the validation split; report the test split.
    epochs : int
    progress : bool
        Show a bar of epochs on stderr.
    **settings
        Of :func:`mimo_sim.training.train`: ``encoders``, ``lr``, ``width`` and so on.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError, TypeError
        For bad arguments, or a method given twice.
    """
    given: Any = seeds
    numbers = list(given) if is_sequence(given) else range(check_count("seeds", given))
    if not numbers or len(set(numbers)) < len(numbers):
        raise ValueError(f"`seeds` must name at least one seed, each once. Got seeds={seeds!r}.")
    check_choice("split", split, SPLITS)
    if isinstance(methods, str | Method) or not methods:
        raise TypeError(f"`methods` must be a sequence of methods. Got methods={methods!r}.")
    chosen: dict[str, Method] = {}
    for method in methods:
        made = registry.create(method) if isinstance(method, str) else method
        if not isinstance(made, Method):
            raise TypeError(
                f"`methods` must be names or objects of mimo_sim.methods. Got {made!r}."
            )
        if chosen.setdefault(_label(made), made) is not made:
            raise ValueError(f"`methods` must differ. Got {_label(made)!r} twice.")
    if baseline != "vanilla" and baseline not in chosen:
        raise ValueError(f"`baseline` must be one of {tuple(chosen)}. Got {baseline!r}.")
    runs = []
    with progress_bar(len(numbers) * len(chosen) * epochs, progress, "comparing") as advance:
        for seed in numbers:
            loaded = _loaded(data, seed)
            for label, method in chosen.items():
                result = train(
                    method, loaded, epochs=epochs, seed=seed, on_epoch=advance, **settings
                )
                fields = {key: value for key, value in settings.items() if key in _FIELDS}
                options = Settings(epochs=epochs, seed=seed, **fields)
                content = {
                    "config": describe(method, loaded, options, settings.get("encoders") or {}),
                    "metrics": result.metrics,
                    "definitions": dict(DEFINITIONS),
                    **result.about,
                }
                runs.append(FinishedRun(loaded.name, label, seed, plain(content), Path()))
    return Comparison(summary(runs, baseline, split), runs, baseline)


_FIELDS = frozenset(Settings.__dataclass_fields__)


def _label(method: Method) -> str:
    """The method's name, and its hyper-parameters that are not the defaults."""
    defaults = registry.create(method.name).hyper
    changed = [
        f"{key}={value}"
        for key, value in method.hyper.items()
        if plain(value) != plain(defaults[key])  # a value may be an array
    ]
    return "-".join([method.name, *changed])


def _loaded(data: Data, seed: int) -> Dataset:
    if isinstance(data, str):
        return datasets.load(data, seed=seed)
    if not isinstance(data, Dataset) and not callable(data):
        raise TypeError(
            "`data` must be the name of a data set, a Dataset (arrays: "
            f"mimo_sim.datasets.from_arrays), or a function of the seed. Got {shown(data)}."
        )
    return data if isinstance(data, Dataset) else data(seed)
