"""CREMA-D ratings: what people heard in a voice, and what they saw in a face.

No sound and no picture: the inputs are the votes of human raters, twelve numbers for each. The face
tells more than the voice, and still joint training hurts neither encoder. That makes it a control:
what a method gains here, it does not gain by balance. Measured with the preset ``cpu``, seeds 0 to
2, in % with 95 % intervals: a linear probe of the voice encoder reaches 60.3 +- 1.2 after training
alone and 59.9 +- 1.8 after joint training; of the face encoder 74.0 +- 1.4 and 74.5 +- 1.0.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mimo_sim.datasets import _files as files
from mimo_sim.datasets._record import Record
from mimo_sim.datasets._stratified import split_rows

if TYPE_CHECKING:
    from pathlib import Path

    from mimo_sim.datasets._data import Dataset

CODES = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")  # in the names of the clips
EMOTIONS = dict(zip("ADFHNS", CODES, strict=True))  # letter of a vote -> code
LEVELS = tuple(
    f"mean{emotion}Resp" for emotion in ("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad")
)
PRESENTATIONS = {"voice": 1, "face": 2}  # row number // 100,000; 3 is what raters of both say
VALIDATION = 670  # of the 6,698 clips of the published train list

RAW = "https://raw.githubusercontent.com"
CREMAD = f"{RAW}/CheyneyComputerScience/CREMA-D/1658cd342dff90010aa843eaeebd53610a08b1dc"
LISTS = f"{RAW}/GeWu-Lab/OGM-GE_CVPR2022/343dc1d95c9bda88f105c0da8d24f185e0e98b54/data/CREMAD"
VOTES = "cremad_ratings/tabulatedVotes.csv"
TRAIN, TEST = "cremad_ratings/splits/train.csv", "cremad_ratings/splits/test.csv"
SUMS = {
    VOTES: "sha256:774d9d759cb5caf2542758a39eca8c0f1d2777f9987ff5d5adf8066d192f377b",
    TRAIN: "sha256:68d0d3fd253830328fc92c68f3cf2e215db8c5b86757ad9c5112d2c76ba68bde",
    TEST: "sha256:14866c99301fd56fb4a16f8a7048a8a6372a47069aee9f216443bc718be45f1f",
}
DOWNLOADS = tuple(
    files.Download(url, {path: SUMS[path]}, size)
    for url, path, size in (
        (f"{CREMAD}/processedResults/tabulatedVotes.csv", VOTES, 4_057_953),
        (f"{LISTS}/train.csv", TRAIN, 140_658),
        (f"{LISTS}/test.csv", TEST, 15_624),
    )
)


def build(root: str | Path | None = None, seed: int = 0) -> Dataset:
    """7,442 clips of acted emotions: votes on the voice alone (12,) and on the face alone (12,).

    The first six numbers are the shares of the votes for anger, disgust, fear, happy, neutral and
    sad. The other six are the mean level of these votes, 0 to 1, and 0 where nobody voted. The
    target is the emotion that the actor was asked to show.

    Parameters
    ----------
    root : path, optional
        Folder with ``cremad_ratings/``; see :func:`mimo_sim.datasets.load`.
    seed : int
        Draws the validation split: 670 clips of the train list, stratified.

    Raises
    ------
    ValueError
        If a raw file is damaged.
    FileNotFoundError
        If one is missing.

    Notes
    -----
    Train and test are the lists of OGM-GE (Peng et al. 2022), which most papers use: 6,698 and 744
    clips. They share actors. Raters who saw and heard a clip are never an input.
    """
    from mimo_sim.datasets._data import Dataset, Modality, Split

    folder, fills_itself = files.data_folder(root)
    if fills_itself:
        files.fetch(folder, DOWNLOADS)
    votes = _votes(_rows(folder, VOTES))
    clips = {path: [row[0] for row in _rows(folder, path)] for path in (TRAIN, TEST)}
    number = {code: place for place, code in enumerate(EMOTIONS.values())}

    def labels(names: list[str]) -> npt.NDArray[np.int64]:
        return np.array([number[name.split("_")[2]] for name in names])

    listed, target = clips[TRAIN], labels(clips[TRAIN])
    rows = split_rows(target, VALIDATION / len(target), seed)

    def split(names: list[str]) -> Split:
        inputs = tuple(np.stack([votes[kind][name] for name in names]) for kind in PRESENTATIONS)
        return Split(inputs, labels(names))  # type: ignore[arg-type]

    train, validation = (split([listed[row] for row in part]) for part in rows)
    return Dataset(
        "cremad_ratings",
        tuple(Modality(name, shape) for name, shape in RECORD.modalities.items()),
        train,
        validation,
        split(clips[TEST]),
        classes=RECORD.classes,
        about={"seed": seed},
    )


def _rows(folder: Path, path: str) -> list[list[str]]:
    remedy = f"mimo-sim data prepare cremad_ratings --root {folder}"
    return list(csv.reader(files.read(folder, path, SUMS[path], remedy).decode().splitlines()))


def _votes(rows: list[list[str]]) -> dict[str, dict[str, npt.NDArray[np.float32]]]:
    """Presentation -> clip -> shares and levels (12,)."""
    header, *body = rows
    place = {name: column for column, name in enumerate(header)}
    found: dict[str, dict[str, Any]] = {kind: {} for kind in PRESENTATIONS}
    kinds = {number: kind for kind, number in PRESENTATIONS.items()}
    for row in body:
        kind = kinds.get(int(row[0]) // 100_000)
        if kind is not None:
            counts = np.array([float(row[place[letter]]) for letter in EMOTIONS])
            levels = np.array([float(row[place[name]]) for name in LEVELS])  # -1 is no vote
            numbers = [counts / counts.sum(), np.maximum(levels, 0) / 100]
            found[kind][row[place["fileName"]]] = np.concatenate(numbers).astype(np.float32)
    return found


RECORD = Record(
    name="cremad_ratings",
    about="acted emotions as people rated the voice alone and the face alone (CREMA-D): a control",
    modalities={"voice": (12,), "face": (12,)},
    classes=("anger", "disgust", "fear", "happy", "neutral", "sad"),
    build=build,
    licence="ODbL 1.0, contents DbCL 1.0 (CREMA-D, Cao et al. 2014)",
    home="https://github.com/CheyneyComputerScience/CREMA-D",
    downloads=DOWNLOADS,
    group="clip",
    presets={"cpu": {"settings": {"epochs": 20}}, "full": {"settings": {"epochs": 20}}},
)
