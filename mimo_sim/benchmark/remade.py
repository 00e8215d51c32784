"""The command that trains the runs of a row again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from mimo_sim import datasets
from mimo_sim.benchmark.records import FinishedRun
from mimo_sim.benchmark.wording import given_hyper
from mimo_sim.datasets._record import PRESET_EPOCHS, PRESETS

OWN = ("setting", "seed", "checksum", "file")  # of the data: named elsewhere, or a consequence


def command_of(runs: Sequence[FinishedRun]) -> str:
    """The `mimo-sim bench run` that makes these runs.

    Parameters
    ----------
    runs : sequence of FinishedRun
        All seeds of one method on one data set.

    Returns
    -------
    str
        One command for each stretch of seeds, on a line of its own. A tuned method has the
        command that tuned it.
    """
    config = runs[0].result["config"]
    tuned = config.get("tuning")
    if tuned:
        return _with_seeds(shlex.split(tuned["command"]), runs)
    words = ["mimo-sim", "bench", "run", "--dataset", config["dataset"]]
    if "setting" in config["data"]:
        words += ["--setting", config["data"]["setting"]]
    words += ["--method", config["method"]]
    for key, value in given_hyper(runs[0].method).items():
        words += ["--set", f"{key}={value}"]
    words += _size(config)
    words += _training(config["settings"])
    return _with_seeds(words, runs)


def _with_seeds(words: Sequence[Any], runs: Sequence[FinishedRun]) -> str:
    """The command for each stretch of seeds."""
    return "\n".join(
        shlex.join([*map(str, words), *stretch]) for stretch in _seeds([run.seed for run in runs])
    )


def _size(config: Mapping[str, Any]) -> Iterator[str]:
    """Preset, data settings and epochs."""
    own = {key: value for key, value in config["data"].items() if key not in OWN}
    epochs = PRESET_EPOCHS
    with suppress(ValueError):  # a data set that is not here has no presets
        record = datasets.get(config["dataset"])
        for name in PRESETS:
            data, settings = record.preset(name)
            if data.items() <= own.items():
                if name != PRESETS[0]:
                    yield from ("--preset", name)
                own = {key: value for key, value in own.items() if key not in data}
                epochs = settings["epochs"]
                break
    for key, value in own.items():
        yield from ("--data", f"{key}={_text(value)}")
    if config["settings"]["epochs"] != epochs:
        yield from ("--epochs", str(config["settings"]["epochs"]))


def _training(settings: Mapping[str, Any]) -> Iterator[str]:
    """The training options that are not left at their defaults."""
    from mimo_sim.training import Settings

    defaults = vars(Settings(epochs=1))
    for key, value in settings.items():
        if key not in ("epochs", "seed", "probes") and value != defaults.get(key):
            yield from (f"--{key.replace('_', '-')}", _text(value))


def _seeds(seeds: Sequence[int]) -> Iterator[list[str]]:
    """Options for every stretch of seeds without a gap."""
    first = last = None
    for seed in [*sorted(seeds), None]:
        if first is not None and last is not None and seed == last + 1:
            last = seed
            continue
        if first is not None and last is not None:
            start = ["--first-seed", str(first)] if first else []
            yield ["--seeds", str(last - first + 1), *start]
        first = last = seed


def _text(value: Any) -> str:
    """A value as the command line reads it."""
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
