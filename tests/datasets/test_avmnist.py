"""AV-MNIST from raw files: pairs, leaks between splits, the cache."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from mimo_sim import datasets
from mimo_sim.datasets import _avmnist_recipe as recipe
from mimo_sim.datasets import _files as files
from mimo_sim.datasets import avmnist
from mimo_sim.datasets._avmnist_raw import Raw
from tests.datasets._files import TINY, same


@pytest.mark.parametrize("setting", ["A", "C"])
def test_avmnist_from_raw_files(root: Path, setting: str) -> None:
    data = datasets.load("avmnist", root, setting=setting, **TINY)
    assert [m.shape for m in data.modalities] == [(1, 28, 28), (1, 112, 112)]
    assert data.num_outputs == 10
    for part, size in (("train", 40), ("validation", 5), ("test", 12)):
        image, audio = getattr(data, part).inputs
        assert image.shape == (size, 1, 28, 28)
        assert audio.shape == (size, 1, 112, 112)
        assert audio.dtype == torch.uint8
    image, audio = data.prepare(data.train.inputs)
    assert image.dtype == audio.dtype == torch.float32
    assert -1 < image.min() < image.max() < 2
    assert audio.max() == pytest.approx((1 - 0.68) / 0.13)
    singular = torch.linalg.svdvals((image - image.mean(0)).flatten(1))
    assert (singular > 1e-3).sum() == (4 if setting == "A" else 39)


def stored(path: Path) -> dict[str, np.ndarray]:
    (file,) = path.glob("avmnist-*.npz")
    with np.load(file) as content:
        return {name: content[name] for name in content.files}


def test_pairs_have_one_label_and_no_recording_or_image_is_in_two_splits(root: Path) -> None:
    datasets.load("avmnist", root, setting="C", train_size=55, validation_size=5, test_size=20)
    arrays = stored(root.parent / "cache")
    recordings = {part: set(arrays[f"{part}.recording"].tolist()) for part in avmnist.TAKES}
    takes = {
        part: {int(name.removesuffix(".wav").split("_")[2]) for name in names}
        for part, names in recordings.items()
    }
    assert takes == {"train": {10, 11}, "validation": {5}, "test": {0, 3}}
    for part in avmnist.TAKES:
        assert [int(name[0]) for name in arrays[f"{part}.recording"]] == arrays[
            f"{part}.target"
        ].tolist()
    assert set(arrays["train.source"]) == set(range(55))
    assert set(arrays["validation.source"]) == set(range(55, 60))
    raw = Raw(root, avmnist.RECORD.downloads)
    for part, file in (("train", "train"), ("validation", "train"), ("test", "t10k")):
        images, labels = raw.mnist(file)
        np.testing.assert_array_equal(
            arrays[f"{part}.image"][:, 0], images[arrays[f"{part}.source"]]
        )
        np.testing.assert_array_equal(arrays[f"{part}.target"], labels[arrays[f"{part}.source"]])


def test_same_seed_same_bytes_whatever_the_cache_and_the_chunks(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = datasets.load("avmnist", root, **TINY)
    assert same(first, datasets.load("avmnist", root, **TINY))
    assert not same(first, datasets.load("avmnist", root, seed=1, **TINY))
    monkeypatch.setenv("MIMO_SIM_CACHE", str(root.parent / "other"))
    assert same(first, datasets.load("avmnist", root, **TINY))
    monkeypatch.setattr(recipe, "CHUNK", 7)
    monkeypatch.setenv("MIMO_SIM_CACHE", str(root.parent / "third"))
    assert same(first, datasets.load("avmnist", root, **TINY))
    assert [p.name for p in (root.parent / "third").iterdir()] == [
        p.name for p in (root.parent / "other").iterdir()
    ]


def test_the_cache_serves_without_raw_files_and_is_made_anew_when_harmed(root: Path) -> None:
    first = datasets.load("avmnist", root, **TINY)
    (cached,) = (root.parent / "cache").glob("*.npz")
    assert same(first, datasets.load("avmnist", root.parent / "nowhere", **TINY))
    whole = cached.read_bytes()
    foreign, bare = io.BytesIO(), io.BytesIO()
    np.savez(foreign, a=np.zeros(3))
    np.save(bare, np.zeros(3))
    for harm in (
        whole[: len(whole) // 2],
        whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:],
        foreign.getvalue(),
        bare.getvalue(),
    ):
        cached.write_bytes(harm)
        assert same(first, datasets.load("avmnist", root, **TINY))
        assert cached.read_bytes() == whole
    cached.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileNotFoundError, match="is missing"):
        datasets.load("avmnist", root.parent / "nowhere", **TINY)


def test_too_large_sizes_are_refused(root: Path) -> None:
    with pytest.raises(
        ValueError, match=r"`validation_size` must be at most 5. Got validation_size=6"
    ):
        datasets.load("avmnist", root, train_size=5, validation_size=6, test_size=5)


@pytest.mark.slow
@pytest.mark.skipif(
    "MIMO_SIM_DATA" not in os.environ,
    reason="needs MNIST and FSDD: set MIMO_SIM_DATA to their folder",
)
def test_the_real_data_give_the_measured_figures() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    folder = Path(os.environ["MIMO_SIM_DATA"])
    assert not files.faults(folder, avmnist.RECORD.downloads)
    raw = Raw(folder)
    (train, labels), (test, truth) = raw.mnist("train"), raw.mnist("t10k")
    train, labels = train[:55_000], labels[:55_000]
    mean, variance, components = recipe.principal_components(train)
    kept = np.cumsum(variance) / variance.sum()
    published = [0.230, 0.284, 0.332, 0.375]
    np.testing.assert_allclose(kept[[2, 3, 4, 5]], published, atol=1e-3)
    for k, expected in ((4, 65.4), (5, 77.0)):
        basis = components[:, :k]
        seen, asked = (((x.reshape(len(x), -1) / 255 - mean) @ basis) for x in (train, test))
        neighbours = KNeighborsClassifier(25).fit(seen, labels)
        assert 100 * neighbours.score(asked, truth) == pytest.approx(expected, abs=0.05 + 1e-9)
    pools = {part: set(raw.speech(takes)[2]) for part, takes in avmnist.TAKES.items()}
    assert {part: len(names) for part, names in pools.items()} == {
        "train": 2400,
        "validation": 300,
        "test": 300,
    }
    assert len(set.union(*pools.values())) == 3000
