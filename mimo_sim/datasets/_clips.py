"""What audio-visual data sets share: lists of clips, pictures and a spectrogram of each."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from mimo_sim._checks import check_count, check_flag, did_you_mean
from mimo_sim.datasets import _files as files
from mimo_sim.datasets import _media as media
from mimo_sim.datasets import _store as store
from mimo_sim.datasets._stored import dataset_of

if TYPE_CHECKING:
    from mimo_sim.datasets._data import Dataset

SIZE = 224  # pixels
CPU_SIZE = 48  # of the preset cpu: small enough for the encoder `frames`
VERSION = 1  # raise it when the numbers change, so that no old store is taken for a new one
IMAGE_MEAN, IMAGE_STD = 0.449, 0.226  # ImageNet's, averaged over the colours
VIDEOS = (".mp4", ".mkv", ".webm", ".avi", ".flv", ".mov")
OGM_SGD = {"optimizer": "sgd", "lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4}
PAPER = {  # OGM-GE (Peng et al. 2022) and most that followed; x 0.1 after 70 of 100 epochs
    "epochs": 100,
    "batch_size": 64,
    "schedule": "step",
    "encoder": "resnet18",
    "augment": "frame",
    **OGM_SGD,
}
PRESETS: Mapping[str, Any] = {
    "cpu": {
        "data": {"size": CPU_SIZE},
        "settings": {"epochs": 12, "encoder": "audio=lenet,video=frames"},
    },
    "full": {"settings": {"epochs": 30, "encoder": "resnet18"}},
    "paper": {"settings": PAPER},
}


@dataclass(frozen=True)
class Spectrum:
    """How sound becomes a picture.

    Attributes
    ----------
    name : str
        Goes into the manifest of a store.
    rate : int
        Samples per second that the sound is resampled to.
    shape : tuple of int
        (1, height, width).
    make : callable
        Sound (samples,) -> (height, width).
    """

    name: str
    rate: int
    shape: tuple[int, int, int]
    make: Callable[[media.Wave], media.Wave]


@dataclass(frozen=True)
class Listing:
    """The lists of a data set, read.

    Attributes
    ----------
    samples : sequence of Sample
        Their files are the sound and the video, perhaps the same one.
    lists, dropped : mapping
        As in :class:`mimo_sim.datasets._store.Plan`.
    """

    samples: Sequence[store.Sample]
    lists: Mapping[str, str]
    dropped: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Clips:
    """An audio-visual data set.

    Attributes
    ----------
    name : str
    classes : tuple of str
    spectrum : Spectrum
    frames : int
        Pictures of each clip, as published.
    listing : callable
        Data folder -> Listing.
    """

    name: str
    classes: tuple[str, ...]
    spectrum: Spectrum
    frames: int
    listing: Callable[[Path], Listing]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The modalities, at the published sizes."""
        return self._shapes(SIZE, self.frames)

    def _shapes(self, size: int, frames: int) -> dict[str, tuple[int, ...]]:
        return {"audio": self.spectrum.shape, "video": (3, frames, size, size)}

    def _about(self, size: int, frames: int | None) -> dict[str, Any]:
        return {
            "size": size,
            "frames": self.frames if frames is None else frames,
            "spectrum": self.spectrum.name,
            "recipe": VERSION,
        }

    def check(
        self, *, size: int = SIZE, frames: int | None = None, stream: bool | None = None
    ) -> None:
        """Refuse the settings that :meth:`build` refuses; nothing is read."""
        check_count("size", size, 8)
        if frames is not None:
            check_count("frames", frames)
        if stream is not None:
            check_flag("stream", stream)

    def plan(
        self, root: Path, *, size: int = SIZE, frames: int | None = None, stream: bool | None = None
    ) -> store.Plan:
        """What `mimo-sim data prepare` writes: the lists, read, and the recipe."""
        self.check(size=size, frames=frames, stream=stream)
        about = self._about(size, frames)
        listing = self.listing(root)
        kinds = {"audio": "float32", "video": "uint8"}
        shapes = self._shapes(size, about["frames"])
        return store.Plan(
            self.name,
            root,
            about,
            {name: (kinds[name], shape) for name, shape in shapes.items()},
            listing.samples,
            partial(_arrays, self.spectrum, size, about["frames"]),
            listing.lists,
            listing.dropped,
        )

    def build(
        self,
        root: str | Path | None = None,
        seed: int = 0,
        *,
        size: int = SIZE,
        frames: int | None = None,
        stream: bool | None = None,
    ) -> Dataset:
        """Clips out of the store: `audio`, a spectrogram, and `video` (3, frames, size, size).

        Parameters
        ----------
        root : path, optional
            The data folder; the store lies below it. See :func:`mimo_sim.datasets.load`.
        seed : int
            Draws the validation split where the lists have none: 10 % of train, stratified.
        size : int
            Height and width of the pictures, which lose their aspect, >= 8.
        frames : int or None
            Pictures of each clip, from the middle of equal parts of it. None is the published
            number.
        stream : bool or None
            Leave the samples on the disk and read a batch when it is needed. None does so where
            they would take more than a quarter of the machine's memory. The numbers are the same.

        Raises
        ------
        FileNotFoundError
            If `mimo-sim data prepare` was not run with these settings.
        ValueError, TypeError
            For a setting outside its range.

        Notes
        -----
        Not as published: frames are not drawn anew in every epoch, random crops are cut from the
        resized picture, and pictures are standardised by the mean of ImageNet over all colours.
        """
        return self.load(root, seed, size=size, frames=frames, stream=stream)

    def load(
        self,
        root: str | Path | None,
        seed: int,
        *,
        group: Callable[[str], str] | None = None,
        size: int = SIZE,
        frames: int | None = None,
        stream: bool | None = None,
    ) -> Dataset:
        """As :meth:`build`; with `group` the clips are split anew, by groups."""
        from mimo_sim.datasets._data import Modality

        self.check(size=size, frames=frames, stream=stream)
        folder, _ = files.data_folder(root)
        about = self._about(size, frames)
        place = store.store_folder(folder, self.name, about)
        options = f"--option size={size} --option frames={about['frames']}"
        remedy = f"mimo-sim data prepare {self.name} --root {folder} {options}"
        manifest = store.opened(place, remedy)
        shapes = self._shapes(size, about["frames"])
        modalities = (
            Modality("audio", shapes["audio"]),
            Modality("video", shapes["video"], 1 / 255, IMAGE_MEAN, IMAGE_STD),
        )
        return dataset_of(place, manifest, seed, modalities, self.classes, stream, group)


