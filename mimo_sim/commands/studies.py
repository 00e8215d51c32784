"""Studies over many runs of the toy: each command makes its figures and the numbers behind them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mimo_sim.commands import Lam, Out, Quiet, Seed, command_line, progress_bar, study, write_all

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

Seeds = Annotated[int, typer.Option(help="Number of initialisations, >= 1.")]
Steps = Annotated[int, typer.Option(help="Gradient steps of each run, >= 1; step sizes follow.")]
InitScale = Annotated[
    float, typer.Option(help="Initial scale u0 in (0, 1); predictions hold as it tends to 0.")
]
Grid = Annotated[int, typer.Option(help="Points per axis of each map, >= 2.")]
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

    paths = write_all(
        out, stem, figure, data, {"command": command, "package_version": __version__, **summary}
    )
    if not quiet:
        typer.echo("wrote " + " ".join(map(str, paths)))


@study.command()
def zls(
    out: Out = Path("figures"),
    seeds: Seeds = 5,
    init_scale: InitScale = 1e-9,
    steps: Steps = 40_000,
    quiet: Quiet = False,
) -> None:
    """Time ratio and mis-attribution of joint training over correlation, theory against simulation: the figure of Zhang, Latham and Saxe (ICML 2024)."""
    from mimo_sim import plots, studies

    with progress_bar(4 * 9 * max(seeds, 0), "scalar pairs", quiet) as advance:
        data = studies.zls.compute(seeds=seeds, init_scale=init_scale, steps=steps, on_run=advance)
    summary = studies.zls.summarise(data)
    command = command_line(
        "study",
        "zls",
        "--out",
        out,
        "--seeds",
        seeds,
        "--init-scale",
        f"{init_scale:g}",
        "--steps",
        steps,
    )
    _write(out, "phase_zls", plots.draw_zls(data), data, summary, command, quiet)
    if not quiet:
        errors = f"{summary['largest_error_limit']:.1%} (limit), {summary['largest_error_finite_u0']:.1%} (this u0)"
        typer.echo(
            f"largest error of the predicted time ratio {errors}; of mis-attribution {summary['largest_error_misattribution']:.1e}"
        )


@study.command()
def scatter(
    out: Out = Path("figures"),
    problems: Annotated[int, typer.Option(help="Number of random problems, >= 3.")] = 150,
    init_scale: InitScale = 1e-9,
    steps: Steps = 40_000,
    quiet: Quiet = False,
) -> None:
    """Predicted against simulated time ratio on random problems with superficial modality preference."""
    from mimo_sim import plots, studies

    with progress_bar(max(problems, 0), "random problems", quiet) as advance:
        data = studies.scatter.compute(problems, init_scale=init_scale, steps=steps, on_run=advance)
    summary = studies.scatter.summarise(data)
    command = command_line(
        "study",
        "scatter",
        "--out",
        out,
        "--problems",
        problems,
        "--init-scale",
        f"{init_scale:g}",
        "--steps",
        steps,
    )
    _write(out, "phase_scatter", plots.draw_scatter(data), data, summary, command, quiet)
    if not quiet:
        typer.echo(
            f"correlation {summary['limit']['correlation']:.4f} (limit), {summary['finite_u0']['correlation']:.4f} (this u0)"
        )


@study.command()
def phase(
    out: Out = Path("figures"),
    grid: Grid = 25,
    lam: Lam = 10.0,
    mu: SmallMu = 0.03,
    init_scale: InitScale = 1e-6,
    quiet: Quiet = False,
) -> None:
    """Phase diagrams: where modalities wait and where MIMO helps, over the ratios of problems, their correlation, and over lam and mu."""
    import numpy as np

    from mimo_sim import plots, studies

    if grid < 2:
        raise ValueError(f"`--grid` must be >= 2. Got {grid}.")
    command = command_line(
        "study",
        "phase",
        "--out",
        out,
        "--grid",
        grid,
        "--lam",
        f"{lam:g}",
        "--mu",
        f"{mu:g}",
        "--init-scale",
        f"{init_scale:g}",
    )
    louder = np.geomspace(1, 5, grid).tolist()
    explained, rhos = np.geomspace(0.3, 4, grid).tolist(), np.linspace(-0.7, 0.7, grid).tolist()
    lams, mus = np.geomspace(0.1, 30, grid).tolist(), np.geomspace(0.003, 1, grid).tolist()
    maps: dict[
        str,
        tuple[
            int,
            Callable[..., xr.Dataset],
            Callable[[xr.Dataset], Figure],
            Callable[[xr.Dataset], dict[str, Any]],
        ],
    ] = {
        "map": (
            2,
            lambda **rest: studies.maps.compute_ratios(louder, explained, lam=lam, mu=mu, **rest),
            plots.draw_map,
            studies.maps.summarise,
        ),
        "correlation": (
            2,
            lambda **rest: studies.maps.compute_correlations(louder, rhos, lam=lam, mu=mu, **rest),
            plots.draw_map,
            studies.maps.summarise,
        ),
        "penalty": (
            4,
            lambda **rest: studies.maps.compute_penalties(lams, mus, **rest),
            plots.draw_penalty,
            studies.maps.summarise_penalties,
        ),
    }
    for name, (runs, compute, draw, summarise) in maps.items():
        with progress_bar(runs * grid**2, name, quiet) as advance:
            data = compute(init_scale=init_scale, on_run=advance)
        _write(out, f"phase_{name}", draw(data), data, summarise(data), command, quiet)


@study.command()
def score(
    out: Out = Path("figures"),
    problems: Annotated[
        int,
        typer.Option(
            help="Number of random problems, >= 20; the first half chooses thresholds, the second judges."
        ),
    ] = 600,
    lam: Lam = 10.0,
    init_scale: InitScale = 1e-6,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """A score for imbalance, known before training, and how well it predicts the gain of MIMO on held-out random problems."""
    from mimo_sim import plots, studies

    with progress_bar(2 * max(problems, 0), "random problems", quiet) as advance:
        data = studies.score.compute(
            problems, lam=lam, init_scale=init_scale, seed=seed, on_run=advance
        )
    summary = studies.score.summarise(data)
    command = command_line(
        "study",
        "score",
        "--out",
        out,
        "--problems",
        problems,
        "--lam",
        f"{lam:g}",
        "--init-scale",
        f"{init_scale:g}",
        "--seed",
        seed,
    )
    _write(out, "phase_score", plots.draw_score(data, summary), data, summary, command, quiet)
    if not quiet:
        for outcome in studies.score.OUTCOMES:
            best = max(summary[outcome]["scores"].items(), key=lambda item: item[1]["auc"]["value"])
            typer.echo(
                f"{outcome}: best score '{best[0]}', threshold {best[1]['threshold']:.3g}, area under the curve {best[1]['auc']['value']:.3f}"
            )


@study.command(name="all")
def every(out: Out = Path("figures"), quiet: Quiet = False) -> None:
    """All studies with their default settings (a few minutes)."""
    zls(out, quiet=quiet)
    scatter(out, quiet=quiet)
    phase(out, quiet=quiet)
    score(out, quiet=quiet)
