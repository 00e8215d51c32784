"""Open question 1: early and hybrid fusion, depth, ReLU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mimo_sim._progress import on_terminal, progress_bar
from mimo_sim.commands import study
from mimo_sim.commands._options import Mu, Out, Quiet
from mimo_sim.commands._output import command_line, report

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

LAMS = (0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
RHOS = (-0.4, -0.2, 0.0, 0.2, 0.4)


def _summary(data: xr.Dataset, command: str) -> dict[str, Any]:
    """Every variable but the trajectories, with NaN as None."""
    from mimo_sim import __version__

    def plain(values: Any) -> Any:
        if isinstance(values, list):
            return [plain(value) for value in values]
        return None if isinstance(values, float) and values != values else values

    fields = {
        name: {"dims": list(data[name].dims), "values": plain(data[name].values.tolist())}
        for name in data.data_vars
        if "point" not in data[name].dims
    }
    coords = {
        name: data[name].values.tolist() for name in data.coords if "point" not in data[name].dims
    }
    return {
        "command": command,
        "package_version": __version__,
        **{str(k): v for k, v in data.attrs.items()},
        "coords": coords,
        "data": fields,
    }


@study.command("fusion")
def fusion(
    out: Out = Path("figures"),
    seeds: Annotated[int, typer.Option(help="Gaussian starts per network, >= 1.")] = 5,
    mu: Mu = 0.05,
    quiet: Quiet = False,
) -> None:
    """Early, hybrid and deep fusion, linear and ReLU, under joint training and a MIMO-like rule: fusion_early, fusion_depth, fusion_relu (.png, .json)."""
    import numpy as np
    import torch

    from mimo_sim import plots
    from mimo_sim._checks import check_positive
    from mimo_sim._files import replacing
    from mimo_sim.studies.depth import depth_study
    from mimo_sim.studies.early_fusion import early_study
    from mimo_sim.studies.relu import relu_study

    check_positive("mu", mu)
    if seeds < 1:
        raise ValueError(f"`seeds` must be >= 1. Got seeds={seeds}.")
    torch.set_num_threads(1)  # matrices are tiny; threads would only wait for each other
    penalties, correlations = (
        np.linspace(0, 5, 17).round(3).tolist(),
        np.linspace(-0.4, 0.4, 9).round(3).tolist(),
    )
    command = command_line("study", "fusion", "--out", out, "--seeds", seeds, "--mu", f"{mu:g}")
    written = []

    def write(
        name: str, figure: Figure, data: xr.Dataset
    ) -> None:  # as soon as it is there: a killed run keeps what it has finished
        for suffix in (".png", ".json"):
            written.append(out / f"{name}{suffix}")
            with replacing(written[-1]) as temporary:
                if suffix == ".png":
                    plots.write(figure, temporary)
                else:
                    temporary.write_text(
                        json.dumps(_summary(data, command), indent=1, allow_nan=False) + "\n"
                    )

    with progress_bar(
        len(penalties) * len(correlations) + 2 + 6 + 5 + 2 + 6, on_terminal(quiet), "studies"
    ) as advance:
        early = early_study(penalties, correlations, mu=mu, on_run=advance)
        write("fusion_early", plots.draw_early(early), early)
        depth = depth_study(LAMS, RHOS, seeds=seeds, mu=mu, on_run=advance)
        write("fusion_depth", plots.draw_depth(depth), depth)
        relu = relu_study(LAMS, seeds=seeds, mu=mu, on_run=advance)
        write("fusion_relu", plots.draw_relu(relu), relu)
    if quiet:
        return
    rows = [
        (
            str(start),
            str(int(level)),
            f"{float(one.predicted_threshold):.3f}",
            f"{float(one.threshold.median()):.3f}",
            f"{float(one.threshold.min()):.3f} - {float(one.threshold.max()):.3f}",
        )
        for start in depth.start.values
        for level, one in (
            (level, depth.sel(start=start, depth=level)) for level in depth.depth.values
        )
        if one.threshold.notnull().any()
    ]
    report(
        rows,
        ("start", "depth", "theory", "measured", "range"),
        "Penalty that reverses the order in late fusion, median over seeds; theory for u0 -> 0",
    )
    typer.echo("wrote " + " ".join(map(str, written)))