def _arrays(
    spectrum: Spectrum, size: int, frames: int, sample: store.Sample
) -> dict[str, npt.NDArray[Any]]:
    """Spectrogram and pictures of one clip."""
    sound, video = sample.files[0], sample.files[-1]
    wave = media.sound(sound, spectrum.rate)
    return {
        "audio": spectrum.make(wave)[None],
        "video": media.pictures(video, frames, size),
    }


# ------------------------------------------------------------------------------ reading the lists


def list_text(path: Path, where: str) -> str:
    """The text of a list file.

    Raises
    ------
    FileNotFoundError
        If it is missing; `where` says where to get it.
    ValueError
        If it is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing. It comes from {where}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be text in UTF-8: {error}") from None


def list_sums(root: Path, published: Mapping[Path, str]) -> dict[str, str]:
    """The sum of each list file, and whether it is the published one."""
    found = {}
    for path, expected in published.items():
        digest = store.file_sum(path)
        known = "published" if digest == expected else "other than published"
        found[str(path.relative_to(root))] = f"sha256:{digest}" + (
            f" ({known})" if expected else ""
        )
    return found


def class_number(label: str, classes: Sequence[str], where: str) -> int:
    """The number of a class.

    Raises
    ------
    ValueError
        If there is no such class; the message names the line of the list.
    """
    if label not in classes:
        hint = did_you_mean(label, classes)
        allowed = tuple(classes) if len(classes) <= 31 else f"the {len(classes)} classes"
        raise ValueError(f"{where}: the label must be one of {allowed}. Got {label!r}.{hint}")
    return list(classes).index(label)


def normal(name: str) -> str:
    """A name in Unicode's composed form: file systems keep accents in two ways."""
    return unicodedata.normalize("NFC", name)


def media_by_name(folder: Path) -> dict[str, Path]:
    """Every video below a folder by its name without suffix."""
    return {
        normal(path.stem): path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in VIDEOS and path.is_file()
    }


# -------------------------------------------------------------------------------- published sound


def _three_seconds(wave: media.Wave) -> media.Wave:
    return media.log_magnitudes(media.repeated(wave, 66_150), 512, 353)


def _middle_of_ten_seconds(wave: media.Wave) -> media.Wave:
    return media.log_magnitudes(media.repeated(wave, 160_000)[40_000:120_000], 256, 128)


def _ten_times(wave: media.Wave) -> media.Wave:
    return media.standardised_log_power(media.repeated(wave, 160_000))


def _mel(wave: media.Wave) -> media.Wave:
    return media.mel_energies(wave, 16_000)


OGM_CREMAD = Spectrum("log_stft-22050Hz-512-353-3s", 22_050, (1, 257, 188), _three_seconds)
OGM_VGGSOUND = Spectrum(
    "log_stft-16000Hz-256-128-middle5s", 16_000, (1, 129, 626), _middle_of_ten_seconds
)
OGM_AVE = Spectrum("log_power-22050Hz-512-353-7s-zscore", 22_050, (1, 257, 1004), _ten_times)
MEL = Spectrum("kaldi_mel-16000Hz-128x1024", 16_000, (1, media.MEL_STEPS, media.MEL_BINS), _mel)
