"""Data sets: the recipe against independent arithmetic on tiny raw files in the true formats, leaks, the cache, files that are missing or harmed."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import wavfile
from typer.testing import CliRunner

from mimo_sim import datasets
from mimo_sim.cli import app
from mimo_sim.commands.data import settings
from mimo_sim.datasets import _avmnist_recipe as recipe
from mimo_sim.datasets import _files as files
from mimo_sim.datasets import avmnist
from mimo_sim.datasets._avmnist_raw import Raw, parse_idx
from mimo_sim.datasets._data import Dataset, Modality
from mimo_sim.generators import scalar_pair
from mimo_sim.problem import LateFusionProblem
from mimo_sim.training import train
from tests.networks import SETTINGS, tiny

TINY = {"train_size": 40, "validation_size": 5, "test_size": 12}


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + b"".join(
        int(n).to_bytes(4, "big") for n in values.shape
    )
    return gzip.compress(header + values.astype(np.uint8).tobytes())


def wav(samples: np.ndarray, rate: int = 8000) -> bytes:
    buffer = io.BytesIO()
    wavfile.write(buffer, rate, samples)
    return buffer.getvalue()


def raw_files() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    made = {}
    for part, count in (("train", 60), ("t10k", 20)):
        labels = np.arange(count) % 10
        made[f"mnist/{part}-images-idx3-ubyte.gz"] = idx(
            np.minimum(rng.integers(0, 40, (count, 28, 28)) + 20 * labels[:, None, None], 255)
        )
        made[f"mnist/{part}-labels-idx1-ubyte.gz"] = idx(labels)
    for digit in range(10):
        for take in (0, 3, 5, 10, 11):
            length = int(rng.integers(900, 9000))  # some are longer than a second
            tone = 1000 * np.sin(np.arange(length) * 0.2 * (digit + 1)) + rng.normal(0, 100, length)
            made[f"fsdd/recordings/{digit}_anna_{take}.wav"] = wav(tone.astype(np.int16))
    return made


def put(root: Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def sums(contents: dict[str, bytes]) -> dict[str, str]:
    return {
        name: "md5:" + hashlib.md5(gzip.decompress(content)).hexdigest()
        if name.endswith(".gz")
        else "sha256:" + hashlib.sha256(content).hexdigest()
        for name, content in contents.items()
    }


def know(monkeypatch: pytest.MonkeyPatch, *downloads: files.Download) -> None:
    record = replace(avmnist.RECORD, downloads=downloads)
    monkeypatch.setattr(avmnist, "RECORD", record)
    monkeypatch.setitem(datasets._registry(), "avmnist", record)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tiny raw files, known to the package by their sums, and an empty cache."""
    monkeypatch.setenv("MIMO_SIM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MIMO_SIM_DATA", raising=False)
    contents = raw_files()
    put(tmp_path / "raw", contents)
    know(monkeypatch, files.Download("http://127.0.0.1:9/nothing.tar.gz", sums(contents), 1))
    return tmp_path / "raw"


def same(a: Any, b: Any) -> bool:
    parts = ("train", "validation", "test")
    pairs = [
        (x, y)
        for part in parts
        for x, y in zip(
            (*getattr(a, part).inputs, getattr(a, part).target),
            (*getattr(b, part).inputs, getattr(b, part).target),
            strict=True,
        )
    ]
    return all(torch.equal(x, y) for x, y in pairs)


# ------------------------------------------------------------------------------------------ registry


