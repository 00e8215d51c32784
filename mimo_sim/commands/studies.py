"""Studies over many runs of the toy: each command makes its figures and the numbers behind them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mimo_sim._progress import on_terminal, progress_bar
from mimo_sim.commands import study
from mimo_sim.commands._options import Lam, Out, Quiet, Seed, Seeds, TinyScale
from mimo_sim.commands._output import command_line, say_written, write_all

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

Steps = Annotated[
    int, typer.Option(help="Gradient steps of each run, >= 1; the step sizes follow from it.")
]
SmallMu = Annotated[
    float, typer.Option(help="Smoothing mu of MIMO's maximum, > 0; initial losses are 1.")
]


def _write(
    out: Path,
    stem: str,
    figure: Figure,
    data: xr.Dataset,
    summary: dict[str, Any],
    command: str,
    quiet: bool,
) -> None:
    from mimo_sim import __version__

    about = {"command": command, "package_version": __version__}
    paths = write_all(out, stem, figure, data, about | summary)
    if not quiet:
        say_written(paths)


@study.command()
def zls(
    out: Out = Path("figures"),
    seeds: Seeds = 5,
    init_scale: TinyScale = 1e-9,
    steps: Steps = 40_000,
    quiet: Quiet = False,
) -> None:
    """Redraw the figure of Zhang, Latham and Saxe (ICML 2024): theory and simulation.

    Over the correlation of two inputs it shows how long joint training lets the second one wait
    (time ratio), and what it wrongly credits to the first one meanwhile (mis-attribution).
    """
    from mimo_sim import plots, studies

    command = command_line("study", "zls", out=out, seeds=seeds, init_scale=init_scale, steps=steps)
    with progress_bar(4 * 9 * max(seeds, 0), on_terminal(quiet), "scalar pairs") as advance:
        data = studies.zls.compute(seeds=seeds, init_scale=init_scale, steps=steps, on_run=advance)
    summary = studies.zls.summarise(data)
    _write(out, "phase_zls", plots.draw_zls(data), data, summary, command, quiet)
    if not quiet:
        typer.echo(
            "largest error of the predicted time ratio"
            f" {summary['largest_error_limit']:.1%} (limit),"
            f" {summary['largest_error_finite_u0']:.1%} (this u0);"
            f" of mis-attribution {summary['largest_error_misattribution']:.1e}"
        )


@study.command()
def scatter(
    out: Out = Path("figures"),
    problems: Annotated[int, typer.Option(help="Number of random problems, >= 3.")] = 150,
    init_scale: TinyScale = 1e-9,
    steps: Steps = 40_000,
    quiet: Quiet = False,
) -> None:
    """Compare predicted and simulated time ratios on random problems.

    All of them show a superficial modality preference.
    """
    from mimo_sim import plots, studies

    command = command_line(
        "study", "scatter", out=out, problems=problems, init_scale=init_scale, steps=steps
    )
    with progress_bar(max(problems, 0), on_terminal(quiet), "random problems") as advance:
        data = studies.scatter.compute(problems, init_scale=init_scale, steps=steps, on_run=advance)
    summary = studies.scatter.summarise(data)
    _write(out, "phase_scatter", plots.draw_scatter(data), data, summary, command, quiet)
    if not quiet:
        typer.echo(
            f"correlation {summary['limit']['correlation']:.4f} (limit),"
            f" {summary['finite_u0']['correlation']:.4f} (this u0)"
        )


@study.command()
def phase(
    out: Out = Path("figures"),
    grid: Annotated[int, typer.Option(help="Points per axis of each map, >= 2.")] = 25,
    lam: Lam = 10.0,
    mu: SmallMu = 0.03,
    init_scale: TinyScale = 1e-6,
    quiet: Quiet = False,
) -> None:
    """Draw phase diagrams: where modalities wait, and where MIMO helps.

    Three maps: over ratios of the problem, over the correlation of its inputs, over lam and mu.
    """
    import numpy as np

    from mimo_sim import plots
    from mimo_sim.studies import maps

    if grid < 2:
        raise ValueError(f"`--grid` must be >= 2. Got {grid}.")
    command = command_line(
        "study", "phase", out=out, grid=grid, lam=lam, mu=mu, init_scale=init_scale
    )
    louder = np.geomspace(1, 5, grid).tolist()
    explained = np.geomspace(0.3, 4, grid).tolist()
    rhos = np.linspace(-0.7, 0.7, grid).tolist()
    lams = np.geomspace(0.1, 30, grid).tolist()
    mus = np.geomspace(0.003, 1, grid).tolist()

    with progress_bar(2 * grid**2, on_terminal(quiet), "map") as advance:
        data = maps.compute_ratios(
            louder, explained, lam=lam, mu=mu, init_scale=init_scale, on_run=advance
        )
    figure, summary = plots.draw_map(data), maps.summarise(data)
    _write(out, "phase_map", figure, data, summary, command, quiet)

    with progress_bar(2 * grid**2, on_terminal(quiet), "correlation") as advance:
        data = maps.compute_correlations(
            louder, rhos, lam=lam, mu=mu, init_scale=init_scale, on_run=advance
        )
    figure, summary = plots.draw_map(data), maps.summarise(data)
    _write(out, "phase_correlation", figure, data, summary, command, quiet)

    with progress_bar(4 * grid**2, on_terminal(quiet), "penalty") as advance:
        data = maps.compute_penalties(lams, mus, init_scale=init_scale, on_run=advance)
    figure, summary = plots.draw_penalty(data), maps.summarise_penalties(data)
    _write(out, "phase_penalty", figure, data, summary, command, quiet)


@study.command()
def score(
    out: Out = Path("figures"),
    problems: Annotated[
        int,
        typer.Option(
            help="Number of random problems, >= 20. The first half chooses thresholds,"
            " the second half judges them."
        ),
    ] = 600,
    lam: Lam = 10.0,
    init_scale: TinyScale = 1e-6,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Predict before training where MIMO helps, and judge the prediction on held-out problems.

    Each score for imbalance needs only the moments of a problem.
    """
    from mimo_sim import plots, studies

    command = command_line(
        "study", "score", out=out, problems=problems, lam=lam, init_scale=init_scale, seed=seed
    )
    with progress_bar(2 * max(problems, 0), on_terminal(quiet), "random problems") as advance:
        data = studies.score.compute(
            problems, lam=lam, init_scale=init_scale, seed=seed, on_run=advance
        )
    summary = studies.score.summarise(data)
    _write(out, "phase_score", plots.draw_score(data, summary), data, summary, command, quiet)
    if quiet:
        return
    for outcome in studies.score.OUTCOMES:
        judged = summary[outcome]["scores"]
        known = [name for name in judged if not math.isnan(judged[name]["auc"]["value"])]
        if not known:
            typer.echo(f"{outcome}: no score can be judged, as MIMO helps nowhere or everywhere")
            continue
        best = max(known, key=lambda name: judged[name]["auc"]["value"])
        typer.echo(
            f"{outcome}: best score '{best}', threshold {judged[best]['threshold']:.3g},"
            f" area under the curve {judged[best]['auc']['value']:.3f}"
        )


