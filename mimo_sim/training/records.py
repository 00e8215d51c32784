"""Records of runs: the folder ``<out>/<data set>/<method>/seed<k>/`` of a finished training.

It holds ``config.json``, ``epochs.csv`` and ``result.json``, and ``checkpoint.pt`` while the run
goes on. A file is there as a whole or not at all.
"""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimo_sim._files import at_work, replacing
from mimo_sim.training import origins

if TYPE_CHECKING:
    import torch

    from mimo_sim.datasets._data import Dataset
    from mimo_sim.methods._base import Method
    from mimo_sim.training.result import Result
    from mimo_sim.training.settings import Settings

CONFIG, TABLE, RESULT, CHECKPOINT = "config.json", "epochs.csv", "result.json", "checkpoint.pt"


def plain(tree: Any) -> Any:
    """The same in JSON types: arrays become lists, and what JSON does not know becomes its text.

    So do infinity and nan, ``"Infinity"`` and ``"NaN"``: :func:`float` reads them.
    """

    def convert(value: Any) -> Any:
        return value.tolist() if hasattr(value, "tolist") else str(value)

    return json.loads(json.dumps(tree, default=convert), parse_constant=str)


def describe(
    method: Method, dataset: Dataset, settings: Settings, encoders: Mapping[str, Any] = {}
) -> dict[str, Any]:
    """Everything that decides the numbers of a run, apart from the machine.

    Own encoders are described by their layers, as torch prints them, and functions by their names.
    """
    about: dict[str, Any] = {
        "dataset": dataset.name,
        "data": {**dataset.about, "checksum": dataset.checksum()},
        "method": method.name,
        "hyper": method.hyper,
        "settings": settings.described(),
    }
    if encoders:
        about["encoders"] = {
            name: getattr(own, "__qualname__", None) or repr(own) for name, own in encoders.items()
        }
    return plain(about)  # type: ignore[no-any-return]


def environment(device: torch.device) -> dict[str, Any]:
    """Versions of other packages, device, threads, and the origin of this package's code."""
    import numpy as np
    import torch

    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    return {
        "versions": versions,
        "device": gpu or platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "origin": origins.described(origins.here()),
    }


@dataclass(frozen=True)
class Record:
    """The folder of one run.

    Attributes
    ----------
    folder : Path
    config : dict
        Everything that decides the numbers of the run, in JSON types.
    """

    folder: Path
    config: dict[str, Any]

    def open(self) -> None:
        """Claim the folder.

        Raises
        ------
        ValueError
            If it holds a run of another configuration, or a finished one.
        """
        if self.finished():
            raise ValueError(
                f"{self.folder} holds a finished run. "
                f"Read its {RESULT}, or delete it to train again."
            )
        write_json(self.folder / CONFIG, self.config)
        for leftover in self.folder.glob(".*.part.*"):
            if not at_work(leftover):
                leftover.unlink(missing_ok=True)

    def finished(self) -> bool:
        """Whether the final result is there.

        A run that failed before its first checkpoint has left nothing, so its folder may be used
        for another configuration.

        Raises
        ------
        ValueError
            If the folder holds a run of another configuration, or a damaged result.
        """
        done = (self.folder / RESULT).is_file()
        begun = done or (self.folder / CHECKPOINT).is_file()
        path = self.folder / CONFIG
        if begun and path.is_file():
            differing = differences(comparable(read_json(path)), comparable(self.config))
            if differing:
                raise ValueError(
                    f"{self.folder} holds a run of another configuration: "
                    f"{'; '.join(differing)}. Choose another folder or delete it."
                )
        if done:
            read_json(self.folder / RESULT)
        return done

    def close(self, result: Result, definitions: Mapping[str, str]) -> None:
        """Write the table and the result, and delete the checkpoint.

        Parameters
        ----------
        result : Result
        definitions : mapping
            What the figures of the result mean, by name.
        """
        write_table(self.folder, result.table)
        content = {
            "config": self.config,
            "metrics": result.metrics,
            "definitions": dict(definitions),
            **result.about,
        }
        write_json(self.folder / RESULT, plain(content))
        (self.folder / CHECKPOINT).unlink(missing_ok=True)


def write_table(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """The table of a run's epochs, whole or not at all; what a row lacks is an empty cell."""
    names = list(dict.fromkeys(key for row in rows for key in row))
    with (
        replacing(folder / TABLE) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """A JSON file, whole or not at all; inf and nan are refused."""
    with replacing(path) as temporary:
        text = json.dumps(content, indent=2, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path, remedy: str = "") -> dict[str, Any]:
    """What :func:`write_json` wrote.

    Raises
    ------
    ValueError
        If it is something else. The message names the file, and says the remedy.
    """
    remedy = remedy or f"Delete the folder {path.parent} and run again."
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # not JSON, or not even text
        raise ValueError(f"{path} is damaged ({error}). {remedy}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged (not an object). {remedy}")
    return content


def comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without the words of the command that asked for its tuning.

    Two commands may ask for the same: ``--width 64`` where 64 is the preset's.
    """
    if "tuning" not in config:
        return dict(config)
    tuning = {key: value for key, value in config["tuning"].items() if key != "command"}
    return {**config, "tuning": tuning}


def differences(old: Any, new: Any, where: str = "") -> list[str]:
    """Every entry in which two trees of dicts differ, as words."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return [] if old == new else [f"{where} is {old!r} there, {new!r} here"]
    found = []
    for key in sorted({*old, *new}):
        place = f"{where}.{key}" if where else key
        found += differences(old.get(key), new.get(key), place)
    return found
