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
from mimo_sim.training.records import plain

NOT_ASKED = ("seed", "probes", "pretrained")  # without an option, or with one of their own
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
    return _with_seeds(words, runs)


def _with_seeds(words: Sequence[Any], runs: Sequence[FinishedRun]) -> str:
    """The command for each stretch of seeds."""
    return "\n".join(
        shlex.join([*map(str, words), *stretch]) for stretch in _seeds([run.seed for run in runs])
    )


def _size(config: Mapping[str, Any]) -> Iterator[str]:
    """The preset that is closest, and what is not as it says."""
    from mimo_sim.training import Settings

    data = {key: value for key, value in config["data"].items() if key not in OWN}
    settings = {key: value for key, value in config["settings"].items() if key not in NOT_ASKED}
    plainest = vars(Settings(epochs=PRESET_EPOCHS))
    presets: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    with suppress(ValueError):  # a data set that is not here has no presets
        record = datasets.get(config["dataset"])
        presets = {name: record.preset(name) for name in (*PRESETS, *record.presets)}
    best, left, changed = "", data, _others(settings, plainest)
    for name, (own_data, own_settings) in presets.items():
        own_data = plain(own_data)
        differing = _others(settings, plainest | plain(own_settings))
        closer = not best or len(differing) < len(changed)
        if _others(own_data, data) == {} and closer:
            best, left, changed = name, _others(data, own_data), differing
    if best and best != PRESETS[0]:
        yield from ("--preset", best)
    for key, value in left.items():
        yield from ("--data", f"{key}={_text(value)}")
    for key, value in changed.items():
        yield from (f"--{key.replace('_', '-')}", _text(value))


def _others(entries: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that `known` does not have, or has with another value."""
    return {key: value for key, value in entries.items() if key not in known or known[key] != value}


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
