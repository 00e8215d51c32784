"""Figures that others published, kept with the data set so that a table can show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

BENCHMARK = "BalanceBenchmark (Xu et al. 2025)"
INFOREG = "InfoReg (Huang et al. 2025), tables 2 to 6"
ON_TEST = "best epoch chosen on test"
UNKNOWN = "definition of the uni-modal figures not known to us"


@dataclass(frozen=True)
class Published:
    """One published row. Rows of different sources are not comparable, with each other or ours.

    Attributes
    ----------
    source : str
    method : str
        As it is called here.
    accuracy : float
        In %.
    macro_f1 : float or None
        In %.
    unimodal : mapping
        Modality -> accuracy in %.
    definition : str
        What the uni-modal figures are.
    selection : str
        Which epoch is reported.
    """

    source: str
    method: str
    accuracy: float
    macro_f1: float | None = None
    unimodal: Mapping[str, float] = field(default_factory=dict)
    definition: str = ""
    selection: str = ""


def benchmark(rows: Mapping[str, tuple[float, float]], selection: str = ON_TEST) -> list[Published]:
    """Rows of BalanceBenchmark: method -> accuracy and macro F1."""
    return [Published(BENCHMARK, name, *row, selection=selection) for name, row in rows.items()]


def inforeg(rows: Mapping[str, tuple[float, float, float]]) -> list[Published]:
    """Rows of InfoReg: method -> joint accuracy, audio, video."""
    return [
        Published(
            INFOREG, name, joint, None, {"audio": audio, "video": video}, UNKNOWN, "not known to us"
        )
        for name, (joint, audio, video) in rows.items()
    ]


def alone(
    figures: Mapping[str, tuple[float, float]], source: str = BENCHMARK
) -> Sequence[Published]:
    """Encoders trained alone: modality -> accuracy and macro F1."""
    return [
        Published(source, f"{name} alone", *row, selection=ON_TEST) for name, row in figures.items()
    ]
