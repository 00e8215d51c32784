"""CMU-MOSEI as both of its data sets use it: the packed files, and the numbers of a sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimo_sim._checks import check_choice
from mimo_sim.datasets import _sequences as sequences
from mimo_sim.datasets._pickles import read_pickle
from mimo_sim.datasets._store import Plan, file_sum

if TYPE_CHECKING:
    from mimo_sim.datasets._data import Dataset

FOLDER = "CMU-MOSEI"
WIDTHS = {"text": 300, "audio": 74, "vision": 35}
STEPS = 50
FILES = {"aligned": "mosei_senti_data.pkl", "unaligned": "mosei_senti_data_noalign.pkl"}
SETTINGS = {
    "aligned": "50 words; the sound and the face are averaged over each (mosei_senti_data.pkl)",
    "unaligned": "50 words, 500 steps of sound and face (mosei_senti_data_noalign.pkl)",
}
MOST_SENTIMENT = 3.0
LICENCE = "for research; the features are from YouTube videos (SDK: MIT)"
HOME = "https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK"
ABOUT = "opinions in videos: words, voice and face of a sentence"
SHAPES = {name: (STEPS, width) for name, width in WIDTHS.items()}
PRESETS: dict[str, Any] = {
    "cpu": {"settings": {"epochs": 10, "optimizer": "adamw", "lr": 1e-3}},
    "full": {"settings": {"epochs": 30, "optimizer": "adamw", "lr": 1e-3, "width": 128}},
    "paper": {  # BalanceBenchmark's, whose rate falls after 10 and 20 epochs: ours once, after 21
        "settings": {
            "epochs": 30,
            "batch_size": 32,
            "optimizer": "adamw",
            "lr": 1e-3,
            "weight_decay": 0.01,
            "schedule": "step",
            "encoder": "transformer",
            "width": 1024,
        }
    },
}


def plan(name: str, root: Path, setting: str) -> Plan:
    """What `mimo-sim data prepare` writes: the sentiment of every sentence as a number."""
    check_choice("setting", setting, SETTINGS)
    path = root / FOLDER / FILES[setting]
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing. Get it as the README of pliang279/MultiBench or "
            "yaohungt/Multimodal-Transformer says."
        )
    read = sequences.read_packed(path, read_pickle(path), float)
    for sample in read.samples:
        if not -MOST_SENTIMENT <= sample.target <= MOST_SENTIMENT:
            raise ValueError(
                f"{path}: the sentiment of {sample.id} must lie in -3..3. Got {sample.target}."
            )
    read.lists = {f"{FOLDER}/{path.name}": file_sum(path)}
    return sequences.plan(name, root, _about(setting), sequences.steps_of(read), read)


def _about(setting: str) -> dict[str, Any]:
    return {"source": setting, "recipe": sequences.VERSION}


def load(
    name: str,
    root: str | Path | None,
    seed: int,
    setting: str,
    classes: Sequence[str],
    relabel: Callable[[float], float | None],
) -> Dataset:
    """The sentences out of the store, each with what `relabel` makes of its sentiment."""
    check_choice("setting", setting, SETTINGS)
    given = {"setting": setting}
    return sequences.load(name, root, seed, _about(setting), classes, given, relabel)
