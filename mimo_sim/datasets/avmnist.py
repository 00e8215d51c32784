"""AV-MNIST rebuilt from open material: MNIST images with little of their energy left, paired by digit with noisy spoken digits.

The recipe follows the published one (Vielzeuf et al. 2018, CentralNet) with the Free Spoken Digit Dataset in place of TIDIGITS, which is not free, and
synthetic noise and babble in place of ESC-50. Settings A and B come close to the uni-modal accuracies published for MultiBench and MFAS.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from mimo_sim._checks import check_count
from mimo_sim._files import replacing
from mimo_sim.datasets import _files as files
from mimo_sim.datasets._record import Record

if TYPE_CHECKING:
    from mimo_sim.datasets._data import Dataset

FloatArray = npt.NDArray[np.floating[Any]]
Bytes = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]
SplitName = Literal["train", "validation", "test"]
STORED = ("image", "audio", "target", "source", "recording")  # arrays of each split in the cache

VERSION = 1  # of the recipe below: raise it when the tensors it makes change, so that no old cache is taken for new
RATE = 8000  # samples per second, and the longest clip: one second
WINDOW, BINS, STEPS = 224, 112, 112  # samples in a window (28 ms), frequencies kept, windows
FLOOR = 80.0  # dB below the clip's maximum that is called 0
MEAN, STD = 0.68, 0.13  # of the spectrograms in [0, 1]
TAKES: dict[SplitName, range] = {
    "train": range(10, 50),
    "validation": range(5, 10),
    "test": range(5),
}  # recordings by take: no clip in two splits
NOISES = ("white", "pink", "brown", "babble")
CHUNK = 128  # samples made at a time; bounds the memory, does not change the result


@dataclass(frozen=True)
class Setting:
    """Components kept of the image (None: untouched image), speech-to-noise ratio in dB."""

    components: int | None
    snr: float


SETTINGS = {
    "A": Setting(4, -14.0),
    "B": Setting(5, -6.0),
    "C": Setting(None, -6.0),
    "D": Setting(10, -6.0),
}

_MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist"
MNIST = (
    files.Download(
        f"{_MIRROR}/train-images-idx3-ubyte.gz",
        {"mnist/train-images-idx3-ubyte.gz": "md5:6bbc9ace898e44ae57da46a324031adb"},
        9_912_422,
    ),
    files.Download(
        f"{_MIRROR}/train-labels-idx1-ubyte.gz",
        {"mnist/train-labels-idx1-ubyte.gz": "md5:a25bea736e30d166cdddb491f175f624"},
        28_881,
    ),
    files.Download(
        f"{_MIRROR}/t10k-images-idx3-ubyte.gz",
        {"mnist/t10k-images-idx3-ubyte.gz": "md5:2646ac647ad5339dbf082846283269ea"},
        1_648_877,
    ),
    files.Download(
        f"{_MIRROR}/t10k-labels-idx1-ubyte.gz",
        {"mnist/t10k-labels-idx1-ubyte.gz": "md5:27ae3e4e09519cfbb04c329615203637"},
        4_542,
    ),
)
FSDD_COMMIT = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"


def _fsdd() -> files.Download:
    lines = (resources.files(__package__) / "fsdd.sha256").read_text().splitlines()
    sums = {
        f"fsdd/recordings/{name}": f"sha256:{digest}"
        for digest, name in (line.split() for line in lines)
    }
    return files.Download(
        f"https://github.com/Jakobovski/free-spoken-digit-dataset/archive/{FSDD_COMMIT}.tar.gz",
        sums,
        16_000_000,
    )


DOWNLOADS = (*MNIST, _fsdd())


# ------------------------------------------------------------------------------------------------------------ raw files


def _idx(content: bytes, path: str) -> Bytes:
    """An idx file of unsigned bytes as an array."""
    header = np.frombuffer(content[:4], np.uint8)
    if len(header) < 4 or tuple(header[:3]) != (0, 0, 8):
        raise ValueError(
            f"{path} must be an idx file of unsigned bytes (it starts 00 00 08). Got a file that starts {content[:3].hex(' ')}."
        )
    axes = int(header[3])
    shape = np.frombuffer(content[4 : 4 + 4 * axes], ">u4").astype(int)
    values = np.frombuffer(content[4 + 4 * axes :], np.uint8)
    if values.size != shape.prod():
        raise ValueError(
            f"{path} must hold {shape.prod()} values for its shape {tuple(map(int, shape))}. Got {values.size}."
        )
    return values.reshape(shape)


class Raw:
    """Checked raw files below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sums = {
            path: expected for download in DOWNLOADS for path, expected in download.files.items()
        }

    def read(self, path: str) -> bytes:
        """Checked content of a file."""
        return files.read(
            self.root, path, self.sums[path], f"mimo-sim data prepare avmnist --root {self.root}"
        )

    def mnist(self, part: str) -> tuple[Bytes, Bytes]:
        """Images (n, 28, 28) and labels (n,) of "train" or "t10k"."""
        images, labels = (
            f"mnist/{part}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")
        )
        return _idx(self.read(images), images), _idx(self.read(labels), labels)

    def speech(self, split: SplitName) -> tuple[list[FloatArray], Indices, list[str]]:
        """Clips of a split at unit RMS, cut at one second, with their digits and file names, in the order of the names."""
        from scipy.io import wavfile

        clips, digits, names = [], [], []
        for path in sorted(path for path in self.sums if path.endswith(".wav")):
            digit, _, take = Path(path).stem.split("_")
            if int(take) in TAKES[split]:
                rate, samples = wavfile.read(io.BytesIO(self.read(path)))
                if rate != RATE or samples.ndim != 1 or len(samples) < WINDOW:
                    raise ValueError(
                        f"{path} must be mono at {RATE} Hz with at least {WINDOW} samples. Got {rate} Hz, shape {samples.shape}."
                    )
                wave = samples.astype(np.float32)
                clips.append(
                    (wave / np.sqrt(np.mean(np.square(wave, dtype=np.float64)), dtype=np.float32))[
                        :RATE
                    ]
                )
                digits.append(int(digit))
                names.append(Path(path).name)
        return clips, np.array(digits), names


