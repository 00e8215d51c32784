"""Figures of papers that measured several of our data sets, as rows of a record."""

from __future__ import annotations

from collections.abc import Mapping

from mimo_sim.datasets._record import Published

BENCHMARK = "BalanceBenchmark (Xu et al. 2025)"
INFOREG = "InfoReg (Huang et al. 2025)"
ON_TEST = "best epoch chosen on test"
ALONE = "one encoder with its own head; ours is a linear probe"
UNKNOWN = "what their uni-modal figures are is not known to us; ours is a linear probe"


def benchmark(rows: Mapping[str, tuple[float, float]], remark: str = ON_TEST) -> list[Published]:
    """Rows of BalanceBenchmark: our name of a method -> accuracy and macro F1 in %."""
    return [
        Published(None, method, metric, percent, method, BENCHMARK, remark)
        for method, pair in rows.items()
        for metric, percent in zip(("accuracy", "macro_f1"), pair, strict=True)
    ]


def alone(
    figures: Mapping[str, float], source: str = BENCHMARK, remark: str = ON_TEST
) -> list[Published]:
    """Encoders trained alone: modality -> accuracy in %."""
    return [
        Published(None, "unimodal", f"probe/{name}", percent, f"{name} alone", source, more)
        for more in [f"{ALONE}; {remark}" if remark else ALONE]
        for name, percent in figures.items()
    ]


def inforeg(rows: Mapping[str, tuple[float, float, float]]) -> list[Published]:
    """Rows of InfoReg's tables: our name of a method -> joint accuracy, audio, video in %."""
    return [
        Published(None, method, metric, percent, f"{method}{words}", INFOREG, remark)
        for method, three in rows.items()
        for percent, (metric, words, remark) in zip(three, INFOREG_COLUMNS, strict=True)
    ]


INFOREG_COLUMNS = (
    ("accuracy", "", "how they chose the epoch is not known to us"),
    ("probe/audio", ": audio", UNKNOWN),
    ("probe/video", ": video", UNKNOWN),
)
