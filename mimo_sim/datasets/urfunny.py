"""UR-FUNNY: does the audience laugh? The last sentence of a joke as words, voice and face.

Get version 2 of the features from the authors and put the files below the data folder, so
(setting ``original``)::

    UR-FUNNY/language_sdk.pkl            numbers of the words of each sentence
    UR-FUNNY/word_embedding_list.pkl     the GloVe vector (300) of each number
    UR-FUNNY/covarep_features_sdk.pkl    the voice, 81 numbers a word
    UR-FUNNY/openface_features_sdk.pkl   the face, 371 numbers a word
    UR-FUNNY/humor_label_sdk.pkl         id -> 1 where people laughed, else 0
    UR-FUNNY/data_folds.pkl              train, dev and test, with no speaker in two of them

or the one file that MultiBench packed of them (setting ``packed``): ``UR-FUNNY/humor.pkl``. Nothing
in these pickles is run. Version 1 has other files, which are not read.

What is not certain: version 2 has 10,166 labels, while 7,614 / 980 / 1,072 samples are often quoted
of its processed form; we keep what the folds list. No paper that we read states the epochs and the
batch size of its recurrent networks; those of the preset ``paper`` are ours. The optimizer is that
of MultiBench, whose networks are wider (512, 256 and 600 numbers).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mimo_sim._checks import check_choice, check_count, check_flag
from mimo_sim.datasets import _sequences as sequences
from mimo_sim.datasets._pickles import read_pickle
from mimo_sim.datasets._record import Published, Record
from mimo_sim.datasets._store import Plan, Sample, file_sum

if TYPE_CHECKING:
    from mimo_sim.datasets._data import Dataset

FOLDER = "UR-FUNNY"
WIDTHS = {"text": 300, "vision": 371, "audio": 81}
STEPS = 50  # words; the end of a longer sentence is kept, where the joke is
FOLDS = {"train": "train", "dev": "validation", "test": "test"}
SETTINGS = {
    "original": "the authors' six pickles of version 2",
    "packed": "humor.pkl of MultiBench, 50 words",
}
SECOND_HAND = (
    "second hand, perhaps shifted by a column; how they chose the epoch is not known to us"
)


def _features(folder: Path, names: Mapping[str, str]) -> dict[str, Any]:
    """The content of the pickles, by what they are."""
    absent = [name for name in names.values() if not (folder / name).is_file()]
    if absent:
        raise FileNotFoundError(
            f"{len(absent)} of {len(names)} files are missing in {folder}: {', '.join(absent)}. "
            "Get them from https://github.com/ROC-HCI/UR-FUNNY."
        )
    return {kind: read_pickle(folder / name) for kind, name in names.items()}


ORIGINAL = {
    "language": "language_sdk.pkl",
    "words": "word_embedding_list.pkl",
    "audio": "covarep_features_sdk.pkl",
    "vision": "openface_features_sdk.pkl",
    "labels": "humor_label_sdk.pkl",
    "folds": "data_folds.pkl",
}


def _original(root: Path, context: bool) -> sequences.Read:
    """The authors' files, version 2."""
    folder = root / FOLDER
    raw = _features(folder, ORIGINAL)
    found = sequences.Read()
    found.lists = {f"{FOLDER}/{name}": file_sum(folder / name) for name in ORIGINAL.values()}
    words = np.asarray(raw["words"], np.float32)
    files = tuple(folder / name for name in ORIGINAL.values())
    for fold, split in FOLDS.items():
        for key in raw["folds"][fold]:
            one, label = str(key), raw["labels"].get(key)
            if label not in (0, 1):
                raise ValueError(
                    f"{folder / ORIGINAL['labels']}: the label of {one} must be 0 or 1. "
                    f"Got {label!r}."
                )
            found.samples.append(Sample(one, split, int(label), files))
            absent = [kind for kind in ("language", "audio", "vision") if key not in raw[kind]]
            if absent:
                found.unusable[one] = f"not in {', '.join(ORIGINAL[kind] for kind in absent)}"
                continue
            places = np.array(_parts(raw["language"][key], "embedding_indexes", context), int)
            if places.size and not 0 <= places.min() <= places.max() < len(words):
                found.unusable[one] = f"a word has no vector in {ORIGINAL['words']}"
                continue
            made = {
                "text": words[places],
                "vision": _rows(raw["vision"][key], context, WIDTHS["vision"]),
                "audio": _rows(raw["audio"][key], context, WIDTHS["audio"]),
            }
            found.sequences[one] = made
            lengths = {kind: len(x) for kind, x in made.items()}
            if len(set(lengths.values())) > 1:
                found.dropped[one] = f"its streams have different lengths: {lengths}"
            elif not made["text"].any():
                found.dropped[one] = "its text is all zero"
    return found


