"""Small real tables, here in their true formats: six views of digits, and ratings of emotions."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from mimo_sim import datasets
from mimo_sim.datasets import _files as files
from mimo_sim.datasets import cremad_ratings, mfeat
from tests.datasets._files import put


def sha(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def test_six_views_of_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    views = np.empty((6, 1), dtype=object)
    for place, shape in enumerate(mfeat.RECORD.modalities.values()):
        views[place, 0] = rng.integers(0, 200, (100, *shape)) * np.logspace(0, 4, shape[0])
    views[3, 0][:, 2] = 7  # a column that never changes
    path = tmp_path / mfeat.FILE
    path.parent.mkdir()
    savemat(path, {"X": views, "y": np.repeat(np.arange(1, 11), 10)[:, None]})
    known = files.Download("", {mfeat.FILE: sha(path.read_bytes())}, 1)
    monkeypatch.setattr(mfeat, "DOWNLOAD", known)
    data = datasets.load("mfeat", tmp_path)
    assert {m.name: m.shape for m in data.modalities} == mfeat.RECORD.modalities
    assert [len(part) for part in (data.train, data.validation, data.test)] == [60, 20, 20]
    assert data.test.target.bincount().tolist() == [2] * 10
    for place, x in enumerate(data.train.inputs):
        changing = [column for column in range(x.shape[1]) if (place, column) != (3, 2)]
        np.testing.assert_allclose(x.mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(x[:, changing].std(0, correction=0), 1, rtol=1e-4)
    with pytest.raises(FileNotFoundError, match="mimo-sim data prepare mfeat --root"):
        datasets.load("mfeat", tmp_path / "nowhere")


COLUMNS = ["", *"ADFHNS", "fileName", *cremad_ratings.LEVELS]


def ratings() -> dict[str, bytes]:
    """1,200 clips. The voice is heard as it was meant; the face always has two votes for S."""
    names = [
        f"{actor}_{line}_{code}_XX"
        for actor, line, code in product(
            range(1001, 1011), range(20), cremad_ratings.EMOTIONS.values()
        )
    ]
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(COLUMNS)
    for kind in (1, 2, 3):
        for row, name in enumerate(names):
            meant = list(cremad_ratings.EMOTIONS.values()).index(name.split("_")[2])
            counts = [3 * (place == meant) + 1 for place in range(6)]
            votes = {1: counts, 2: [0, 0, 0, 0, 0, 2], 3: [9] * 6}[kind]
            levels = [80.0 if count > 1 else -1 for count in votes]
            writer.writerow([100_000 * kind + row, *votes, name, *levels])
    lists = [f"{name},{name.split('_')[2]}\n" for name in names]
    contents = (table.getvalue(), "".join(lists[:1000]), "".join(lists[1000:]))
    return {path: text.encode() for path, text in zip(cremad_ratings.SUMS, contents, strict=True)}


def test_ratings_of_voice_and_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = ratings()
    put(tmp_path, contents)
    sums = {path: sha(content) for path, content in contents.items()}
    monkeypatch.setattr(cremad_ratings, "SUMS", sums)
    data = datasets.load("cremad_ratings", tmp_path)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [330, 670, 200]
    for part in (data.train, data.validation, data.test):
        voice, face = part.inputs
        np.testing.assert_array_equal(voice[:, :6].argmax(1), part.target)
        np.testing.assert_allclose(voice[:, :6].sum(1), 1, rtol=1e-6)
        np.testing.assert_allclose(voice[:, 6:].sum(1), 0.8, rtol=1e-6)
        np.testing.assert_allclose(
            face, np.array([[0, 0, 0, 0, 0, 1] + [0] * 5 + [0.8]] * len(face))
        )
    record = replace(cremad_ratings.RECORD, downloads=[files.Download("", sums, 1)])
    assert not files.faults(tmp_path, record.downloads)
