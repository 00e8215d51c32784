"""Files of a sweep: its finished chunks, and whether a file or folder belongs to this sweep."""

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
from mimo_sim.sweeps._identity import Identity
from mimo_sim.sweeps._recipe import Part

DESIGN = "design.json"  # in a folder of chunks: the sweep that they belong to
DIGEST = hashlib.sha256().digest_size  # bytes at the start of a chunk's file


def write(path: Path, part: Part) -> None:
    """Write a chunk: a digest and then an .npz, so that any damage is noticed."""
    buffer = io.BytesIO()
    np.savez(buffer, **part)  # type: ignore[arg-type]
    content = buffer.getvalue()
    with replacing(path) as temporary:
        temporary.write_bytes(hashlib.sha256(content).digest() + content)


def read(path: Path) -> Part | None:
    """A chunk that was written before; None if there is none or it is damaged."""
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        return None
    digest, content = stored[:DIGEST], stored[DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        return None
    with np.load(io.BytesIO(content)) as arrays:
        return dict(arrays)


def finished(out: Path, own: Identity) -> xr.Dataset | None:
    """The finished sweep at `out`, or None; raise if something else is there."""
    if not out.exists():
        return None
    try:
        data = trajectory.load(out)
    except (ValueError, OSError):
        raise ValueError(
            f"{out} is there already and is not a sweep of mimo_sim."
            " Choose another `out`, or allow it to be lost with overwrite."
        ) from None
    _refuse_another(out, own, data.attrs)
    return data


def open_folder(folder: Path, own: Identity, overwrite: bool) -> None:
    """Make the folder of chunks, or continue the one that is there.

    Raise if it belongs to another sweep, unless `overwrite` allows its loss. Raise also if it is no
    folder of chunks.
    """
    note = folder / DESIGN
    if folder.exists() and any(_finished_file(path) for path in folder.iterdir()):
        if not note.is_file():
            raise ValueError(
                f"{folder} is there already and is not a folder of mimo_sim's chunks."
                " Choose another `out`."
            )
        try:
            _refuse_another(folder, own, json.loads(note.read_text()))
            return
        except ValueError:
            if not overwrite:
                raise
        remove_folder(folder)
    with replacing(note) as temporary:
        temporary.write_text(json.dumps(own, indent=1) + "\n")


def remove_folder(folder: Path) -> None:
    """Remove a folder of chunks. After a kill on the way it is still one: its design goes last."""
    for path in folder.iterdir():
        if path.name != DESIGN:
            path.unlink()
    shutil.rmtree(folder)


def _finished_file(path: Path) -> bool:
    """Whether a file is finished. The temporary file of a killed run begins with a dot."""
    return not path.name.startswith(".")


def _refuse_another(path: Path, own: Identity, found: Mapping[str, Any]) -> None:
    """Raise unless the sweep found at `path` is this one."""
    names = own.keys() | found.keys()
    different = sorted(name for name in names if own.get(name) != found.get(name))
    if different:
        raise ValueError(
            f"{path} holds another sweep (different: {', '.join(different)})."
            " Choose another `out`, or allow it to be lost with overwrite."
        )
