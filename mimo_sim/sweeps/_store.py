"""Finished chunks on disk, and whose they are."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from mimo_sim._files import replacing
from mimo_sim.dynamics import trajectory
from mimo_sim.sweeps._recipe import Part


def write(path: Path, part: Part) -> None:
    """A chunk as its digest and an .npz, so that any damage is noticed."""
    buffer = io.BytesIO()
    np.savez(buffer, **part)  # type: ignore[arg-type]
    with replacing(path) as temporary:
        temporary.write_bytes(hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue())


def read(path: Path) -> Part | None:
    """A chunk written before; None if there is none, or it is damaged."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if hashlib.sha256(content[32:]).digest() != content[:32]:
        return None
    with np.load(io.BytesIO(content[32:])) as arrays:
        return dict(arrays)


def _refuse(path: Path, record: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raise unless this very design was found at `path`."""
    different = sorted(
        name for name in record.keys() | found.keys() if record.get(name) != found.get(name)
    )
    if different:
        raise ValueError(
            f"{path} holds another sweep (different: {', '.join(different)}). Choose another `out`, or allow it to be lost with overwrite."
        )


def finished(out: Path, record: Mapping[str, Any]) -> xr.Dataset | None:
    """The sweep stored at `out`, if there is one; it must be this one."""
    if not out.exists():
        return None
    try:
        data = trajectory.load(out)
    except (ValueError, OSError):
        raise ValueError(
            f"{out} is there already and is not a sweep of mimo_sim. Choose another `out`, or allow it to be lost with overwrite."
        ) from None
    _refuse(out, record, data.attrs)
    return data


def open_folder(folder: Path, record: Mapping[str, Any], overwrite: bool) -> None:
    """Make the folder of chunks, or continue the one that is there."""
    note = folder / "design.json"
    if folder.exists() and not all(
        path.name.startswith(".") for path in folder.iterdir()
    ):  # a dot: the first file was never finished
        if not note.is_file():
            raise ValueError(
                f"{folder} is there already and is not a folder of mimo_sim's chunks. Choose another `out`."
            )
        try:
            _refuse(folder, record, json.loads(note.read_text()))
            return
        except ValueError:
            if not overwrite:
                raise
        shutil.rmtree(folder)
    with replacing(note) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")
