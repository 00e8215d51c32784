"""Single runs and figures of the toy, and its closed forms."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mimo_sim.commands import (
    FStar,
    Heads,
    InitScale,
    Lam,
    Method_,
    Mu,
    Out,
    ProblemName,
    Quiet,
    Seed,
    Steps,
    StepSize,
    WeightDecay,
    Width,
    app,
    command_line,
    load_problem,
    make_method,
    progress_bar,
    report,
    whole_width,
    write_all,
)


@app.command()
def figure1(
    out: Out = Path("figures"),
    seeds: Annotated[int, typer.Option(help="Number of initialisations, >= 1.")] = 20,
    lam: Lam = 10.0,
    mu: Mu = 0.01,
    init_scale: Annotated[
        float, typer.Option(help="Initial scale u0 in (0, 1); predictions hold as it tends to 0.")
    ] = 1e-9,
    width: Width = 100,
    step_size: StepSize = None,
    quiet: Quiet = False,
) -> None:
    """Reproduce Figure 1 of arXiv:2511.06686: figure1.png, .pdf, .svg, the data figure1.nc and the summary figure1.json."""
    from mimo_sim import __version__, plots, studies

    options = {
        "--out": out,
        "--seeds": seeds,
        "--lam": f"{lam:g}",
        "--mu": f"{mu:g}",
        "--init-scale": f"{init_scale:g}",
        "--width": f"{width:g}",
    }
    if step_size is not None:
        options["--step-size"] = f"{step_size:g}"
    command = command_line("figure1", *(part for pair in options.items() for part in pair))
    with progress_bar(2 * max(seeds, 0), "training", quiet) as advance:
        data = studies.figure1.compute(
            lam=lam,
            mu=mu,
            seeds=seeds,
            init_scale=init_scale,
            width=whole_width(width),
            step_size=step_size,
            on_run=advance,
        )
    summary = studies.figure1.summarise(data) | {"package_version": __version__, "command": command}
    paths = write_all(out, "figure1", plots.draw_figure1(data), data, summary)
    if quiet:
        return
    rows = []
    for name in ("vanilla", "mimo"):
        one = summary[name]
        theory = f"{one['predicted_ratio']:.3f}" if name == "vanilla" else ""
        half = " / ".join(f"{value:,.0f}" if value else "never" for value in one["half_time"])
        norms, laws = (
            " / ".join(f"{value:.3f}" for value in one[key])
            for key in ("final_encoder_norm", "predicted_final_encoder_norm")
        )
        rows.append(
            (
                name,
                half,
                f"{one['ratio'] or float('nan'):.3f}",
                theory,
                norms,
                laws,
                f"{one['final_loss_mm']:.0e}",
            )
        )
    title = f"Half-times in steps and encoder norms, medians over {seeds} initialisations; theory for u0 -> 0"
    report(rows, ("", "half-times", "ratio", "theory", "|W_k|", "law", "f_mm"), title)
    typer.echo("wrote " + " ".join(map(str, paths)))


@app.command()
def convergence(
    out: Out = Path("figures"), mu: Mu = 0.01, seed: Seed = 0, quiet: Quiet = False
) -> None:
    """Objective, losses, gaps and gradient against steps for vanilla and MIMO with lam = 1, 10, 100: convergence.png, .pdf, .svg and .nc."""
    from mimo_sim import plots, studies

    with progress_bar(4, "training", quiet) as advance:
        data = studies.convergence.compute(mu=mu, seed=seed, on_run=advance)
    paths = write_all(out, "convergence", plots.draw_convergence(data), data, None)
    if not quiet:
        typer.echo("wrote " + " ".join(map(str, paths)))


@app.command()
def simulate(
    problem: ProblemName = "superficial",
    method: Method_ = "mimo",
    lam: Lam = 10.0,
    mu: Mu = 0.01,
    f_star: FStar = "exact",
    heads: Heads = None,
    steps: Steps = 20_000,
    step_size: StepSize = None,
    width: Width = 100,
    init_scale: InitScale = 1e-3,
    seed: Seed = 0,
    record_every: Annotated[int, typer.Option(help="Record every so many steps, >= 1.")] = 10,
    engine: Annotated[
        str, typer.Option(help="gram (exact), autograd (torch reference) or flow (gradient flow).")
    ] = "gram",
    weight_decay: WeightDecay = 0.0,
    out: Annotated[Path | None, typer.Option(help="Trajectory file (.nc).")] = None,
    quiet: Quiet = False,
) -> None:
    """Train once, print what was measured, and write the trajectory with --out run.nc."""
    import mimo_sim as ms

    if out is not None and out.suffix != ".nc":
        raise ValueError(f"`--out` must end in .nc. Got {str(out)!r}.")
    run = ms.simulate(
        load_problem(problem),
        make_method(method, lam, mu, f_star, heads),
        steps=steps,
        step_size=step_size,
        width=whole_width(width),
        init_scale=init_scale,
        seed=seed,
        record_every=record_every,
        engine=engine,
        weight_decay=weight_decay,
        progress=not quiet and sys.stderr.isatty(),
    )
    if out is not None:
        ms.save(run, out)
    if quiet:
        return
    half, last = ms.half_times(run), run.isel(step=-1)
    rows = []
    for k, name in enumerate(run.modality.values):
        uni = (
            ("", "")
            if run.attrs["heads"] == "frozen"
            else (f"{float(last.loss_uni[k]):.6g}", f"{float(last.excess_uni[k]):.3g}")
        )
        rows.append(
            (str(name), f"{float(half[k]):,.0f}", f"{float(last.encoder_norm[k]):.6g}", *uni)
        )
    loss = f"f_mm {float(run.loss_mm[0]):.6g} -> {float(last.loss_mm):.6g} in {steps:,} steps of {run.attrs['step_size']:.4g}"
    report(rows, ("modality", "half-time (steps)", "|W_k|", "f_k", "f_k - f_k*"), loss)
    if out is not None:
        typer.echo(f"wrote {out}")


@app.command()
def theory(
    problem: ProblemName = "superficial",
    method: Method_ = "mimo",
    lam: Lam = 10.0,
    mu: Mu = 0.01,
    f_star: FStar = "exact",
    heads: Heads = None,
) -> None:
    """Print as JSON what the closed forms say of a problem: conditions, time ratio, order threshold, final norms, default step size."""
    from mimo_sim import theory as closed_forms

    summary = closed_forms.summary(
        load_problem(problem), make_method(method, lam, mu, f_star, heads)
    )
    finite = {name: "inf" if value == float("inf") else value for name, value in summary.items()}
    typer.echo(json.dumps(finite, indent=2, allow_nan=False))
