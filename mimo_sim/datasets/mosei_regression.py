"""CMU-MOSEI: how good or bad is what is said? The sentiment, -3 to 3, of words, voice and face.

The files and the samples are those of the data set ``mosei``. Published figures are mean absolute
errors and accuracies of rounded numbers, which we do not report; so none are kept here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mimo_sim._checks import check_choice
from mimo_sim.datasets import _mosei as mosei
from mimo_sim.datasets._record import Record
from mimo_sim.datasets._store import Plan

if TYPE_CHECKING:
    from mimo_sim.datasets._data import Dataset


def build(root: str | Path | None = None, seed: int = 0, *, setting: str = "aligned") -> Dataset:
    """Sentences as in the data set ``mosei``; the target (1,) is the sentiment, -3 to 3.

    Parameters
    ----------
    root, seed, setting
        As there. The store is another one.

    Raises
    ------
    FileNotFoundError
        If `mimo-sim data prepare mosei_regression` was not run with this setting.
    ValueError
        For another setting.
    """
    return mosei.load("mosei_regression", root, seed, setting, (), lambda y: y)


def check(*, setting: str = "aligned") -> None:
    """Refuse the settings that :func:`build` refuses; nothing is read."""
    check_choice("setting", setting, mosei.SETTINGS)


def plan(root: Path, *, setting: str = "aligned") -> Plan:
    """What `mimo-sim data prepare mosei_regression` writes."""
    return mosei.plan("mosei_regression", root, setting)


RECORD = Record(
    name="mosei_regression",
    about=f"{mosei.ABOUT}, its sentiment as a number (CMU-MOSEI)",
    modalities=mosei.SHAPES,
    classes=(),
    build=build,
    check=check,
    plan=plan,
    licence=mosei.LICENCE,
    home=mosei.HOME,
    group="video",
    settings=mosei.SETTINGS,
    presets=mosei.PRESETS,
)
