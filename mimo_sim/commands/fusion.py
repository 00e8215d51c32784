"""`mimo-sim study fusion`: early and hybrid fusion, depth, ReLU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mimo_sim._progress import on_terminal, progress_bar
from mimo_sim.commands import study
from mimo_sim.commands._options import Mu, Out, Quiet
from mimo_sim.commands._output import command_line, report, say_written

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

LAMS = (0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
RHOS = (-0.4, -0.2, 0.0, 0.2, 0.4)


@study.command()
def fusion(
    out: Out = Path("figures"),
    seeds: Annotated[int, typer.Option(help="Gaussian starts per network, >= 1.")] = 5,
    mu: Mu = 0.05,
    quiet: Quiet = False,
) -> None:
    """Compare early, hybrid and deep fusion, linear and ReLU.

    Networks are trained jointly and by a MIMO-like rule. Writes fusion_early, fusion_depth and
    fusion_relu, each as .png and .json.
    """
    import numpy as np
    import torch

    from mimo_sim import __version__, plots
    from mimo_sim._checks import check_count, check_positive
    from mimo_sim.studies import depth, early_fusion, relu

    check_positive("mu", mu)
    check_count("seeds", seeds)
    torch.set_num_threads(1)  # matrices are tiny; threads would only wait for each other
    penalties = np.linspace(0, 5, 17).round(3).tolist()
    correlations = np.linspace(-0.4, 0.4, 9).round(3).tolist()
    about = {
        "command": command_line("study", "fusion", out=out, seeds=seeds, mu=mu),
        "package_version": __version__,
    }
    runs = len(penalties) * len(correlations) + depth.RUNS + relu.RUNS
    with progress_bar(runs, on_terminal(quiet), "studies") as advance:
        # Files are written as soon as they can be, so a killed run keeps what it has finished.
        data = early_fusion.compute(penalties, correlations, mu=mu, on_run=advance)
        summary = about | early_fusion.summarise(data)
        written = _write(out, "fusion_early", plots.draw_early(data), summary)
        deep = depth.compute(LAMS, RHOS, seeds=seeds, mu=mu, on_run=advance)
        summary = about | depth.summarise(deep)
        written += _write(out, "fusion_depth", plots.draw_depth(deep), summary)
        data = relu.compute(LAMS, seeds=seeds, mu=mu, on_run=advance)
        summary = about | relu.summarise(data)
        written += _write(out, "fusion_relu", plots.draw_relu(data), summary)
    if quiet:
        return
    report(
        _thresholds(deep),
        ("start", "depth", "theory", "measured", "range"),
        "Penalty that reverses the order in late fusion, median over seeds; theory for u0 -> 0",
    )
    say_written(written)


def _write(out: Path, name: str, figure: Figure, summary: dict[str, Any]) -> list[Path]:
    """Write a figure and its numbers, each whole or not at all."""
    from mimo_sim import plots
    from mimo_sim._files import replacing
    from mimo_sim._json import to_json

    picture, numbers = out / f"{name}.png", out / f"{name}.json"
    with replacing(picture) as temporary:
        plots.write(figure, temporary)
    with replacing(numbers) as temporary:
        temporary.write_text(to_json(summary, indent=1) + "\n")
    return [picture, numbers]


def _thresholds(data: xr.Dataset) -> list[tuple[str, ...]]:
    """Rows of the table: predicted and measured order thresholds by start and depth."""
    rows: list[tuple[str, ...]] = []
    for start in data.start.values:
        for depth in data.depth.values:
            one = data.sel(start=start, depth=depth)
            found = one.threshold
            if not found.notnull().any():
                continue
            rows.append(
                (
                    str(start),
                    str(int(depth)),
                    f"{float(one.predicted_threshold):.3f}",
                    f"{float(found.median()):.3f}",
                    f"{float(found.min()):.3f} - {float(found.max()):.3f}",
                )
            )
    return rows