def _parts(entry: Mapping[str, Any], kind: str, context: bool) -> list[Any]:
    """The steps of the context, if wanted, and of the punchline."""
    before = [step for part in entry[f"context_{kind}"] for step in part] if context else []
    return before + list(entry[f"punchline_{kind}"])


def _rows(entry: Mapping[str, Any], context: bool, width: int) -> Any:
    return np.array(_parts(entry, "features", context), np.float32).reshape(-1, width)


def _packed(root: Path) -> sequences.Read:
    """MultiBench's file; its labels are 0 and 1, or -1 and 1."""
    path = root / FOLDER / "humor.pkl"
    content = _features(path.parent, {"packed": path.name})["packed"]
    found = sequences.read_packed(path, content, lambda label: int(label >= 1))
    found.lists = {f"{FOLDER}/{path.name}": file_sum(path)}
    return found


def _about(setting: str, steps: int, context: bool) -> dict[str, Any]:
    return {
        "source": setting,
        "steps": steps,
        "context": context,
        "recipe": sequences.VERSION,
    }


def plan(
    root: Path, *, setting: str = "original", steps: int = STEPS, context: bool = False
) -> Plan:
    """What `mimo-sim data prepare urfunny` writes."""
    check(setting=setting, steps=steps, context=context)
    read = _packed(root) if setting == "packed" else _original(root, context)
    return sequences.plan(
        "urfunny", root, _about(setting, steps, context), dict.fromkeys(WIDTHS, steps), read
    )


def build(
    root: str | Path | None = None,
    seed: int = 0,
    *,
    setting: str = "original",
    steps: int = STEPS,
    context: bool = False,
) -> Dataset:
    """Sentences as words (50, 300), face (50, 371) and voice (50, 81); the target is laughter.

    Every feature is standardised by the train split; shorter sentences end with zeros.

    Parameters
    ----------
    root : path, optional
        The data folder; the store lies below it. See :func:`mimo_sim.datasets.load`.
    seed : int
        Not used: the authors' folds are the splits.
    setting : {"original", "packed"}
        Which raw files.
    steps : int
        Words that are kept: the last ones.
    context : bool
        The sentences before the last one too. MultiBench's file has no context to choose.

    Raises
    ------
    FileNotFoundError
        If `mimo-sim data prepare urfunny` was not run with these settings.
    ValueError, TypeError
        For a setting outside its range.
    """
    check(setting=setting, steps=steps, context=context)
    given = {"setting": setting, "steps": steps, "context": context}
    return sequences.load(
        "urfunny", root, seed, _about(setting, steps, context), RECORD.classes, given
    )


def check(*, setting: str = "original", steps: int = STEPS, context: bool = False) -> None:
    """Refuse the settings that :func:`build` refuses; nothing is read."""
    check_choice("setting", setting, SETTINGS)
    check_count("steps", steps)
    check_flag("context", context)
    if context and setting == "packed":
        raise ValueError("`context` must be False with setting='packed'. Got context=True.")


RECORD = Record(
    name="urfunny",
    about="jokes in talks: words, face and voice of a sentence, laughter or not (UR-FUNNY)",
    modalities={name: (STEPS, width) for name, width in WIDTHS.items()},
    classes=("serious", "funny"),
    build=build,
    check=check,
    plan=plan,
    licence="no licence file; the talks are TED's (CC BY-NC-ND as usually stated)",
    home="https://github.com/ROC-HCI/UR-FUNNY",
    group="speaker",
    settings=SETTINGS,
    presets={
        "cpu": {"settings": {"epochs": 10, "optimizer": "adamw", "lr": 1e-3}},
        "full": {"settings": {"epochs": 30, "optimizer": "adamw", "lr": 1e-3, "width": 128}},
        "paper": {
            "settings": {
                "epochs": 20,
                "batch_size": 32,
                "optimizer": "adamw",
                "lr": 1e-3,
                "weight_decay": 0.01,
                "schedule": "constant",
                "encoder": "gru",
                "width": 512,
            }
        },
    },
    published=[
        Published(None, method, "accuracy", percent, method, "G2D (ICCV 2025)", SECOND_HAND)
        for method, percent in (
            ("vanilla", 62.58),
            ("ogm_ge", 63.68),
            ("mmpareto", 62.88),
            ("reconboost", 61.37),
            ("umt", 63.38),
        )
    ],
)
