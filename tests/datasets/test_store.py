"""Stores: the same bytes after a kill, faults found and named, samples read as written."""

from __future__ import annotations

import json
import pickle
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mimo_sim.datasets import _store as store
from mimo_sim.datasets._data import Dataset, Modality
from mimo_sim.datasets._media import MediaError
from mimo_sim.datasets._on_disk import OnDisk, of_store
from mimo_sim.datasets._stored import dataset_of
from mimo_sim.training import _ahead, train
from tests.datasets._stores import SHARD_SAMPLES, killed_while_preparing, make, plan
from tests.networks import SETTINGS
from tests.processes import CONTEXT

CLASSES = ("one", "two", "three")


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "SHARD_SAMPLES", SHARD_SAMPLES)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def data(root: Path, stream: bool, seed: int = 0) -> Dataset:
    folder = plan(root).folder
    modalities = (Modality("wave", (6,)), Modality("face", (1, 4, 4), 1 / 255))
    return dataset_of(folder, store.opened(folder, ""), seed, modalities, CLASSES, stream)


def test_bytes_do_not_depend_on_the_number_of_jobs(tmp_path: Path) -> None:
    made = plan(tmp_path)
    manifest = store.prepare(made, 1)
    once = content(made.folder)
    assert manifest["splits"] == {
        "test": {"listed": 10, "kept": 10},
        "train": {"listed": 40, "kept": 40},
    }
    assert len(once) == 13 * 3 + 1
    for path in made.folder.iterdir():
        path.unlink()
    store.prepare(made, 3)
    assert content(made.folder) == once


def test_a_store_has_the_same_bytes_after_ten_kills(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    store.prepare(plan(whole))
    plan(killed)  # its raw files are there before anything is killed
    rng = np.random.default_rng(0)
    reached = []
    for longest in np.linspace(0.03, 0.3, 10):  # seconds: on a busy machine the first may be short
        process = CONTEXT.Process(
            target=killed_while_preparing, args=(killed, rng.uniform(0, longest))
        )
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        reached.append(len(list(plan(killed).folder.glob("shard-*.json"))))
    assert max(reached) > 0
    assert reached == sorted(reached)  # nothing that was finished is lost
    store.prepare(plan(killed))
    assert content(plan(killed).folder) == content(plan(whole).folder)


def test_missing_files_are_counted_and_named(tmp_path: Path) -> None:
    made = plan(tmp_path)
    for number in (0, 7):
        (tmp_path / f"raw/{number}.txt").unlink()
    with pytest.raises(FileNotFoundError) as refusal:
        store.prepare(made)
    assert "2 of 50 samples of toy are missing" in str(refusal.value)
    assert "39 kept / 40 listed in train, 9 kept / 10 listed in test" in str(refusal.value)
    assert "clip-7-ä: missing: raw/7.txt" in str(refusal.value)
    assert not made.folder.exists()
    counted: list[int] = []
    manifest = store.prepare(made, allow_missing=True, advance=counted.append)
    assert sum(counted) == 50
    assert manifest["left_out"].keys() == {"clip-0-ä", "clip-7-ä"}
    fewer = manifest["kept"]
    (tmp_path / "raw/7.txt").write_text("7")
    (tmp_path / "raw/0.txt").write_text("0")
    before = {path.name: path.stat().st_mtime_ns for path in made.folder.glob("*.npy")}
    complete = store.prepare(made)
    assert complete["kept"] != fewer
    after = {path.name: path.stat().st_mtime_ns for path in made.folder.glob("*.npy")}
    assert sum(before[name] != after[name] for name in before) == 4  # only the shards 0 and 1


def test_files_of_no_use_are_named_and_can_be_left_out(tmp_path: Path) -> None:
    made = plan(tmp_path)
    (tmp_path / "raw/9.txt").write_text("bad")
    with pytest.raises(
        MediaError, match=r"1 of 50 .* cannot be used.*clip-9-ä: raw/9.txt is empty"
    ):
        store.prepare(made)
    assert not (made.folder / store.MANIFEST).exists()
    with pytest.raises(FileNotFoundError, match="no prepared store"):
        store.opened(made.folder, "")
    manifest = store.prepare(made, allow_missing=True)
    assert manifest["left_out"] == {"clip-9-ä": "raw/9.txt is empty"}
    (tmp_path / "raw/9.txt").write_text("9")
    assert store.prepare(made)["left_out"] == {}


def test_nothing_left_and_double_entries_are_refused(tmp_path: Path) -> None:
    made = plan(tmp_path, 3)
    for path in (tmp_path / "raw").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="no sample of toy can be used"):
        store.prepare(made, allow_missing=True)
    twice = replace(made, samples=[*made.samples, made.samples[0]])
    with pytest.raises(ValueError, match="have 'clip-0-ä' twice"):
        store.prepare(twice)