def test_every_data_set_is_registered_with_what_is_known_of_it() -> None:
    assert {"avmnist", "digits", "synthetic"} <= set(datasets.available())
    for name in datasets.available():
        record = datasets.get(name)
        assert record.name == name
        assert record.about
        assert record.licence
        assert record.home.startswith("https://")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: datasets.load("mnist"), r"`dataset` must be one of .*'avmnist'.* Got 'mnist'"),
        (
            lambda: datasets.load("digits", setting="A"),
            r"data set 'digits' takes \('noise',\). Got setting",
        ),
        (lambda: datasets.load("digits", seed=-1), "`seed` must be >= 0. Got seed=-1"),
        (lambda: datasets.load("digits", noise=-1.0), "`noise`"),
        (
            lambda: datasets.load("synthetic", train_size=0),
            "`train_size` must be >= 1. Got train_size=0",
        ),
        (
            lambda: datasets.load("synthetic", train_size="a"),
            "`train_size` must be an integer. Got train_size='a'",
        ),
        (lambda: datasets.load("synthetic", problem=3), "`problem` must be one of .*Got problem=3"),
        (
            lambda: datasets.load("avmnist", train_size=1.5),
            "`train_size` must be an integer. Got train_size=1.5",
        ),
        (
            lambda: datasets.load("avmnist", setting="E"),
            r"`setting` must be one of \('A', 'B', 'C', 'D'\). Got setting='E'",
        ),
        (
            lambda: datasets.load("avmnist", components=0),
            "`components` must lie in 1..784. Got components=0",
        ),
        (
            lambda: datasets.load("avmnist", snr=float("nan")),
            "`snr` must be a finite number of dB. Got snr=nan",
        ),
        (
            lambda: datasets.load("avmnist", test_size=0),
            "`test_size` must be >= 1. Got test_size=0",
        ),
        (lambda: settings(["noise"]), "`--option` must be name=value. Got 'noise'"),
    ],
)
def test_refusals(call: Callable[[], Any], words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        call()


def test_settings_of_the_command_line_are_literals_or_words() -> None:
    assert settings(["train_size=10", "setting=B", "snr=-6.5", "components=None"]) == {
        "train_size": 10,
        "setting": "B",
        "snr": -6.5,
        "components": None,
    }


# ------------------------------------------------------------------------------------------ digits and synthetic


def test_digits_are_split_by_class_without_overlap_and_the_views_are_unequal() -> None:
    from sklearn.linear_model import LogisticRegression

    data = datasets.load("digits", noise=0.3)
    parts = (data.train, data.validation, data.test)
    assert [len(part) for part in parts] == [1077, 360, 360]
    shares = torch.stack([torch.bincount(part.target, minlength=10) / len(part) for part in parts])
    assert (shares - shares.mean(0)).abs().max() < 0.005  # stratified
    clean = datasets.load("digits", noise=0.0)
    rows = torch.cat(
        [torch.cat(part.inputs, 1) for part in (clean.train, clean.validation, clean.test)]
    )
    assert (
        len(torch.unique(rows, dim=0)) == 1797
    )  # every digit once: scikit-learn's set has no two equal ones
    assert torch.equal(
        clean.train.inputs[0][:, 24:], clean.train.inputs[1][:, :16]
    )  # the shared rows
    for k, x in enumerate(data.prepare(data.train.inputs)):
        assert abs(x.mean()) < 1e-5, k
        assert abs(x.std() - 1) < 1e-3, k
    scores = [
        LogisticRegression(max_iter=500)
        .fit(x.numpy(), data.train.target)
        .score(v.numpy(), data.validation.target)
        for x, v in zip(data.train.inputs, data.validation.inputs, strict=True)
    ]
    assert scores[0] > scores[1] + 0.1 > 0.6


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_seeds(name: str) -> None:
    assert same(datasets.load(name, seed=3), datasets.load(name, seed=3))
    assert not same(datasets.load(name, seed=3), datasets.load(name, seed=4))


def test_synthetic_samples_have_the_moments_of_their_problem() -> None:
    problem = scalar_pair(sigma_ratio=2.0, rho=0.5, noise_variance=0.1)
    data = datasets.load(
        "synthetic", problem=problem, train_size=40_000, validation_size=7, test_size=9
    )
    assert data.task == "regression"
    assert [len(data.train), len(data.validation), len(data.test)] == [40_000, 7, 9]
    found = LateFusionProblem.from_samples(
        [x.double().numpy() for x in data.train.inputs], data.train.target.double().numpy()
    )
    scale = np.sqrt(np.diag(problem.input_moment) * 1)
    sampling = 5 / np.sqrt(40_000)  # five standard errors of a correlation
    assert (
        np.abs((found.input_moment - problem.input_moment) / np.outer(scale, scale)).max()
        < np.sqrt(2) * sampling
    )
    assert (
        np.abs((found.cross_moment - problem.cross_moment) / scale).max()
        < np.sqrt(2 * problem.y_second_moment) * sampling
    )
    assert LateFusionProblem.from_json(data.about["problem"]) == problem
    with pytest.raises(FileNotFoundError, match="nowhere"):
        datasets.load("synthetic", problem="nowhere.json")


# ------------------------------------------------------------------------------------------ the recipe of avmnist


def test_principal_components_are_those_of_scikit_learn() -> None:
    from sklearn.decomposition import PCA

    images = np.random.default_rng(1).integers(0, 256, (900, 28, 28)).astype(np.uint8)
    mean, variance, components = recipe.principal_components(images)
    reference = PCA(5, svd_solver="full").fit(images.reshape(900, -1) / 255)
    np.testing.assert_allclose(variance[:5] * 900 / 899, reference.explained_variance_, rtol=1e-9)
    reduced = recipe.reduce_energy(images, mean, components[:, :5]).reshape(900, -1)
    np.testing.assert_allclose(
        reduced,
        reference.inverse_transform(reference.transform(images.reshape(900, -1) / 255)),
        atol=1e-5,
    )  # float32
    np.testing.assert_allclose(
        recipe.reduce_energy(images, mean, components), images / 255, atol=1e-5
    )
    energy = np.sum((reduced - mean) ** 2) / np.sum((images.reshape(900, -1) / 255 - mean) ** 2)
    assert energy == pytest.approx(variance[:5].sum() / variance.sum(), rel=1e-4)


def spectrogram_by_hand(wave: np.ndarray) -> np.ndarray:
    columns = []
    for i in range(112):
        start = round(i * (len(wave) - 224) / 111)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(224) / 224)
        columns.append(np.abs(np.fft.fft(wave[start : start + 224] * window)[1:113]) ** 2)
    decibel = 10 * np.log10(np.array(columns).T)
    return np.asarray((np.maximum(decibel - decibel.max(), -80) + 80) / 80)


