"""What a finished training leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimo_sim.methods._base import Method
from mimo_sim.networks._base import FusionNetwork


@dataclass
class Result:
    """What a finished training leaves.

    Attributes
    ----------
    table : list of dict
        One row for each epoch: losses, accuracies, encoder norms, what the method reports.
    metrics : dict
        Figures of the selected epoch on ``"validation"`` and on ``"test"``. The test split is
        measured once, after training, or not at all with ``measure_test=False``.
    about : dict
        Times, sizes, versions, device.
    model : FusionNetwork
        The trained network.
    method : Method
        The method with its final state.
    folder : path or None
        Where the record of the run lies.
    """

    table: list[dict[str, float]]
    metrics: dict[str, Any]
    about: dict[str, Any]
    model: FusionNetwork
    method: Method
    folder: Path | None = None
