"""AV-MNIST, rebuilt from open material: a handwritten digit and the same digit spoken in noise.

The images are MNIST's with little of their energy left. The recipe is the published one
(Vielzeuf et al. 2018, CentralNet), with two replacements. The Free Spoken Digit Dataset stands in
for TIDIGITS, a set of spoken digits that is not free. Synthetic noise and babble (several voices at
once) stand in for the recorded noise of ESC-50. Settings A and B come close to the uni-modal
accuracies that MultiBench and MFAS published.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from mimo_sim import _moved
from mimo_sim._checks import check_choice, check_count, check_flag
from mimo_sim._progress import progress_bar
from mimo_sim.datasets import _avmnist_recipe as recipe
from mimo_sim.datasets import _files as files
from mimo_sim.datasets._avmnist_raw import DOWNLOADS, Raw
from mimo_sim.datasets._record import Published, Record

if TYPE_CHECKING:
    from mimo_sim.datasets._data import Dataset

SplitName = Literal["train", "validation", "test"]
Arrays = dict[str, npt.NDArray[Any]]

TAKES: dict[SplitName, range] = {  # takes of every speaker and digit: no clip is in two splits
    "train": range(10, 50),
    "validation": range(5, 10),
    "test": range(5),
}
PIXELS = 28 * 28  # and as many principal components
STORED = ("image", "audio", "target", "source", "recording")  # arrays of each split in the cache
MOST: dict[SplitName, int] = {"train": 55_000, "validation": 5_000, "test": 10_000}  # pairs
MEAN, STD = 0.68, 0.13  # of the spectrograms in [0, 1]


@dataclass(frozen=True)
class Setting:
    """Principal components kept of the image (None: all), and speech-to-noise ratio in dB."""

    components: int | None
    snr: float


SETTINGS = {
    "A": Setting(4, -14.0),
    "B": Setting(5, -6.0),
    "C": Setting(None, -6.0),
    "D": Setting(10, -6.0),
}


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

    The result is cached by settings and seed.

    Parameters
    ----------
    root : path, optional
        Folder with ``mnist/*.gz`` and ``fsdd/recordings/*.wav``; see
        :func:`mimo_sim.datasets.load`. Not read when the same data set is in the cache.
    seed : int
        Draws the subset, the pairs and the noise, with one generator per split.
    setting : {"A", "B", "C", "D"}
        Components kept of the image, and speech-to-noise ratio: A (4, -14 dB), B (5, -6 dB),
        C (untouched image, -6 dB), D (10, -6 dB).
    train_size, validation_size, test_size : int
        Pairs, up to 55,000, 5,000 and 10,000. The full size takes 1.2 GB in memory and in the
        cache.
    components, snr : optional
        Instead of the setting's.
    progress : bool
        Show a bar on stderr while building.

    Raises
    ------
    ValueError, TypeError
        For a setting or a size outside its range, or a damaged raw file.
    FileNotFoundError
        If a raw file is missing.

    Notes
    -----
    No recording is in two splits. Of every speaker and digit, takes 0 to 4 are in test, 5 to 9 in
    validation, and 10 to 49 in train. Babble is made of clips of the same split. No image is in two
    splits either. Train has the first 55,000 of MNIST's train set, validation its last 5,000, and
    test has MNIST's test set.
    """
    check(
        setting=setting,
        train_size=train_size,
        validation_size=validation_size,
        test_size=test_size,
        components=components,
        snr=snr,
    )
    keep = SETTINGS[setting].components if components is None else components
    level = float(SETTINGS[setting].snr if snr is None else snr)
    sizes: dict[SplitName, int] = {
        "train": train_size,
        "validation": validation_size,
        "test": test_size,
    }
    about = {
        "setting": setting,
        "components": keep,
        "snr_db": level,
        "sizes": sizes,
        "seed": seed,
        "recipe": recipe.VERSION,
    }
    sums = [sorted(download.files.items()) for download in RECORD.downloads]
    arrays = files.cached_arrays(
        "avmnist",
        [about, sums],
        [f"{split}.{name}" for split in TAKES for name in STORED],
        lambda: _make(root, seed, keep, level, sizes, progress),
    )
    return _tensors(about, arrays)


def check(
    *,
    setting: str = "A",
    train_size: int = 1,
    validation_size: int = 1,
    test_size: int = 1,
    components: int | None = None,
    snr: float | None = None,
    progress: bool = False,
) -> None:
    """Refuse the settings that :func:`build` refuses; nothing is read."""
    check_flag("progress", progress)
    check_choice("setting", setting, SETTINGS)
    if components is not None and not 1 <= check_count("components", components, 0) <= PIXELS:
        raise ValueError(f"`components` must lie in 1..{PIXELS}. Got components={components}.")
    if snr is not None and (isinstance(snr, bool) or not isinstance(snr, int | float | np.number)):
        raise TypeError(f"`snr` must be a number of dB. Got snr={snr!r}.")
    if snr is not None and not np.isfinite(snr):
        raise ValueError(f"`snr` must be a finite number of dB. Got snr={snr}.")
    _refuse_size("train", train_size, MOST["train"])
    _refuse_size("validation", validation_size, MOST["validation"])
    _refuse_size("test", test_size, MOST["test"])