@pytest.mark.parametrize("length", [224, 1152, 8000])
def test_spectrogram_against_the_formula_and_within_half_a_step(length: int) -> None:
    wave = np.random.default_rng(length).standard_normal(length)
    (found,) = recipe.spectrogram(
        np.resize(wave, 8000)[None].astype(np.float32), np.array([length])
    )
    assert np.abs(found / 255 - spectrogram_by_hand(wave)).max() <= 0.5 / 255 + 1e-5  # float32
    assert found.max() == 255


def test_a_tone_lights_its_frequency_at_all_times() -> None:
    wave = np.sin(
        2 * np.pi * 20 * np.arange(8000) / 224
    )  # 20 periods in a window: bin 20, in row 19 as bin 0 is dropped
    (found,) = recipe.spectrogram(wave[None].astype(np.float32), np.array([5000]))
    assert (found.argmax(0) == 19).all()


@pytest.mark.parametrize("snr", [-14.0, 0.0, 6.0])
@pytest.mark.parametrize("kind", range(4))
def test_the_noise_has_the_level_and_the_colour_it_should_have(snr: float, kind: int) -> None:
    rng = np.random.default_rng(2)
    clips = [rng.standard_normal(n).astype(np.float32) for n in (3000, 8000, 1152, 4000)]
    chosen, babble = np.array([0, 1, 2]), np.array([[1, 3, 0]] * 3)
    mixed = recipe.noisy_waves(clips, chosen, np.full(3, kind), babble, snr, rng)
    for i, wave in zip(chosen, mixed, strict=True):
        n = len(clips[i])
        noise = wave[:n] - clips[i]
        assert 20 * np.log10(np.std(clips[i]) / np.sqrt(np.mean(noise**2))) == pytest.approx(
            snr, abs=0.3
        )  # std against RMS of the clip
        assert 10 * np.log10(np.sum(clips[i] ** 2) / np.sum(noise**2)) == pytest.approx(
            snr, abs=1e-3
        )
    if kind < 3:
        noise = mixed[1] - clips[1]
        power = np.abs(np.fft.rfft(noise)) ** 2
        low, high = (
            power[50:200].mean(),
            power[800:3200].mean(),
        )  # Hz; four octaves apart on average
        slope = np.log(low / high) / np.log(
            np.mean(1 / np.arange(50, 200)) / np.mean(1 / np.arange(800, 3200))
        )
        assert slope == pytest.approx(kind, abs=0.35)
    else:
        noise = mixed[1] - clips[1]
        expected = sum(np.resize(clips[j], 8000) for j in (1, 3, 0))
        assert np.corrcoef(noise, expected)[0, 1] > 0.999


