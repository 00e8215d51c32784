"""What others published of a data set, beside our figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from mimo_sim import datasets
from mimo_sim.benchmark.comparison import Row, rows_by_name
from mimo_sim.benchmark.records import FinishedRun
from mimo_sim.benchmark.tables import Table

REFERENCES = ("vanilla", "unimodal")  # always shown
HEADER = ("published", "%", "ours, %", "our method", "our metric", "source", "remark")
CAUTION = "other encoders, frames and epochs; compare within one source only"


def published_tables(
    runs: Sequence[FinishedRun], rows: Sequence[Row], *, all_methods: bool = False
) -> Iterator[Table]:
    """For each data set that others have measured, their figures beside ours.

    Parameters
    ----------
    runs : sequence of FinishedRun
    rows : sequence of Row
        What :func:`mimo_sim.benchmark.summary` makes of them.
    all_methods : bool
        Also those that we did not run; else of these only ``vanilla`` and ``unimodal``.
    """
    for place in dict.fromkeys(run.dataset for run in runs):
        config = next(run for run in runs if run.dataset == place).result["config"]
        name = config["dataset"]
        found = rows_by_name([row for row in rows if row.dataset == place])
        shown = {*REFERENCES, *(method for method, _ in found)}
        cells = []
        for one in datasets.get(name).published if name in datasets.available() else ():
            if not all_methods and one.method not in shown:
                continue
            if one.setting not in (None, config["data"].get("setting")):
                continue
            ours = found.get((one.method, one.metric))
            mean = "not run" if ours is None else f"{100 * ours.mean:.1f}"
            if ours is not None and not math.isnan(ours.half_width):
                mean += f" ± {100 * ours.half_width:.1f}"
            metric = one.metric.replace("/", ": ")
            texts = (one.words, f"{one.percent:.1f}", mean, one.method, metric)
            cells.append((*texts, one.source, one.remark))
        if cells:
            yield Table(f"{place}: published beside ours ({CAUTION})", HEADER, cells)
