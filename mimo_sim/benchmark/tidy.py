"""Records as one long table: a row for every number of every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mimo_sim.benchmark.records import FinishedRun

if TYPE_CHECKING:
    import pandas as pd

JOINT = "joint"  # the place of a number that belongs to no modality
COLUMNS = ("dataset", "method", "seed", "epoch", "quantity", "modality", "value")


def epochs_frame(runs: Sequence[FinishedRun]) -> pd.DataFrame:
    """The epochs of finished runs as a tidy table.

    Returns
    -------
    DataFrame
        Columns :data:`COLUMNS`. ``epoch`` counts from 1. ``quantity`` is a column of
        ``epochs.csv`` without the modality: ``encoder_norm``, ``validation_heads_loss``,
        ``sigma``. ``modality`` is ``joint`` where there is none. Cells that are empty are left
        out.
    """
    import pandas as pd

    rows = []
    for run in runs:
        modalities: list[str] = run.result["data"]["modalities"]
        for column, values in run.table().items():
            quantity, modality = _parts(column, modalities)
            where = (run.dataset, run.method, run.seed)
            rows += [
                (*where, epoch, quantity, modality, value)
                for epoch, value in enumerate(values, start=1)
                if value == value  # not nan
            ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _parts(column: str, modalities: Sequence[str]) -> tuple[str, str]:
    """Quantity and modality of a column; the longest modality that fits."""
    for modality in sorted(modalities, key=len, reverse=True):
        if column.endswith(f"_{modality}"):
            return column.removesuffix(f"_{modality}"), modality
    return column, JOINT