def test_damage_is_found_and_mended(tmp_path: Path) -> None:
    made = plan(tmp_path)
    store.prepare(made)
    before = content(made.folder)
    assert store.faults(made.folder) == []
    damaged, missing = made.folder / "wave-00003.npy", made.folder / "face-00002.npy"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    missing.unlink()
    first, second = store.faults(made.folder)
    assert "face-00002.npy is missing" in first
    assert "wave-00003.npy is damaged" in second
    store.prepare(made)
    assert content(made.folder) == before


def test_samples_are_read_as_they_were_made(tmp_path: Path) -> None:
    made = plan(tmp_path)
    manifest = store.prepare(made)
    places = [49, 0, 13, 13, 8]
    read = of_store(made.folder, manifest, "wave", np.arange(50))
    expected = np.stack([np.float32(make(made.samples[place])["wave"]) for place in places])
    index = torch.tensor(places)
    np.testing.assert_array_equal(read.index_select(0, index).numpy(), expected)
    np.testing.assert_array_equal(read[index].index_select(0, torch.arange(5)).numpy(), expected)
    copy = pickle.loads(pickle.dumps(read))
    np.testing.assert_array_equal(copy[10:12].numpy(), read[10:12].numpy())
    assert len(pickle.dumps(read)) < 4000  # no sample travels with it
    assert read.shape == (50, 6)
    assert (read.dtype, read.is_floating_point(), read.ndim) == (torch.float32, True, 2)


def test_a_run_from_the_disk_is_the_run_from_memory(tmp_path: Path) -> None:
    store.prepare(plan(tmp_path))
    on_disk, in_memory = data(tmp_path, True), data(tmp_path, False)
    kinds = [type(one.train.inputs[0]) for one in (on_disk, in_memory)]
    assert kinds == [OnDisk, torch.Tensor]
    assert on_disk.checksum() == in_memory.checksum()
    tables = [train("mimo", one, epochs=3, **SETTINGS).table for one in (on_disk, in_memory)]
    for one, other in zip(*tables, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    sizes = [len(part) for part in (on_disk.train, on_disk.validation, on_disk.test)]
    assert sizes == [36, 4, 10]


@pytest.mark.slow
def test_an_interrupted_run_from_the_disk_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.prepare(plan(tmp_path))
    on_disk = data(tmp_path, True)

    def interrupt(row: dict[str, float]) -> None:
        if row["epoch"] == 1:
            raise KeyboardInterrupt

    options: dict[str, Any] = {"epochs": 4, **SETTINGS}
    with pytest.raises(KeyboardInterrupt):
        train("mimo", on_disk, folder=tmp_path / "run", callback=interrupt, **options)
    monkeypatch.setattr(_ahead.made_ahead, "__defaults__", (1, 2))  # another number of threads
    resumed = train("mimo", on_disk, folder=tmp_path / "run", **options)
    whole = train("mimo", data(tmp_path, False), **options)
    for one, other in zip(resumed.table, whole.table, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    assert resumed.metrics == whole.metrics


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    def broken(sample: store.Sample) -> Mapping[str, Any]:
        return {**make(sample), "wave": np.full(6, np.inf)}

    with pytest.raises(MediaError, match="its wave is not finite"):
        store.prepare(replace(plan(tmp_path), make=broken))


def test_another_format_is_refused(tmp_path: Path) -> None:
    made = plan(tmp_path)
    store.prepare(made)
    path = made.folder / store.MANIFEST
    path.write_text(json.dumps(store.read_json(path) | {"format": 0}))
    with pytest.raises(ValueError, match="has another format"):
        store.opened(made.folder, "")