# ------------------------------------------------------------------------------------------ avmnist as a data set


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


# ------------------------------------------------------------------------------------------ what a data set of one's own may be


def altered(**parts: Any) -> Dataset:
    """A small data set whose train split, or another part, is changed."""
    good = tiny()
    split = {key: parts.pop(key) for key in ("inputs", "target") if key in parts}
    return replace(good, **parts, train=replace(good.train, **split))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (
            {"modalities": (Modality("a", (6,)), Modality("a", (5,)))},
            r"`modalities` .* names of their own.* Got \['a', 'a'\]",
        ),
        ({"modalities": ()}, "`modalities` .* at least one"),
        (
            {"inputs": (torch.zeros(72, 6),)},
            r"the train split of 'tiny' must have one tensor for each of \['m1', 'm2'\]\. Got 1",
        ),
        (
            {"inputs": (torch.zeros(72, 6), torch.zeros(72, 4))},
            r"'m2' in the train split of 'tiny' must be \(n, \*\(5,\)\)\. Got shape \(72, 4\)",
        ),
        (
            {"inputs": (torch.zeros(72, 6), torch.full((72, 5), torch.nan))},
            "'m2' in the train split of 'tiny' must be finite. Got inf or nan in 72 samples",
        ),
        (
            {"target": torch.full((72,), 7)},
            r"the target of the train split of 'tiny' must lie in 0\.\.2\. Got 7 to 7",
        ),
        ({"target": torch.full((72,), -1)}, r"must lie in 0\.\.2\. Got -1 to -1"),
        ({"target": torch.zeros(72)}, r"must be classes \(n,\) in int64\. Got torch\.float32"),
        (
            {"target": torch.zeros(72), "task": "regression"},
            r"must be floats \(n, m\)\. Got torch\.float32, shape \(72,\)",
        ),
        ({"target": torch.full((72, 1), torch.inf), "task": "regression"}, "must be finite and"),
    ],
)
def test_faults_of_a_data_set_are_named_before_training(parts: dict[str, Any], words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        train("vanilla", altered(**parts), epochs=1, **SETTINGS)


def test_the_checksum_sees_every_number_and_how_it_is_used() -> None:
    first = tiny()
    assert first.checksum() == tiny().checksum()
    one = first.test.target.clone()
    one[-1] = (one[-1] + 1) % 3
    other = [
        replace(first, test=replace(first.test, target=one)),
        replace(first, modalities=(Modality("m1", (6,), mean=0.1), Modality("m2", (5,)))),
        tiny(seed=1),
    ]
    assert len({first.checksum(), *(data.checksum() for data in other)}) == 4


# ------------------------------------------------------------------------------------------ raw files


def harm(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(content[:-20])
    elif how == "no gzip":
        path.write_bytes(b"<html>" + content)
    else:
        other = (
            gzip.compress(gzip.decompress(content)[:-1] + b"!")
            if path.suffix == ".gz"
            else content[:-1] + bytes([content[-1] ^ 1])
        )
        path.write_bytes(other)


@pytest.mark.parametrize(
    ("name", "how", "words"),
    [
        ("mnist/train-images-idx3-ubyte.gz", "missing", "is missing"),
        ("mnist/train-images-idx3-ubyte.gz", "truncated", "no valid gzip stream"),
        ("mnist/t10k-labels-idx1-ubyte.gz", "no gzip", "no valid gzip stream"),
        ("mnist/t10k-labels-idx1-ubyte.gz", "changed", "its content has md5:"),
        ("fsdd/recordings/3_anna_10.wav", "missing", "is missing"),
        ("fsdd/recordings/3_anna_10.wav", "changed", "its content has sha256:"),
    ],
)
def test_a_harmed_file_is_named_with_both_sums_and_the_remedy(
    root: Path, name: str, how: str, words: str
) -> None:
    expected = avmnist.RECORD.downloads[0].files[name]
    harm(root / name, how)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        datasets.load("avmnist", root, **TINY)
    for part in (
        str(root / name),
        words,
        f"expected {expected}",
        f"mimo-sim data prepare avmnist --root {root}",
    ):
        assert part in str(caught.value)
    (fault,) = files.faults(root, avmnist.RECORD.downloads)
    assert fault.path == root / name
    done = CliRunner().invoke(app, ["data", "verify", "avmnist", "--root", str(root)])
    assert done.exit_code == 1
    assert "1 of 54 raw files of avmnist are missing or damaged" in done.stderr


def test_a_recompressed_file_is_the_same_file(root: Path) -> None:
    path = root / "mnist/train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1))
    assert not files.faults(root, avmnist.RECORD.downloads)


def test_files_in_another_format_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ValueError, match=r"must be an idx file of unsigned bytes .* starts 00 00 0d"
    ):
        parse_idx(bytes([0, 0, 13, 1]), "x.gz")
    with pytest.raises(ValueError, match=r"x.gz must hold 5 values for its shape \(5,\). Got 2"):
        parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 5, 1, 2]), "x.gz")
    odd = {"fsdd/recordings/0_anna_0.wav": wav(np.zeros(900, np.int16), 16000)}
    put(root, odd)
    know(monkeypatch, files.Download("", sums(odd), 1))
    with pytest.raises(ValueError, match=r"0_anna_0.wav must be mono at 8000 Hz"):
        Raw(root, avmnist.RECORD.downloads).speech(avmnist.TAKES["test"])


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_fetch_gets_what_is_missing_or_harmed_and_leaves_the_rest(
    root: Path, server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = server
    contents = raw_files()
    images = "mnist/train-images-idx3-ubyte.gz"
    (folder / Path(images).name).write_bytes(contents[images])
    speech = {name: content for name, content in contents.items() if name.endswith(".wav")}
    with tarfile.open(folder / "speech.tar.gz", "w:gz") as tar:
        for name, content in speech.items():
            member = tarfile.TarInfo(f"project-abc/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    downloads = (
        files.Download(f"{url}/{Path(images).name}", sums({images: contents[images]}), 1),
        files.Download(f"{url}/speech.tar.gz", sums(speech), 1),
        files.Download(
            f"{url}/absent",
            sums(
                {
                    name: content
                    for name, content in contents.items()
                    if "label" in name or "t10k" in name
                }
            ),
            1,
        ),
    )
    know(monkeypatch, *downloads)
    harm(root / images, "changed")
    harm(root / "fsdd/recordings/3_anna_10.wav", "missing")
    untouched = os.stat(root / "fsdd/recordings/3_anna_11.wav").st_mtime_ns
    written = files.fetch(root, downloads)
    assert written == [root / images, root / "fsdd/recordings/3_anna_10.wav"]
    assert not files.faults(root, downloads)
    assert os.stat(root / "fsdd/recordings/3_anna_11.wav").st_mtime_ns == untouched
    assert not list(root.glob(".*"))
    assert files.fetch(root, downloads) == []

    harm(root / images, "changed")
    (folder / Path(images).name).write_bytes(contents["mnist/t10k-images-idx3-ubyte.gz"])
    before = (root / images).read_bytes()
    with pytest.raises(
        ValueError, match=r"does not hold the expected train-images-idx3-ubyte.gz: found md5:"
    ):
        files.fetch(root, downloads)
    assert (root / images).read_bytes() == before


def test_without_a_root_the_environment_and_then_the_cache_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIMO_SIM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MIMO_SIM_DATA", raising=False)
    assert files.data_folder(None) == (tmp_path / "cache" / "data", True)
    monkeypatch.setenv("MIMO_SIM_DATA", str(tmp_path / "env"))
    assert files.data_folder(None) == (tmp_path / "env", False)
    assert files.data_folder(tmp_path / "given") == (tmp_path / "given", False)


def test_the_known_sums_are_of_every_recording() -> None:
    (speech,) = (
        download for download in avmnist.RECORD.downloads if download.url.endswith(".tar.gz")
    )
    names = [Path(name).stem.split("_") for name in speech.files]
    assert len(names) == 3000
    assert len(set(speech.files.values())) == 3000
    for digit in map(str, range(10)):
        assert sorted(int(take) for d, _, take in names if d == digit) == sorted(
            list(range(50)) * 6
        )


# ------------------------------------------------------------------------------------------ command line


def test_data_commands(root: Path) -> None:
    run = CliRunner().invoke
    listing = run(app, ["data", "list"])
    assert listing.exit_code == 0
    assert all(name in listing.stdout for name in datasets.available())
    checked = run(app, ["data", "verify", "digits"])
    assert (checked.exit_code, checked.stdout.strip()) == (0, "digits needs no raw files")
    made = run(app, ["data", "prepare", "digits", "--option", "noise=0.1"])
    assert made.exit_code == 0
    assert "1077" in made.stdout
    whole = run(app, ["data", "verify", "avmnist", "--root", str(root)])
    assert (whole.exit_code, whole.stdout.strip()) == (
        0,
        f"avmnist: all 54 raw files in {root} are as expected",
    )
    sizes = [part for name, size in TINY.items() for part in ("--option", f"{name}={size}")]
    built = run(
        app, ["data", "prepare", "avmnist", "--root", str(root), "--option", "setting=B", *sizes]
    )
    assert built.exit_code == 0
    assert f"all raw files are in {root}" in built.stdout
    assert len(list((root.parent / "cache").glob("*.npz"))) == 1
    wrong = run(app, ["data", "verify", "nothing"])
    assert isinstance(wrong.exception, ValueError)


# ------------------------------------------------------------------------------------------ the real data, where it is


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
    np.testing.assert_allclose(
        kept[[2, 3, 4, 5]], [0.230, 0.284, 0.332, 0.375], atol=1e-3
    )  # published to three digits
    for k, expected in ((4, 65.4), (5, 77.0)):
        basis = components[:, :k]
        seen, asked = (((x.reshape(len(x), -1) / 255 - mean) @ basis) for x in (train, test))
        assert 100 * KNeighborsClassifier(25).fit(seen, labels).score(
            asked, truth
        ) == pytest.approx(expected, abs=0.05 + 1e-9)
    pools = {part: set(raw.speech(takes)[2]) for part, takes in avmnist.TAKES.items()}
    assert {part: len(names) for part, names in pools.items()} == {
        "train": 2400,
        "validation": 300,
        "test": 300,
    }
    assert len(set.union(*pools.values())) == 3000


def test_preparing_a_batch_leaves_the_stored_numbers_alone() -> None:
    data = datasets.load("digits")
    stored = [x.clone() for x in data.train.inputs]
    scaled = replace(
        data, modalities=tuple(replace(m, scale=2.0, mean=0.5, std=0.25) for m in data.modalities)
    )
    for x, made in zip(stored, scaled.prepare(data.train.inputs), strict=True):
        torch.testing.assert_close(made, (x.float() * 2.0 - 0.5) / 0.25)
    assert all(torch.equal(x, kept) for x, kept in zip(stored, data.train.inputs, strict=True))


@pytest.mark.parametrize("source", ["1 / 0", "class Mine(:"])
def test_faults_of_a_new_file_are_named(
    source: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"mine_d{request.node.callspec.indices['source']}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(tmp_path)])
    datasets._registry.cache_clear()
    try:
        with pytest.raises(
            ImportError,
            match=rf"the data set in mimo_sim\.datasets\.{name} cannot be imported: (ZeroDivision|Syntax)Error",
        ):
            datasets.available()
    finally:
        sys.modules.pop(f"mimo_sim.datasets.{name}", None)
        datasets._registry.cache_clear()