def _refuse_size(name: SplitName, size: int, most: int) -> None:
    if check_count(f"{name}_size", size) > most:
        raise ValueError(f"`{name}_size` must be at most {most}. Got {name}_size={size}.")


def _make(
    root: str | Path | None,
    seed: int,
    keep: int | None,
    snr: float,
    sizes: dict[SplitName, int],
    progress: bool,
) -> Arrays:
    """Every array of the data set, named ``<split>.<array>``."""
    folder, fills_itself = files.data_folder(root)
    if fills_itself:
        files.fetch(folder, RECORD.downloads)
    raw = Raw(folder, RECORD.downloads)
    images, labels = raw.mnist("train")
    fitted = len(images) * 11 // 12  # 55,000 of 60,000: for train, and for the components
    pools: dict[SplitName, tuple[recipe.Bytes, recipe.Bytes]] = {
        "train": (images[:fitted], labels[:fitted]),
        "validation": (images[fitted:], labels[fitted:]),
        "test": raw.mnist("t10k"),
    }
    for name, size in sizes.items():
        _refuse_size(name, size, len(pools[name][1]))
    basis = None
    if keep is not None:
        mean, _, components = recipe.principal_components(pools["train"][0])
        basis = mean, components[:, :keep]
    arrays: Arrays = {}
    with progress_bar(sum(sizes.values()), progress, "building avmnist") as advance:
        for number, (name, (pictures, digits)) in enumerate(pools.items()):
            rng = np.random.default_rng([seed, number])
            clips, spoken, recordings = raw.speech(TAKES[name])
            rows, chosen = recipe.draw_pairs(rng, digits, spoken, sizes[name])
            picture: npt.NDArray[Any] = pictures[rows]
            if basis is not None:
                picture = recipe.reduce_energy(pictures[rows], *basis)
            audio = recipe.noisy_spectrograms(clips, chosen, snr, rng, advance)
            first = fitted if name == "validation" else 0  # row in MNIST's train or test file
            arrays[f"{name}.image"] = picture[:, None]
            arrays[f"{name}.audio"] = audio[:, None]
            arrays[f"{name}.target"] = digits[rows].astype(np.int64)
            arrays[f"{name}.source"] = rows + first
            arrays[f"{name}.recording"] = np.array(recordings)[chosen]
    return arrays


def _tensors(about: dict[str, Any], arrays: Arrays) -> Dataset:
    import torch

    from mimo_sim.datasets._data import Dataset, Modality, Split

    def split(name: SplitName) -> Split:
        inputs = tuple(torch.from_numpy(arrays[f"{name}.{kind}"]) for kind in ("image", "audio"))
        return Split(inputs, torch.from_numpy(arrays[f"{name}.target"]))

    whole_bytes = about["components"] is None  # else the images are floats in [0, 1] already
    shapes = RECORD.modalities
    image = Modality("image", shapes["image"], scale=1 / 255 if whole_bytes else 1.0)
    audio = Modality("audio", shapes["audio"], scale=1 / 255, mean=MEAN, std=STD)
    return Dataset(
        "avmnist",
        (image, audio),
        split("train"),
        split("validation"),
        split("test"),
        classes=RECORD.classes,
        about=about,
    )


# From memory of the papers: they were not at hand to check the digits.
UNCHECKED = "quoted from memory; their own data, larger networks"
OTHERS = (("unimodal", "heads/image"), ("unimodal", "heads/audio"), ("vanilla", "accuracy"))
TRIPLES = {
    ("A", "MultiBench (Liang et al. 2021)"): {"image": 65.1, "audio": 42.0, "late fusion": 71.7},
    ("B", "MFAS (Pérez-Rúa et al. 2019)"): {"image": 74.5, "audio": 66.1, "two streams": 87.8},
}

RECORD = Record(
    name="avmnist",
    about="handwritten and spoken digits, each degraded (MNIST + Free Spoken Digit Dataset)",
    modalities={"image": (1, 28, 28), "audio": (1, recipe.BINS, recipe.STEPS)},
    classes=tuple(map(str, range(10))),
    build=build,
    licence="MNIST: CC BY-SA 3.0 as usually stated; FSDD: CC BY-SA 4.0",
    home="https://github.com/Jakobovski/free-spoken-digit-dataset",
    downloads=DOWNLOADS,
    group="recording",
    published=[
        Published(setting, method, metric, percent, words, source, UNCHECKED)
        for (setting, source), numbers in TRIPLES.items()
        for (method, metric), (words, percent) in zip(OTHERS, numbers.items(), strict=True)
    ],
    check=check,
    settings={
        name: f"{one.components or 'all'} image components, {one.snr:g} dB"
        for name, one in SETTINGS.items()
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


if not TYPE_CHECKING:  # a type checker must still see which names there are
    __getattr__ = _moved.hook(__name__)