# ------------------------------------------------------------------------------------------------------------ recipe


def principal_components(images: Bytes) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Centred PCA of images (n, 28, 28) scaled to [0, 1]: mean (784,), variances (784,) falling, components (784, 784) in columns."""
    from scipy.linalg.blas import dsyrk

    pixels = images.reshape(len(images), -1)
    mean = pixels.mean(0)
    gram = dsyrk(1.0, np.asfortranarray(pixels.T, dtype=np.float64), lower=1)
    values, vectors = np.linalg.eigh(gram / len(pixels) - np.outer(mean, mean), UPLO="L")
    return mean / 255, np.maximum(values[::-1], 0) / 255**2, vectors[:, ::-1]


def reduce_energy(images: Bytes, mean: FloatArray, components: FloatArray) -> FloatArray:
    """Images (n, 28, 28) with only their `components` (784, k) left, float32, in units where pixels lie in [0, 1]."""
    centred = images.reshape(len(images), -1) / np.float32(255) - mean.astype(np.float32)
    basis = components.astype(np.float32)
    return np.asarray(centred @ basis @ basis.T + mean.astype(np.float32)).reshape(images.shape)


@cache
def _spectral_shapes() -> FloatArray:
    """(3, RATE/2 + 1) amplitude of white, pink and brown noise over the frequency in Hz, flat below 20 Hz."""
    frequency = np.maximum(np.fft.rfftfreq(RATE, 1 / RATE), 20.0) / 20.0
    return np.stack([frequency**-power for power in (0.0, 0.5, 1.0)]).astype(np.float32)


def spectrogram(waves: FloatArray, lengths: Indices) -> Bytes:
    """Log power spectrograms of clips, stretched so that every clip fills the picture.

    112 Hann windows of 224 samples with starts evenly spaced over the clip; bins 1 to 112; dB below the clip's maximum, cut at -80, as 0 to 255. One step
    is 0.31 dB, so rounding moves a value by at most 0.16 dB.

    Parameters
    ----------
    waves : array (n, RATE)
    lengths : array (n,)
        Samples of each clip, >= 224.

    Returns
    -------
    array (n, 112 frequencies, 112 times) of uint8
    """
    from scipy import fft, signal

    hann = signal.get_window("hann", WINDOW).astype(np.float32)
    starts = np.rint(np.linspace(0, lengths - WINDOW, STEPS, axis=1)).astype(int)
    windows = np.lib.stride_tricks.sliding_window_view(waves, WINDOW, axis=1)[
        np.arange(len(waves))[:, None], starts
    ]
    amplitude = np.abs(fft.rfft(windows * hann, axis=2)[:, :, 1 : BINS + 1])
    decibel = 20 * np.log10(np.maximum(amplitude, np.finfo(np.float32).tiny))
    relative = np.maximum(decibel - decibel.max(axis=(1, 2), keepdims=True) + FLOOR, 0) * (
        255 / FLOOR
    )
    levels: Bytes = np.rint(relative).astype(np.uint8).transpose(0, 2, 1)
    return levels


def noisy_waves(
    clips: list[FloatArray],
    chosen: Indices,
    kinds: Indices,
    babble: Indices,
    snr: float,
    rng: np.random.Generator,
) -> FloatArray:
    """The clips at `chosen` (n,) in noise of the given kinds (n,), looped to one second: (n, RATE).

    Kinds count along :data:`NOISES`; babble (n, 3) names three looped clips. `snr` is 20 log10 of the ratio of speech to noise RMS over the clip's length.
    """
    from scipy import fft

    speech = np.stack([np.resize(clips[i], RATE) for i in chosen])
    coloured = kinds < len(_spectral_shapes())
    white = rng.standard_normal((int(coloured.sum()), RATE), dtype=np.float32)
    noise = np.empty_like(speech)
    noise[coloured] = fft.irfft(fft.rfft(white) * _spectral_shapes()[kinds[coloured]], RATE)
    noise[~coloured] = np.array(
        [sum(np.resize(clips[i], RATE) for i in three) for three in babble[~coloured]]
    ).reshape(-1, RATE)
    lengths = [len(clips[i]) for i in chosen]
    energy = np.array(
        [[x[:n] @ x[:n] for x in pair] for *pair, n in zip(speech, noise, lengths, strict=True)]
    )
    return np.asarray(
        speech
        + noise * (np.sqrt(energy[:, :1] / energy[:, 1:]) * 10 ** (-snr / 20)).astype(np.float32)
    )


def noisy_spectrograms(
    clips: list[FloatArray],
    chosen: Indices,
    snr: float,
    rng: np.random.Generator,
    on_chunk: Callable[[int], None] = lambda _: None,
) -> Bytes:
    """Spectrograms (n, 112, 112) of the clips at `chosen` (n,), each in noise of a kind drawn with equal chances; babble is of any clips."""
    kinds, babble = (
        rng.integers(len(NOISES), size=len(chosen)),
        rng.integers(len(clips), size=(len(chosen), 3)),
    )
    lengths = np.array([len(clip) for clip in clips])
    out = np.empty((len(chosen), BINS, STEPS), np.uint8)
    for start in range(0, len(chosen), CHUNK):
        part = slice(start, start + CHUNK)
        waves = noisy_waves(clips, chosen[part], kinds[part], babble[part], snr, rng)
        out[part] = spectrogram(waves, lengths[chosen[part]])
        on_chunk(len(waves))
    return out


# ------------------------------------------------------------------------------------------------------------ the data set


def build(
    root: str | Path | None = None,
    seed: int = 0,
    *,
    setting: str = "A",
    train_size: int = 5_000,
    validation_size: int = 1_000,
    test_size: int = 2_000,
    components: int | None = None,
    snr: float | None = None,
    progress: bool = False,
) -> Dataset:
    """AV-MNIST: an image (1, 28, 28) and a spectrogram (1, 112, 112) of the same digit.

    Parameters
    ----------
    root : path, optional
        Folder with ``mnist/*.gz`` and ``fsdd/recordings/*.wav``; see :func:`mimo_sim.datasets.load`. Not read when the same data set is in the cache.
    seed : int
        Draws, with one generator per split, the subset, the pairing and the noise.
    setting : "A", "B", "C", "D"
        Components kept of the image, and SNR: (4, -14 dB), (5, -6 dB), (untouched image, -6 dB), (10, -6 dB).
    train_size, validation_size, test_size : int
        Pairs, up to 55,000, 5,000 and 10,000. The full size takes 1.2 GB in memory and in the cache.
    components, snr : optional
        Instead of the setting's.
    progress : bool
        Show a bar on stderr while building.

    Notes
    -----
    Takes 0-4 of every speaker and digit are in test, 5-9 in validation, 10-49 in train, and noise babbles with clips of the same split, so no recording is
    shared. Images come from the first 55,000 of MNIST's train set, its last 5,000, and its test set. The result is cached by settings and seed.
    """
    if setting not in SETTINGS:
        raise ValueError(f"`setting` must be one of {tuple(SETTINGS)}. Got setting={setting!r}.")
    keep = SETTINGS[setting].components if components is None else components
    level = float(SETTINGS[setting].snr if snr is None else snr)
    if keep is not None and not 1 <= keep <= 784:
        raise ValueError(f"`components` must lie in 1..784. Got components={components}.")
    if not np.isfinite(level):
        raise ValueError(f"`snr` must be a finite number of dB. Got snr={snr}.")
    sizes: dict[SplitName, int] = {
        "train": train_size,
        "validation": validation_size,
        "test": test_size,
    }
    for name, size in sizes.items():
        check_count(f"{name}_size", size)
    about = {
        "setting": setting,
        "components": keep,
        "snr_db": level,
        "sizes": sizes,
        "seed": seed,
        "recipe": VERSION,
    }
    arrays = _cached(about, lambda: _make(root, seed, keep, level, sizes, progress))
    return _tensors(about, arrays)


def _make(
    root: str | Path | None,
    seed: int,
    keep: int | None,
    snr: float,
    sizes: dict[SplitName, int],
    progress: bool,
) -> dict[str, npt.NDArray[Any]]:
    """Every array of the data set, by split and name."""
    from mimo_sim._progress import steps_bar

    folder, fills_itself = files.data_folder(root)
    if fills_itself:
        files.fetch(folder, DOWNLOADS)
    raw = Raw(folder)
    images, labels = raw.mnist("train")
    fitted = (
        len(images) * 11 // 12
    )  # 55,000 of 60,000: pool of the train split, and what the PCA is fitted on
    pools: dict[SplitName, tuple[Bytes, Bytes]] = {
        "train": (images[:fitted], labels[:fitted]),
        "validation": (images[fitted:], labels[fitted:]),
        "test": raw.mnist("t10k"),
    }
    for name, size in sizes.items():
        if size > len(pools[name][1]):
            raise ValueError(
                f"`{name}_size` must be at most {len(pools[name][1])}. Got {name}_size={size}."
            )
    mean, basis = None, None
    if keep is not None:
        mean, _, basis = principal_components(pools["train"][0])
    arrays: dict[str, npt.NDArray[Any]] = {}
    with steps_bar(sum(sizes.values()), progress, "building avmnist") as advance:
        for number, (name, (pictures, digits)) in enumerate(pools.items()):
            rng = np.random.default_rng([seed, number])
            subset = rng.permutation(len(digits))[: sizes[name]]
            clips, spoken, recordings = raw.speech(name)
            by_digit = [np.flatnonzero(spoken == digit) for digit in range(10)]
            target = digits[subset].astype(np.int64)
            counts = np.array([len(pool) for pool in by_digit])
            chosen = np.array(
                [
                    by_digit[digit][draw]
                    for digit, draw in zip(target, rng.integers(counts[target]), strict=True)
                ]
            )
            picture = pictures[subset]
            if mean is not None and basis is not None:
                arrays[f"{name}.image"] = reduce_energy(picture, mean, basis[:, :keep])[:, None]
            else:
                arrays[f"{name}.image"] = picture[:, None]
            arrays[f"{name}.audio"] = noisy_spectrograms(clips, chosen, snr, rng, advance)[:, None]
            arrays[f"{name}.target"] = target
            arrays[f"{name}.source"] = subset + (
                fitted if name == "validation" else 0
            )  # row in MNIST's train or test file
            arrays[f"{name}.recording"] = np.array(recordings)[chosen]
    return arrays


def _cached(
    about: dict[str, Any], make: Callable[[], dict[str, npt.NDArray[Any]]]
) -> dict[str, npt.NDArray[Any]]:
    """The arrays from the cache, or made and put there. Checksums inside the archive are verified on reading; a damaged archive is made anew."""
    sums = [sorted(download.files.items()) for download in DOWNLOADS]
    described = json.dumps([about, sums], sort_keys=True)
    path = (
        files.cache_folder() / f"avmnist-{hashlib.sha256(described.encode()).hexdigest()[:16]}.npz"
    )
    try:
        with zipfile.ZipFile(path), np.load(path) as stored:
            return {
                f"{split}.{name}": stored[f"{split}.{name}"]
                for split in get_args(SplitName)
                for name in STORED
            }
    except (OSError, zipfile.BadZipFile, ValueError, EOFError, KeyError):
        arrays = make()
        with replacing(path) as temporary:
            np.savez(temporary, **arrays)  # type: ignore[arg-type]
        return arrays


def _tensors(about: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Dataset:
    import torch

    from mimo_sim.datasets._data import Dataset, Modality, Split

    def split(name: SplitName) -> Split:
        inputs = tuple(torch.from_numpy(arrays[f"{name}.{kind}"]) for kind in ("image", "audio"))
        return Split(inputs, torch.from_numpy(arrays[f"{name}.target"]))

    image = Modality(
        "image", (1, 28, 28), scale=1.0 if about["components"] is not None else 1 / 255
    )
    audio = Modality("audio", (1, BINS, STEPS), scale=1 / 255, mean=MEAN, std=STD)
    return Dataset(
        "avmnist",
        (image, audio),
        split("train"),
        split("validation"),
        split("test"),
        classes=RECORD.classes,
        about=about,
    )


RECORD = Record(
    name="avmnist",
    about="handwritten and spoken digits, each degraded (MNIST + Free Spoken Digit Dataset)",
    modalities={"image": (1, 28, 28), "audio": (1, BINS, STEPS)},
    classes=tuple(map(str, range(10))),
    build=build,
    licence="MNIST: CC BY-SA 3.0 as usually stated; FSDD: CC BY-SA 4.0",
    home="https://github.com/Jakobovski/free-spoken-digit-dataset",
    downloads=DOWNLOADS,
    group="recording",
    settings={
        name: f"{s.components or 'all'} image components, {s.snr:g} dB"
        for name, s in SETTINGS.items()
    },
    presets={
        "cpu": {
            "data": {"train_size": 5000, "validation_size": 1000, "test_size": 2000},
            "settings": {"epochs": 12},
        },
        "full": {
            "data": {"train_size": 55000, "validation_size": 5000, "test_size": 10000},
            "settings": {"epochs": 30},
        },
    },
)
