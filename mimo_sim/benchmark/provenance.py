"""Whether the runs of a row of a comparison were made by one committed code."""

from __future__ import annotations

from collections.abc import Sequence

from mimo_sim.benchmark.records import FinishedRun
from mimo_sim.training.origins import CHANGED, Origin


def origins_of_rows(runs: Sequence[FinishedRun]) -> dict[tuple[str, str], list[Origin]]:
    """(data set, method) -> the different origins of its runs, in the order of their names."""
    found: dict[tuple[str, str], set[Origin]] = {}
    for run in runs:
        found.setdefault((run.dataset, run.method), set()).add(run.origin)
    return {row: sorted(origins, key=str) for row, origins in found.items()}


def doubt(origins: Sequence[Origin]) -> str:
    """Why runs of these origins make no row of a table, in words; empty where they do."""
    if len(origins) > 1:
        return f"seeds from {' and '.join(map(str, origins))}"
    return "made with uncommitted changes" if origins[0].clean is False else ""


def doubtful_rows(runs: Sequence[FinishedRun]) -> list[str]:
    """Every row whose runs do not come from one committed code, with the reason.

    Seeds that different code made may differ for that reason. A run from a checkout with changes
    that were not committed cannot be repeated.
    """
    return [
        f"{dataset}/{method} ({doubt(origins)})"
        for (dataset, method), origins in origins_of_rows(runs).items()
        if doubt(origins)
    ]


def refuse_doubtful(runs: Sequence[FinishedRun]) -> None:
    """Refuse to compare runs that do not come, row by row, from one committed code.

    Raises
    ------
    ValueError
        The message names the rows.
    """
    rows = doubtful_rows(runs)
    if rows:
        raise ValueError(
            f"{len(rows)} {'row mixes' if len(rows) == 1 else 'rows mix'} runs of different code, "
            f"or of code that was not committed: {', '.join(rows)}. Train these again: delete "
            "their folders (or `bench unpack ... --without`) and run. Or compare with --mixed, "
            "which marks the table."
        )


def told_origins(runs: Sequence[FinishedRun]) -> list[str]:
    """One line for every data set: the code that made its rows."""
    rows = origins_of_rows(runs)
    lines = []
    for dataset in dict.fromkeys(run.dataset for run in runs):
        methods: dict[str, list[str]] = {}
        for (place, method), found in rows.items():
            if place == dataset:
                methods.setdefault(" + ".join(map(str, found)), []).append(method)
        if len(methods) == 1:
            lines.append(f"{dataset}: code of all rows is {next(iter(methods))}")
        else:
            parts = [f"{origin} for {', '.join(names)}" for origin, names in methods.items()]
            lines.append(f"{dataset}: code is not the same in all rows, it is {'; '.join(parts)}")
    return lines


def doubtful_searches(runs: Sequence[FinishedRun]) -> list[str]:
    """One line for every search whose trials do not come from one committed code."""
    lines = {}
    for run in runs:
        code = run.result["config"].get("tuning", {}).get("code", [])
        if len(code) > 1 or any(revision.endswith(CHANGED) for revision in code):
            lines[run.dataset, run.method] = (
                f"{run.dataset}: trials of {run.method} come from {' and '.join(code)}"
            )
    return list(lines.values())
