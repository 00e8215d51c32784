"""VGGSound: 309 kinds of sound with their source in the picture, ten seconds each.

Get the videos and the list (home page below), and put them below the data folder::

    vggsound/vggsound.csv                          `id,start second,label,split`, no header
    vggsound/**/<YouTube id>_<start>.mp4           start with six digits, or without zeros

Classes are numbered by the sorted names of all 309. OGM-GE and BalanceBenchmark number them as
they first appear among the videos that were still online, so their numbers differ by download. The
published list has 183,971 train and 15,496 test clips; papers report what YouTube still had.
Two videos are known to be of no use: PAOL8UF9UDY_000104 and 20sstRN_pmI_000170.
"""

from __future__ import annotations

import csv
from importlib import resources
from pathlib import Path

from mimo_sim.datasets import _clips as clips
from mimo_sim.datasets._published import alone, benchmark
from mimo_sim.datasets._record import Record
from mimo_sim.datasets._store import Sample

FOLDER = "vggsound"
LIST = "vggsound.csv"
SPLITS = ("train", "test")
CLASSES = tuple((resources.files(__package__) / "vggsound.txt").read_text("utf-8").splitlines())


def listing(root: Path) -> clips.Listing:
    """The clips of the list."""
    folder = root / FOLDER
    path = folder / LIST
    there = clips.media_by_name(folder)
    text = clips.list_text(path, "https://www.robots.ox.ac.uk/~vgg/data/vggsound/")
    samples = []
    for line, row in enumerate(csv.reader(text.splitlines()), 1):
        where = f"{path}, line {line}"
        if len(row) != 4 or not row[1].isdecimal() or row[3] not in SPLITS:
            raise ValueError(
                f"{where}: must be `id,start second,label,split` with split train or test. "
                f"Got {','.join(row)!r}."
            )
        name, start = clips.normal(row[0]), int(row[1])
        padded = f"{name}_{start:06d}"
        video = there.get(padded) or there.get(f"{name}_{start}") or folder / f"{padded}.mp4"
        target = clips.class_number(row[2], CLASSES, where)
        samples.append(Sample(f"{row[0]}_{start:06d}", row[3], target, (video,)))
    return clips.Listing(samples, clips.list_sums(root, {path: ""}))


CLIPS = clips.Clips("vggsound", CLASSES, clips.OGM_VGGSOUND, frames=3, listing=listing)

RECORD = Record(
    name="vggsound",
    about="sounds with their source in the picture (VGGSound, 309 classes)",
    modalities=CLIPS.shapes,
    classes=CLASSES,
    build=CLIPS.build,
    check=CLIPS.check,
    plan=CLIPS.plan,
    licence="CC BY 4.0 for the list; videos belong to their uploaders",
    home="https://www.robots.ox.ac.uk/~vgg/data/vggsound/",
    group="clip",
    presets=clips.PRESETS,
    published=(
        *alone({"audio": 41.27, "video": 30.43}),
        *benchmark(
            {
                "vanilla": (48.08, 46.98),
                "mmcosine": (48.73, 47.66),
                "umt": (51.58, 50.48),
                "mbsd": (49.48, 47.99),
                "cml": (50.50, 49.30),
                "g_blending": (51.41, 50.39),
                "mmpareto": (49.35, 48.48),
                "lfm": (47.45, 46.50),
                "ogm": (48.25, 47.16),
                "agm": (49.06, 47.70),
                "pmr": (50.38, 49.01),
                "relearning": (48.12, 47.04),
                "reconboost": (47.27, 46.26),
                "mla": (49.99, 48.62),
                "opm": (49.12, 48.24),
                "greedy": (48.65, 47.41),
                "amco": (49.05, 47.18),
                "smv": (48.25, 47.22),
            }
        ),
    ),
)
