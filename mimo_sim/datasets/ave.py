"""AVE: 28 kinds of events that are seen and heard, ten seconds each, from AudioSet.

Get the videos and the small files of the authors' repository (`data/`), and put them below the data
folder::

    ave/Annotations.txt                                `category&id&quality&start&end`
    ave/train_order.h5, val_order.h5, test_order.h5    row numbers of that list, from 0
    ave/**/<YouTube id>.mp4

This is the task of OGM-GE and its followers: one of 28 classes for the whole video. The authors'
own task names 29 classes second by second, from features; its figures are not comparable. Eight
videos are in train and test, ten in train and validation: their train rows are dropped here, and
the manifest of the store names them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mimo_sim.datasets import _clips as clips
from mimo_sim.datasets._published import alone
from mimo_sim.datasets._record import Published, Record
from mimo_sim.datasets._store import Sample

FOLDER = "ave"
LIST = "Annotations.txt"
SOURCE = "YapengTian/AVE-ECCV18, data"
SUMS = {
    LIST: "0d24a9ec5cd4ceb779ebd83d74e83ec8e55c5e468cede3f320fb57346c9dd321",
    "test_order.h5": "f9bb79defc1f784ca5dda9cdd3ee52af6d24ccb399a1cfab6bf0d373f5681076",
    "val_order.h5": "5692aec0efb30e4efa49a867a902c1993b4c88a7d3ec19879349e540e7a5d9ca",
    "train_order.h5": "a216fcdd02782ba9d10c9ea79116120eb3be467740e58290e1b340d42a590456",
}
ORDERS = {"test": "test_order.h5", "validation": "val_order.h5", "train": "train_order.h5"}
CLASSES = (  # as they first appear in the list, which is the order of the authors' labels
    *("Church bell", "Male speech, man speaking", "Bark", "Fixed-wing aircraft, airplane"),
    *("Race car, auto racing", "Female speech, woman speaking", "Helicopter", "Violin, fiddle"),
    *("Flute", "Ukulele", "Frying (food)", "Truck", "Shofar", "Motorcycle", "Acoustic guitar"),
    *("Train horn", "Clock", "Banjo", "Goat", "Baby cry, infant cry", "Bus", "Chainsaw", "Cat"),
    *("Horse", "Toilet flush", "Rodents, rats, mice", "Accordion", "Mandolin"),
)


def listing(root: Path) -> clips.Listing:
    """The videos of the list, split by the order files."""
    folder = root / FOLDER
    there = clips.media_by_name(folder)
    path = folder / LIST
    rows = [line.split("&") for line in clips.list_text(path, SOURCE).splitlines() if line]
    first = 1
    if rows and rows[0][1:2] == ["VideoID"]:  # some copies have a header
        rows, first = rows[1:], 2
    sums = {path: SUMS[LIST]} | {folder / file: SUMS[file] for file in ORDERS.values()}
    samples: list[Sample] = []
    dropped: dict[str, str] = {}
    split_of: dict[str, str] = {}
    for split, file in ORDERS.items():
        for row in _order(folder / file, len(rows)):
            where = f"{path}, line {row + first}"
            if len(rows[row]) != 5:
                raise ValueError(
                    f"{where}: must be `category&id&quality&start&end`. Got {rows[row]}."
                )
            label, name = rows[row][:2]
            target = clips.class_number(label, CLASSES, where)
            key = name if name not in split_of else f"{name}#{row}"  # some are listed twice
            if split_of.setdefault(name, split) != split:
                dropped[key] = f"the video is also in {split_of[name]}"
                continue
            video = there.get(clips.normal(name), folder / f"{name}.mp4")
            samples.append(Sample(key, split, target, (video,)))
    by_split = {"train": 0, "validation": 1, "test": 2}
    samples.sort(key=lambda sample: by_split[sample.split])
    return clips.Listing(samples, clips.list_sums(root, sums), dropped)


def _order(path: Path, rows: int) -> list[int]:
    """The row numbers in an order file."""
    import h5py

    try:
        with h5py.File(path) as file:
            found = np.asarray(file["order"]).astype(int)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing. It comes from {SOURCE}") from None
    except (OSError, KeyError) as error:
        raise ValueError(f"{path} must be an HDF5 file with `order`: {error}") from None
    if len(found) and not 0 <= found.min() <= found.max() < rows:
        raise ValueError(
            f"{path} must have row numbers of 0 to {rows - 1}. Got {found.min()} to {found.max()}."
        )
    return [int(row) for row in found]


CLIPS = clips.Clips("ave", CLASSES, clips.OGM_AVE, frames=3, listing=listing)
LATER = "re-run by a later paper, by its notes (TCMax)"
RECONBOOST = "ReconBoost, names of released checkpoints"

RECORD = Record(
    name="ave",
    about="events seen and heard (AVE, 28 classes, one for each video)",
    modalities=CLIPS.shapes,
    classes=CLASSES,
    build=CLIPS.build,
    check=CLIPS.check,
    plan=CLIPS.plan,
    licence="none stated; the videos are AudioSet / YouTube clips",
    home="https://github.com/YapengTian/AVE-ECCV18",
    group="video",
    presets=clips.PRESETS,
    published=(
        Published(None, "mmpareto", "accuracy", 63.1, "mmpareto", LATER, "not checked"),
        *alone(
            {"audio": 59.38, "video": 31.25}, RECONBOOST, "what the epoch was chosen on: unknown"
        ),
    ),
)
