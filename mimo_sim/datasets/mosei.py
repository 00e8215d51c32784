"""CMU-MOSEI: is what is said of a film or a product good or bad? Words, voice and face.

Get the packed features (MultiBench's or MulT's; the pickle is read without running anything in it)
and put one of them below the data folder::

    CMU-MOSEI/mosei_senti_data.pkl            setting `aligned`
    CMU-MOSEI/mosei_senti_data_noalign.pkl    setting `unaligned`

Each has train, valid and test with text (n, 50, 300) GloVe, audio (n, steps, 74) COVAREP, vision
(n, steps, 35) FACET, and labels: the sentiment, -3 to 3. About 16,265 / 1,869 / 4,643 sentences are
quoted; what a file has is in the manifest. The files of MMSA, with text of BERT, are not read.

Three rules for two classes are in use, and they differ by 2 to 3 points; `labels` chooses. The
published figures have the rule `negative`, and transformers as encoders, where the preset ``paper``
has our `gru`. Their table does not say which modality is which.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mimo_sim._checks import check_choice
from mimo_sim.datasets import _mosei as mosei
from mimo_sim.datasets._published import ALONE, BENCHMARK, benchmark
from mimo_sim.datasets._record import Published, Record
from mimo_sim.datasets._store import Plan

if TYPE_CHECKING:
    from mimo_sim.datasets._data import Dataset

RULES: dict[str, Callable[[float], int | None]] = {
    "negative": lambda y: int(y >= 0),  # BalanceBenchmark, AGM: below 0, or not
    "nonzero": lambda y: None if y == 0 else int(y > 0),  # neutral sentences are left out
    "positive": lambda y: int(y > 0),  # MultiBench: above 0, or not
}
ON_VALIDATION = "best epoch chosen on validation"
UNNAMED = f"which modality it is they do not say; {ALONE}; {ON_VALIDATION}"


def build(
    root: str | Path | None = None,
    seed: int = 0,
    *,
    setting: str = "aligned",
    labels: str = "negative",
) -> Dataset:
    """Sentences as words (50, 300), voice (steps, 74) and face (steps, 35); the target is 0 or 1.

    Every feature is standardised by the train split; shorter sentences end with zeros.

    Parameters
    ----------
    root : path, optional
        The data folder; the store lies below it. See :func:`mimo_sim.datasets.load`.
    seed : int
        Not used: the published splits have a validation part.
    setting : {"aligned", "unaligned"}
        Which file.
    labels : {"negative", "nonzero", "positive"}
        1 is: a sentiment of 0 or more; above 0, without the sentences at 0; above 0.

    Raises
    ------
    FileNotFoundError
        If `mimo-sim data prepare mosei` was not run with this setting.
    ValueError
        For another setting.
    """
    check(setting=setting, labels=labels)
    return mosei.load("mosei", root, seed, setting, RECORD.classes, RULES[labels])


def check(*, setting: str = "aligned", labels: str = "negative") -> None:
    """Refuse the settings that :func:`build` refuses; nothing is read."""
    check_choice("setting", setting, mosei.SETTINGS)
    check_choice("labels", labels, RULES)


def plan(root: Path, *, setting: str = "aligned", labels: str = "negative") -> Plan:
    """What `mimo-sim data prepare mosei` writes: the same for every rule."""
    check(setting=setting, labels=labels)
    return mosei.plan("mosei", root, setting)


RECORD = Record(
    name="mosei",
    about=f"{mosei.ABOUT}, negative or not (CMU-MOSEI)",
    modalities=mosei.SHAPES,
    classes=("negative", "positive"),
    build=build,
    check=check,
    plan=plan,
    licence=mosei.LICENCE,
    home=mosei.HOME,
    group="video",
    settings=mosei.SETTINGS,
    presets=mosei.PRESETS,
    published=(
        *(
            Published(None, "unimodal", "probe", percent, f"modality {k} alone", BENCHMARK, UNNAMED)
            for k, percent in enumerate([71.09, 71.03, 80.58], 1)
        ),
        *benchmark(
            {
                "vanilla": (78.99, 69.40),
                "mmcosine": (80.38, 73.67),
                "umt": (80.73, 73.60),
                "mbsd": (79.41, 71.13),
                "cml": (79.69, 73.16),
                "g_blending": (79.64, 73.29),
                "mmpareto": (81.18, 74.64),
                "lfm": (79.90, 71.60),
                "ogm_ge": (80.45, 73.61),
                "agm": (79.86, 71.89),
                "pmr": (79.88, 72.09),
                "relearning": (78.65, 70.02),
                "reconboost": (81.01, 74.03),
                "mla": (78.65, 70.02),
                "opm": (79.95, 72.83),
                "amco": (79.51, 71.14),
                "smv": (79.84, 72.99),
            },
            ON_VALIDATION,
        ),
    ),
)
