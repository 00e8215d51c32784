"""Data sets without a store, from raw files in their true formats: prepare, verify, train, table.

The six sets of the paper, which have stores, are in `test_clips.py` and `test_sequence_sets.py`.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from mimo_sim import benchmark, datasets
from mimo_sim.datasets import _files as files
from mimo_sim.datasets import _grid_raw, cremad_ratings, grid, mfeat
from tests.datasets._files import TINY, know, put, raw_files, sums
from tests.datasets.test_clips import run
from tests.datasets.test_grid import SENTENCES, speaker
from tests.datasets.test_tables import ratings

TEN = (
    *("avmnist", "grid", "mfeat", "cremad_ratings"),
    *("cremad", "kinetics_sounds", "vggsound", "ave", "urfunny", "mosei"),
)
Patch = pytest.MonkeyPatch


def sha(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def know_files(patch: Patch, module: Any, **changes: Any) -> None:
    """Let these be the raw files of a data set."""
    record = replace(module.RECORD, **changes)
    patch.setattr(module, "RECORD", record)
    patch.setitem(datasets._registry(), record.name, record)


def make_avmnist(root: Path, patch: Patch) -> dict[str, Any]:
    contents = raw_files()
    put(root, contents)
    know(patch, files.Download("http://127.0.0.1:9/nothing.tar.gz", sums(contents), 1))
    return {**TINY, "setting": "A"}


def make_grid(root: Path, patch: Patch) -> dict[str, Any]:
    content = io.BytesIO()
    np.savez(content, **speaker())  # type: ignore[arg-type]
    put(root, {"grid_s1/grid_s1.npz": content.getvalue()})
    copy = {"grid_s1/grid_s1.npz": sha(content.getvalue())}
    patch.setattr(_grid_raw, "COPY", copy)
    patch.setattr(grid, "SENTENCES", SENTENCES)
    know_files(patch, grid, copy=copy)
    return {"train_sentences": 25}


def make_mfeat(root: Path, patch: Patch) -> dict[str, Any]:
    rng, digit = np.random.default_rng(0), np.repeat(np.arange(10), 20)
    views = np.empty((6, 1), dtype=object)
    for place, shape in enumerate(mfeat.RECORD.modalities.values()):
        views[place, 0] = rng.normal(size=(10, *shape))[digit] + 0.5 * rng.normal(
            size=(200, *shape)
        )
    path = root / mfeat.FILE
    path.parent.mkdir(parents=True)
    savemat(path, {"X": views, "y": digit[:, None] + 1})
    known = files.Download("", {mfeat.FILE: sha(path.read_bytes())}, 1)
    patch.setattr(mfeat, "DOWNLOAD", known)
    know_files(patch, mfeat, downloads=(known,))
    return {}


def make_ratings(root: Path, patch: Patch) -> dict[str, Any]:
    contents = ratings()
    put(root, contents)
    known = {path: sha(content) for path, content in contents.items()}
    patch.setattr(cremad_ratings, "SUMS", known)
    know_files(patch, cremad_ratings, downloads=(files.Download("", known, 1),))
    return {}


@pytest.mark.parametrize(
    ("name", "make", "above"),
    [
        ("avmnist", make_avmnist, None),  # 40 samples
        ("grid", make_grid, None),  # what the clips show says nothing of the word
        ("mfeat", make_mfeat, 0.8),  # chance is 0.1
        ("cremad_ratings", make_ratings, 0.8),  # chance is 0.2
    ],
)
def test_from_raw_files_to_a_table(
    name: str,
    make: Callable[[Path, Patch], dict[str, Any]],
    above: float | None,
    tmp_path: Path,
    monkeypatch: Patch,
) -> None:
    monkeypatch.setenv("MIMO_SIM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MIMO_SIM_DATA", raising=False)
    raw = tmp_path / "raw"
    given = make(raw, monkeypatch)
    options = [word for key, value in given.items() for word in ("--option", f"{key}={value}")]
    said = run("data", "prepare", name, "--root", raw, *options).stdout
    assert "all raw files are in" in said
    assert "raw files in" in run("data", "verify", name, "--root", raw).stdout
    data = [
        word
        for key, value in given.items()
        for word in (["--setting", value] if key == "setting" else ["--data", f"{key}={value}"])
    ]
    run(
        *("bench", "run", "--dataset", name, "--method", "mimo", "--root", raw, *data),
        *("--out", tmp_path / "results", "--jobs", "1", "--epochs", "8", "--accelerator", "cpu"),
    )
    (table,) = (tmp_path / "results").rglob("epochs.csv")
    with table.open() as file:
        losses = [float(row["train_loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < losses[0]
    said = run("bench", "compare", tmp_path / "results", "--mixed").stdout
    assert "mimo" in said
    if above is not None:
        (finished,) = benchmark.read(tmp_path / "results")
        assert finished.metrics()["accuracy"] > above


def test_the_ten_data_sets_are_listed() -> None:
    said = run("data", "list").stdout.splitlines()
    for name in TEN:
        (row,) = (number for number, line in enumerate(said) if line.startswith(f"{name}: "))
        facts = said[row + 1 : row + 8]
        for word in ("modalities", "licence", "home"):
            assert any(line.split()[:1] == [word] for line in facts), (name, word)
    for name in TEN[4:]:  # those of the paper
        assert "paper" in datasets.get(name).presets
