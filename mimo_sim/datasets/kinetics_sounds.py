"""Kinetics-Sounds: 31 kinds of action that can be seen and heard, ten seconds each.

Get the videos of Kinetics-400 (home page below) and the two lists of OGM-GE, and put them below the
data folder::

    kinetics_sounds/my_train.txt, my_test.txt                   `name,10,class number`
    kinetics_sounds/**/<YouTube id>_<start>_<end>.mp4           start and end with six digits

The train list has full names, the test list `<id>_<start>` without zeros; both are understood.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from mimo_sim.datasets import _clips as clips
from mimo_sim.datasets._published import alone, benchmark, inforeg
from mimo_sim.datasets._record import Record
from mimo_sim.datasets._store import Sample

FOLDER = "kinetics_sounds"
SECONDS = 10
LISTS = {  # split -> list and its published sum
    "train": (
        "my_train.txt",
        "e75bb596c30bf839adb3c2dc73b4a4617add66b36c2f416f96ac2e56a251751f",
    ),
    "test": (
        "my_test.txt",
        "3bb1fee2c9d30919cec6887a3e2fa27b7936cc3f46dff447d85ea21892a80a58",
    ),
}
CLASSES = (  # of the 34 of Arandjelovic and Zisserman (2017), those that Kinetics-400 has
    *("blowing nose", "blowing out candles", "bowling", "chopping wood", "dribbling basketball"),
    *("laughing", "mowing lawn", "playing accordion", "playing bagpipes", "playing bass guitar"),
    *("playing clarinet", "playing drums", "playing guitar", "playing harmonica"),
    *("playing keyboard", "playing organ", "playing piano", "playing saxophone"),
    *("playing trombone", "playing trumpet", "playing violin", "playing xylophone"),
    *("ripping paper", "shoveling snow", "shuffling cards", "singing", "stomping grapes"),
    *("tap dancing", "tapping guitar", "tapping pen", "tickling"),
)
FULL = re.compile(r"(.+)_(\d{6})_(\d{6})")
SHORT = re.compile(r"(.+)_(\d+)")


def file_name(name: str) -> str:
    """The name of the video of a list entry, without suffix.

    Examples
    --------
    >>> file_name("-3Mwkq-7TV4_2")
    '-3Mwkq-7TV4_000002_000012'
    """
    short = SHORT.fullmatch(name)
    if FULL.fullmatch(name) or short is None:
        return name
    start = int(short[2])
    return f"{short[1]}_{start:06d}_{start + SECONDS:06d}"


def listing(root: Path) -> clips.Listing:
    """The clips of both lists."""
    folder = root / FOLDER
    there = clips.media_by_name(folder)
    numbers = {str(number): number for number in range(len(CLASSES))}
    samples, sums = [], {}
    for split, (file, expected) in LISTS.items():
        path = folder / file
        sums[path] = expected
        text = clips.list_text(path, f"GeWu-Lab/OGM-GE_CVPR2022, data/KineticSound/{file}")
        for line, row in enumerate(csv.reader(text.splitlines()), 1):
            where = f"{path}, line {line}"
            if len(row) != 3 or row[2] not in numbers:
                raise ValueError(
                    f"{where}: must be `name,10,class number` with a number of 0 to "
                    f"{len(CLASSES) - 1}. Got {','.join(row)!r}."
                )
            name = clips.normal(file_name(row[0]))
            video = there.get(name, folder / f"{name}.mp4")
            samples.append(Sample(row[0], split, numbers[row[2]], (video,)))
    return clips.Listing(samples, clips.list_sums(root, sums))


CLIPS = clips.Clips("kinetics_sounds", CLASSES, clips.MEL, frames=3, listing=listing)

RECORD = Record(
    name="kinetics_sounds",
    about="actions seen and heard (Kinetics-Sounds, 31 classes)",
    modalities=CLIPS.shapes,
    classes=CLASSES,
    build=CLIPS.build,
    check=CLIPS.check,
    plan=CLIPS.plan,
    licence="annotations CC BY 4.0 (from memory, not checked); videos belong to their uploaders",
    home="https://github.com/cvdfoundation/kinetics-dataset",
    group="clip: no YouTube id is in both published lists",
    presets=clips.PRESETS,
    published=(
        *alone({"audio": 55.06, "video": 45.31}),
        *benchmark(
            {
                "vanilla": (65.63, 65.28),
                "mmcosine": (67.49, 67.09),
                "umt": (68.60, 68.43),
                "mbsd": (68.82, 68.28),
                "cml": (67.56, 67.22),
                "g_blending": (68.82, 66.43),
                "mmpareto": (74.55, 74.21),
                "lfm": (66.37, 66.02),
                "ogm": (67.04, 66.95),
                "agm": (66.62, 65.88),
                "pmr": (67.11, 66.87),
                "relearning": (65.92, 65.48),
                "reconboost": (68.38, 67.68),
                "mla": (69.05, 68.75),
                "opm": (66.89, 66.44),
                "greedy": (66.82, 66.53),
                "amco": (70.54, 69.95),
                "smv": (68.01, 68.03),
            }
        ),
        *inforeg(
            {
                "vanilla": (65.67, 53.13, 36.01),
                "ogm": (66.63, 53.39, 40.16),
                "greedy": (66.54, 53.15, 37.82),
                "pmr": (66.33, 53.42, 36.17),
                "agm": (66.54, 53.12, 37.24),
                "inforeg": (69.31, 54.16, 44.73),
                "linear_scalarization": (68.71, 55.23, 44.18),
                "g_blending": (68.33, 54.22, 42.31),
                "mmpareto": (71.11, 56.47, 53.39),
            }
        ),
    ),
)
