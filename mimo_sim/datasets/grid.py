"""GRID words: 51 spoken words, each as the speaker's lips and as the sound of the word in noise.

The GRID corpus (Cooke, Barker, Cunningham, Shao 2006) has sentences of six words of a fixed
grammar, such as "bin blue at f two now". Here are the 1,000 sentences of speaker s1, cut into 6,000
words. Sound and picture are real, and they belong together. The imbalance is strong: the sound
alone names nearly every word, and a network that hears hardly learns to read lips.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mimo_sim._checks import check_count
from mimo_sim._extras import folder_of
from mimo_sim._progress import progress_bar
from mimo_sim.datasets import _files as files
from mimo_sim.datasets import _grid_raw as raw
from mimo_sim.datasets._avmnist_recipe import BINS, CHUNK, STEPS, spectrogram
from mimo_sim.datasets._grid_raw import COPY, DOWNLOADS, FRAME, MARGIN, RATE, UNIT
from mimo_sim.datasets._record import Record

if TYPE_CHECKING:
    from pathlib import Path

    from mimo_sim.datasets._data import Dataset

CLASSES = (  # in the order of the grammar: command, colour, preposition, letter, digit, adverb
    *("bin", "lay", "place", "set"),
    *("blue", "green", "red", "white"),
    *("at", "by", "in", "with"),
    *"abcdefghijklmnopqrstuvxyz",  # no w: its name is too long
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("again", "now", "please", "soon"),
)
SENTENCES = {"train": 700, "validation": 100, "test": 200}
FRAMES = 8  # pictures of the lips in each word
CLEAN = "clean"
VERSION = 1  # raise it when the tensors change, so that no old cache is taken for a new one


def build(
    root: str | Path | None = None,
    seed: int = 0,
    *,
    setting: str | float = CLEAN,
    train_sentences: int = SENTENCES["train"],
    progress: bool = False,
) -> Dataset:
    """GRID words: a clip of the lips (1, 8, 12, 35) and a spectrogram (1, 112, 112) of each word.

    The result is cached by settings and seed.

    Parameters
    ----------
    root : path, optional
        Folder with ``grid_s1/grid_s1.npz`` (the compact copy) or with ``grid/s1/*.mpg`` and
        ``grid/alignments/s1/*.align`` (the original clips, which PyAV decodes: extra ``media``);
        see :func:`mimo_sim.datasets.load`. Not read when the same data set is in the cache.
    seed : int
        Draws the split and the noise.
    setting : "clean" or number
        No noise, or the speech-to-noise ratio in dB, such as -5 or -10: 20 log10 of the root mean
        square of the word over that of the white noise.
    train_sentences : int
        Sentences to train on, 1 to 700. Validation always has 100 and test 200.
    progress : bool
        Show a bar on stderr while building.

    Raises
    ------
    ValueError, TypeError
        For a setting outside its range, or a damaged raw file.
    FileNotFoundError
        If a raw file is missing.

    Notes
    -----
    The split is by sentence, so words that run into each other are never on two sides. Of
    ``numpy.random.default_rng(seed).permutation(1000)``, numbers of the sentences in the order of
    their names, the first 200 are test, the next 100 validation, the next `train_sentences` train.

    *Lips*: 8 frames at evenly spaced times, from one frame (40 ms) before the word to one after it.
    The mouth is 140 x 48 pixels of the picture, grey, averaged over 4 x 4 pixels. *Sound*: mono
    at 8 kHz, from 40 ms before the word to 40 ms after it, in white noise drawn once; then the
    spectrogram of AV-MNIST: 112 Hann windows of 28 ms that are spread over the word, the
    frequencies up to 4 kHz, dB below the maximum, cut at -80 dB. So neither input shows how long
    the word is. Both are standardised by the mean and standard deviation of the train split.
    """
    level = _snr(setting)
    check(setting=setting, train_sentences=train_sentences)
    about = {
        "setting": CLEAN if level is None else f"{level:g}",
        "snr_db": level,
        "sentences": SENTENCES | {"train": train_sentences},
        "seed": seed,
        "recipe": [raw.VERSION, VERSION],
    }
    arrays = files.cached_arrays(
        "grid",
        about,
        [f"{split}.{key}" for split in SENTENCES for key in ("lips", "audio", "target")],
        lambda: _make(_speaker(root, progress), seed, level, train_sentences, progress),
    )
    return _tensors(about, arrays)


def check(
    *,
    setting: str | float = CLEAN,
    train_sentences: int = SENTENCES["train"],
    progress: bool = False,
) -> None:
    """Refuse the settings that :func:`build` refuses; nothing is read."""
    _snr(setting)
    most = SENTENCES["train"]
    if check_count("train_sentences", train_sentences) > most:
        raise ValueError(
            f"`train_sentences` must be at most {most}. Got train_sentences={train_sentences}."
        )


def _snr(setting: Any) -> float | None:
    """The speech-to-noise ratio in dB; None without noise."""
    if setting == CLEAN:
        return None
    try:
        level = math.nan if isinstance(setting, bool) else float(setting)
    except (TypeError, ValueError):
        level = math.nan
    if not math.isfinite(level):
        raise ValueError(
            f"`setting` must be {CLEAN!r} or a finite number of dB. Got setting={setting!r}."
        )
    return level


def _speaker(root: str | Path | None, progress: bool) -> raw.Arrays:
    """The words of the speaker, fetched where the data folder fills itself."""
    folder, fills_itself = files.data_folder(root)
    if fills_itself:
        folder_of("av")  # that it is missing is said before the download
        files.fetch(folder, RECORD.raw_files(folder))
    return raw.read(folder, progress)


def lips(words: raw.Arrays) -> npt.NDArray[np.uint8]:
    """Pictures (words, 8, 12, 35) of the mouth, evenly spaced over each word."""
    times = np.linspace(words["begin"] - FRAME, words["end"] + FRAME, FRAMES, axis=1)
    offset, low, high = _in_row(words, "lip_start", "first_frame", len(words["lips"]))
    places = (times // FRAME).astype(np.int64) + offset[:, None]
    found: npt.NDArray[np.uint8] = words["lips"][np.clip(places, low[:, None], high[:, None] - 1)]
    return found


def sounds(words: raw.Arrays) -> list[npt.NDArray[np.float32]]:
    """The sound of each word with 40 ms around it, scaled to a root mean square of 1."""
    offset, low, high = _in_row(words, "audio_start", "first_sample", len(words["audio"]))
    begin, end = (np.rint(words[key] / UNIT * RATE).astype(int) for key in ("begin", "end"))
    starts = np.maximum(begin - MARGIN + offset, low)
    stops = np.minimum(end + MARGIN + offset, high)
    waves = []
    for start, stop in zip(starts, stops, strict=True):
        wave = words["audio"][start:stop].astype(np.float64)
        waves.append((wave / np.sqrt(np.mean(wave**2))).astype(np.float32))
    return waves


def _in_row(
    words: raw.Arrays, start: str, first: str, total: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each word: what turns a place in its clip into one in the row of all clips; its bounds.

    The clip has the places [low, high) of the row.
    """
    low, high = words[start], np.append(words[start][1:], total)
    clip = words["clip"]
    return (low - words[first])[clip], low[clip], high[clip]


def spectrograms(
    waves: list[npt.NDArray[np.float32]], snr: float | None, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Spectrograms (words, 112, 112) of sounds of root mean square 1, each in noise of its own."""
    done = []
    for start in range(0, len(waves), CHUNK):
        part = waves[start : start + CHUNK]
        room = np.zeros((len(part), RATE), np.float32)
        for row, wave in zip(room, part, strict=True):
            row[: len(wave)] = wave
        if snr is not None:
            noise = rng.standard_normal(room.shape, dtype=np.float32)
            room += noise * np.float32(10 ** (-snr / 20))
        done.append(spectrogram(room, np.array([len(wave) for wave in part])))
    return np.concatenate(done)


def _make(
    words: raw.Arrays, seed: int, snr: float | None, train_sentences: int, progress: bool
) -> raw.Arrays:
    """Every array of the data set, named ``<split>.<array>``."""
    order = np.random.default_rng(seed).permutation(len(words["names"]))
    bounds = np.cumsum([SENTENCES["test"], SENTENCES["validation"], train_sentences])
    test, validation, train, _ = np.split(order, bounds)
    number = {word: place for place, word in enumerate(CLASSES)}
    target = np.array([number[word] for word in words["words"].tolist()])
    pictures, waves = lips(words), sounds(words)
    arrays: raw.Arrays = {}
    splits = {"train": train, "validation": validation, "test": test}
    with progress_bar(len(splits), progress, "building grid") as advance:
        for place, (name, sentences) in enumerate(splits.items()):
            rows = np.flatnonzero(np.isin(words["clip"], sentences))
            rng = np.random.default_rng([seed, place])
            arrays[f"{name}.lips"] = pictures[rows][:, None]
            arrays[f"{name}.audio"] = spectrograms([waves[row] for row in rows], snr, rng)[:, None]
            arrays[f"{name}.target"] = target[rows]
            advance(1)
    return arrays


def _tensors(about: dict[str, Any], arrays: raw.Arrays) -> Dataset:
    from mimo_sim.datasets._data import Dataset, Modality, Split

    def split(name: str) -> Split:
        inputs = tuple(arrays[f"{name}.{kind}"] for kind in RECORD.modalities)
        return Split(inputs, arrays[f"{name}.target"])  # type: ignore[arg-type]

    modalities = []
    for name, shape in RECORD.modalities.items():
        seen = arrays[f"train.{name}"]
        modalities.append(Modality(name, shape, mean=float(seen.mean()), std=float(seen.std())))
    return Dataset(
        "grid",
        tuple(modalities),
        split("train"),
        split("validation"),
        split("test"),
        classes=CLASSES,
        about=about,
    )


RECORD = Record(
    name="grid",
    about="spoken words: lips of a speaker and sound in white noise (GRID corpus, speaker s1)",
    modalities={"lips": (1, FRAMES, 12, 35), "audio": (1, BINS, STEPS)},
    classes=CLASSES,
    build=build,
    check=check,
    licence="CC BY 4.0 as usually stated (Zenodo); 'freely available for research use' (authors)",
    home="https://doi.org/10.5281/zenodo.3625687",
    downloads=DOWNLOADS,
    copy=COPY,
    group="sentence",
    settings={
        CLEAN: "no noise",
        "-5": "white noise, -5 dB",
        "-10": "white noise, -10 dB; any other number of dB is allowed",
    },
    presets={"cpu": {"settings": {"epochs": 12}}, "full": {"settings": {"epochs": 30}}},
)
