"""CREMA-D: six acted emotions, each clip as the voice and as the face.

Get the clips from the authors (git-lfs, 7.5 GB) and put the checkout below the data folder::

    CREMA-D/AudioWAV/<clip>.wav      the sound: 28 of the videos have none
    CREMA-D/VideoFlash/<clip>.flv    the pictures
    CREMA-D/train.csv, test.csv      lines `clip,LABEL`; where they are missing, the lists of
                                     OGM-GE in cremad_ratings/splits serve

A clip is called `<actor>_<sentence>_<emotion>_<level>`. The target is the intended emotion; raters
agree with it in 42 % of the voices and 66 % of the faces. Four published clips are damaged, all in
the train list: 1076_MTI_NEU_XX (video very short), 1076_MTI_SAD_XX (no sound), 1064_TIE_SAD_XX
(video without length), 1064_IEO_DIS_MD (a minute long, with all emotions). They are kept where they
can be decoded, as in the papers.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from mimo_sim._checks import check_choice
from mimo_sim.datasets import _clips as clips
from mimo_sim.datasets import _files as files
from mimo_sim.datasets import cremad_ratings as ratings
from mimo_sim.datasets._published import alone, benchmark, inforeg
from mimo_sim.datasets._record import Record
from mimo_sim.datasets._store import Plan, Sample

if TYPE_CHECKING:
    from mimo_sim.datasets._data import Dataset

FOLDER = "CREMA-D"
LABELS = ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")  # the order of OGM-GE's class numbers
SETTINGS = {
    "published": "train and test lists of OGM-GE: 6,698 and 744 clips, which share all 91 actors",
    "actors": "no actor in two splits: 20 % of them test, 10 % validation, drawn by the seed",
}


def listing(root: Path) -> clips.Listing:
    """The clips of both lists."""
    samples, sums = [], {}
    for split in ("train", "test"):
        published = f"cremad_ratings/splits/{split}.csv"
        places = [root / FOLDER / f"{split}.csv", root / published]
        source = f"GeWu-Lab/OGM-GE_CVPR2022, data/CREMAD/{split}.csv"
        there = [place for place in places if place.is_file()]
        if not there:
            raise FileNotFoundError(
                f"the {split} list of CREMA-D is missing. Looked for {places[0]} and {places[1]}. "
                f"It comes from {source}"
            )
        path = there[0]
        text = clips.list_text(path, source)
        sums[path] = ratings.SUMS[published].removeprefix("sha256:")
        for line, row in enumerate(csv.reader(text.splitlines()), 1):
            where = f"{path}, line {line}"
            if len(row) != 2:
                raise ValueError(f"{where}: must be `clip,LABEL`. Got {','.join(row)!r}.")
            name, label = row
            files_of = (
                root / FOLDER / "AudioWAV" / f"{name}.wav",
                root / FOLDER / "VideoFlash" / f"{name}.flv",
            )
            target = clips.class_number(label, LABELS, where)
            samples.append(Sample(name, split, target, files_of))
    return clips.Listing(samples, clips.list_sums(root, sums))


CLIPS = clips.Clips(
    "cremad",
    ("neutral", "happy", "sad", "fear", "disgust", "anger"),
    clips.OGM_CREMAD,
    frames=1,
    listing=listing,
)


def build(
    root: str | Path | None = None,
    seed: int = 0,
    *,
    setting: str = "published",
    size: int = clips.SIZE,
    frames: int | None = None,
    stream: bool | None = None,
) -> Dataset:
    """Clips out of the store; see :meth:`mimo_sim.datasets._clips.Clips.build`.

    `setting` names the split: "published", or "actors" for one that no two splits share. Both use
    the same store.
    """
    check(setting=setting)
    group = (lambda name: name.partition("_")[0]) if setting == "actors" else None
    return CLIPS.load(root, seed, group=group, size=size, frames=frames, stream=stream)


def check(
    *,
    setting: str = "published",
    size: int = clips.SIZE,
    frames: int | None = None,
    stream: bool | None = None,
) -> None:
    """Refuse the settings that :func:`build` refuses; nothing is read."""
    check_choice("setting", setting, SETTINGS)
    CLIPS.check(size=size, frames=frames, stream=stream)


def plan(
    root: Path,
    *,
    setting: str = "published",
    size: int = clips.SIZE,
    frames: int | None = None,
    stream: bool | None = None,
) -> Plan:
    """What `mimo-sim data prepare` writes. Where the cache fills itself, it gets the lists."""
    check(setting=setting, size=size, frames=frames, stream=stream)
    if files.data_folder(None) == (root, True):
        files.fetch(root, ratings.DOWNLOADS)
    return CLIPS.plan(root, size=size, frames=frames, stream=stream)


RECORD = Record(
    name="cremad",
    about="acted emotions: voice and face (CREMA-D)",
    modalities=CLIPS.shapes,
    classes=CLIPS.classes,
    build=build,
    check=check,
    plan=plan,
    licence="ODbL 1.0, contents DbCL 1.0 (Cao et al. 2014)",
    home="https://github.com/CheyneyComputerScience/CREMA-D",
    group="actor in the setting `actors`, else clip",
    settings=SETTINGS,
    presets=clips.PRESETS,
    published=(
        *alone({"audio": 59.38, "video": 58.10}),
        *benchmark(
            {
                "vanilla": (65.50, 65.07),
                "mmcosine": (67.19, 67.34),
                "umt": (67.47, 67.75),
                "mbsd": (74.86, 75.48),
                "cml": (69.18, 69.57),
                "g_blending": (71.59, 71.72),
                "mmpareto": (79.97, 80.57),
                "lfm": (70.02, 69.55),
                "ogm": (67.76, 68.02),
                "agm": (71.59, 72.11),
                "pmr": (67.19, 67.20),
                "relearning": (71.02, 71.46),
                "reconboost": (74.01, 74.52),
                "mla": (72.30, 72.66),
                "opm": (68.75, 69.00),
                "greedy": (66.48, 66.54),
                "amco": (73.30, 73.95),
                "smv": (75.85, 76.68),
            }
        ),
        *inforeg(
            {
                "vanilla": (66.61, 58.99, 35.14),
                "ogm": (68.70, 56.84, 39.52),
                "greedy": (67.82, 59.17, 40.17),
                "pmr": (66.92, 57.83, 38.91),
                "agm": (69.71, 59.32, 43.72),
                "inforeg": (71.90, 60.03, 49.65),
                "linear_scalarization": (70.81, 60.52, 55.23),
                "g_blending": (69.11, 60.14, 51.29),
                "mmpareto": (73.08, 60.83, 58.92),
            }
        ),
    ),
)