@study.command()
def rules(
    out: Out = Path("figures"),
    grid: Annotated[
        int, typer.Option(help="Points per axis of correlations, >= 2; half of it of variance.")
    ] = 13,
    init_scale: TinyScale = 1e-6,
    quiet: Quiet = False,
) -> None:
    """Compare the rules of the field: who waits, who reverses the order, and what it costs.

    Every rule trains the problem of Figure 1 and a grid of problems. Times are matched: each rule's
    flow time is multiplied by the sum of its weights.
    """
    import numpy as np

    from mimo_sim import plots, studies

    if grid < 2:
        raise ValueError(f"`--grid` must be >= 2. Got {grid}.")
    command = command_line("study", "rules", out=out, grid=grid, init_scale=init_scale)
    less = max(2, (grid + 1) // 2)
    total = len(studies.rules.RULES) * grid**2 * less
    with progress_bar(total, on_terminal(quiet), "rules") as advance:
        data = studies.rules.compute(
            np.geomspace(1, 5, grid).tolist(),
            np.geomspace(0.5, 4, less).tolist(),
            np.linspace(-0.8, 0.8, grid).tolist(),
            init_scale=init_scale,
            on_run=advance,
        )
    summary = studies.rules.summarise(data)
    _write(out, "phase_rules", plots.draw_rules(data), data, summary, command, quiet)
    if quiet:
        return
    for name, said in summary["rules"].items():
        most = max(said["order"], key=said["order"].get)
        typer.echo(
            f"{name}: {most} the wait on {said['order'][most]:.0%} of problems, learns f_mm on"
            f" {said['finished']:.0%}, matched gain {said['gain']:.2f}; Figure 1: half-times"
            f" {said['figure1']['half_time_ratio']:.2f}"
        )


@study.command()
def k(
    out: Out = Path("figures"),
    problems: Annotated[
        int, typer.Option(help="Problems of each number of modalities and of inputs, >= 1.")
    ] = 40,
    quiet: Quiet = False,
) -> None:
    """Train three to eight modalities by MIMO, and compare with the predicted emergence.

    Random problems, each from three initial scales: the order, and the ratios of times.
    """
    from mimo_sim import plots, studies

    command = command_line("study", "k", out=out, problems=problems)
    runs = 2 * len(studies.many.MODALITIES) * len(studies.many.INIT_SCALES) * max(problems, 0)
    with progress_bar(runs, on_terminal(quiet), "modalities") as advance:
        data = studies.many.compute(problems=problems, on_run=advance)
    summary = studies.many.summarise(data)
    _write(out, "phase_k", plots.draw_many(data), data, summary, command, quiet)
    if quiet:
        return
    for i, scale in enumerate(summary["init_scales"]):
        said = summary["all"]
        typer.echo(
            f"u0 = {scale:g}: order right on {said['right'][i]:.1%} of problems away from ties"
            f" ({said['away_from_ties'][i]:.0%} of all) and on {said['right_near_ties'][i]:.0%} of"
            f" the others; error of time ratios {said['error'][i]:.1%} in the median"
        )


@study.command()
def fstar(
    out: Out = Path("figures"),
    seeds: Seeds = 8,
    networks: Annotated[
        int, typer.Option(help="Networks trained on digits for each smoothing, >= 0.")
    ] = 2,
    problems: Annotated[int, typer.Option(help="Random problems of the toy, >= 0.")] = 24,
    quiet: Quiet = False,
) -> None:
    """Measure what mini-batch noise does to estimates of f*, and to MIMO's weights.

    Exact SGD on samples, and a small network on digits (extra `train`).
    """
    from mimo_sim import plots, studies

    command = command_line(
        "study", "fstar", out=out, seeds=seeds, networks=networks, problems=problems
    )
    decays, rules = len(studies.fstar.DECAYS), len(studies.fstar.RULES)
    runs = 1 + max(seeds, 0) * (1 + rules) + decays * max(networks, 0) + max(problems, 0)
    with progress_bar(runs, on_terminal(quiet), "estimates of f*") as advance:
        data = studies.fstar.compute(seeds, networks, problems, on_part=advance)
    summary = studies.fstar.summarise(data)
    _write(out, "phase_fstar", plots.draw_fstar(data), data, summary, command, quiet)
    if quiet:
        return
    for rule, found in summary["rules"].items():
        slow = found["half_time_over_fixed"]["slow"][0]
        typer.echo(
            f"{rule}: the easiest gets at most {found['largest_sigma_of_the_easiest'][0]:.0%} of"
            f" the weight; the slow one is learned after {slow:.2f} of the time of fixed weights"
        )


@study.command(name="all")
def every(out: Out = Path("figures"), quiet: Quiet = False) -> None:
    """Run all studies with their default settings (some minutes)."""
    import torch  # noqa: F401 - fusion needs it: where it is missing, say so before the work

    from mimo_sim.commands.fusion import fusion

    zls(out, quiet=quiet)
    scatter(out, quiet=quiet)
    phase(out, quiet=quiet)
    score(out, quiet=quiet)
    rules(out, quiet=quiet)
    k(out, quiet=quiet)
    fstar(out, quiet=quiet)
    fusion(out, quiet=quiet)
