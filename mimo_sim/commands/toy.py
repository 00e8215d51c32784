"""Figures of the toy, single runs, and closed forms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mimo_sim._json import to_json
from mimo_sim._progress import on_terminal, progress_bar
from mimo_sim.commands import _grammar as grammar
from mimo_sim.commands import app
from mimo_sim.commands._options import (
    BatchOptions,
    Lam,
    Mu,
    Out,
    ProblemName,
    Quiet,
    RunOptions,
    Seed,
    Seeds,
    SolverOptions,
    StepSize,
    TinyScale,
    Width,
    expand,
    whole_width,
)
from mimo_sim.commands._output import (
    command_line,
    report,
    same_on_all_machines,
    say_written,
    write_all,
)
from mimo_sim.commands._problems import load_problem

Hyper = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A hyper-parameter of a rule, such as gamma=1.5 or scope=encoder. May be repeated.",
        metavar="NAME=VALUE",
    ),
]


def _hyper(set_: list[str] | None) -> dict[str, Any]:
    return grammar.once(grammar.read_value("--set", text) for text in set_ or [])


@app.command()
def figure1(
    out: Out = Path("figures"),
    seeds: Seeds = 20,
    lam: Lam = 10.0,
    mu: Mu = 0.01,
    init_scale: TinyScale = 1e-9,
    width: Width = 100,
    step_size: StepSize = None,
    quiet: Quiet = False,
) -> None:
    """Reproduce Figure 1 of arXiv:2511.06686.

    The full paper was not at hand, so the problem is our stand-in: the standard example of the same
    effect, `mimo_sim.generators.superficial_preference`.

    Writes figure1.png, .pdf and .svg, the data figure1.nc and the summary figure1.json.
    """
    from mimo_sim import __version__, plots, studies

    command = command_line(
        "figure1",
        out=out,
        seeds=seeds,
        lam=lam,
        mu=mu,
        init_scale=init_scale,
        width=width,
        step_size=step_size,
    )
    with progress_bar(2 * max(seeds, 0), on_terminal(quiet), "training") as advance:
        data = studies.figure1.compute(
            lam=lam,
            mu=mu,
            seeds=seeds,
            init_scale=init_scale,
            width=whole_width(width),
            step_size=step_size,
            on_run=advance,
        )
    data = same_on_all_machines(data)
    summary = studies.figure1.summarise(data)
    summary |= {"package_version": __version__, "command": command}
    paths = write_all(out, "figure1", plots.draw_figure1(data), data, summary)
    if quiet:
        return
    rows = []
    for name in ("vanilla", "mimo"):
        one = summary[name]
        half_times = [f"{steps:,.0f}" if steps else "never" for steps in one["half_time"]]
        norms = [f"{norm:.3f}" for norm in one["final_encoder_norm"]]
        laws = [f"{norm:.3f}" for norm in one["predicted_final_encoder_norm"]]
        ratio = one["ratio"] or float("nan")
        if name == "vanilla":
            here, limit = f"{one['predicted_ratio_this_u0']:.3f}", f"{one['predicted_ratio']:.3f}"
        else:
            here, limit = "", f"{one['predicted_emergence_ratio']:.3f} (emergence)"
        rows.append(
            (
                name,
                " / ".join(half_times),
                f"{ratio:.3f}",
                here,
                limit,
                " / ".join(norms),
                " / ".join(laws),
                f"{one['final_loss_mm']:.0e}",
            )
        )
    report(
        rows,
        (
            "",
            "half-times",
            "ratio",
            "predicted",
            "predicted, u0 -> 0",
            "final |W_k|",
            "predicted |W_k|",
            "final f_mm",
        ),
        f"Half-times in steps and encoder norms, medians over {seeds} initialisations",
    )
    typer.echo(
        "u0 is the size of the initial weights. Half-time: an encoder reaches half of its final "
        "squared norm.\nMIMO's prediction is for the times at which encoders begin to grow "
        "(emergence); no formula is known for its half-times."
    )
    say_written(paths)


@app.command()
def convergence(
    out: Out = Path("figures"), mu: Mu = 0.01, seed: Seed = 0, quiet: Quiet = False
) -> None:
    """Draw objective, losses, gaps and gradient against steps.

    Compares vanilla and MIMO with lam = 1, 10, 100. Writes convergence.png, .pdf, .svg and .nc.
    """
    from mimo_sim import plots, studies

    with progress_bar(4, on_terminal(quiet), "training") as advance:
        data = same_on_all_machines(studies.convergence.compute(mu=mu, seed=seed, on_run=advance))
    paths = write_all(out, "convergence", plots.draw_convergence(data), data, None)
    if not quiet:
        say_written(paths)


@app.command()
@expand
def simulate(
    *,
    problem: ProblemName = "superficial",
    solver: SolverOptions,
    set_: Hyper = None,
    options: RunOptions,
    batches: BatchOptions,
    seed: Seed = 0,
    record_every: Annotated[int, typer.Option(help="Record every so many steps, >= 1.")] = 10,
    engine: Annotated[
        str, typer.Option(help="gram (exact), autograd (torch reference) or flow (gradient flow).")
    ] = "gram",
    out: Annotated[Path | None, typer.Option(help="Trajectory file (.nc).")] = None,
    quiet: Quiet = False,
) -> None:
    """Train once and print what was measured.

    With --out run.nc it also writes the trajectory.
    """
    import mimo_sim as ms

    if out is not None and out.suffix != ".nc":
        raise ValueError(f"`--out` must end in .nc. Got {str(out)!r}.")
    data, drawn = batches.drawn(load_problem(problem))
    run = ms.simulate(
        data,
        solver.solver(_hyper(set_)),
        seed=seed,
        batches=drawn,
        decay=batches.decay,
        record_every=record_every,
        engine=engine,
        progress=on_terminal(quiet),
        **options.settings(),
    )
    if out is not None:
        ms.save(run, out)
    if quiet:
        return
    half, last = ms.half_times(run), run.isel(step=-1)
    rows = []
    for k, name in enumerate(run.modality.values):
        loss, excess = "", ""
        if run.attrs["heads"] != "frozen":
            loss, excess = f"{float(last.loss_uni[k]):.6g}", f"{float(last.excess_uni[k]):.3g}"
        norm = f"{float(last.encoder_norm[k]):.6g}"
        rows.append((str(name), f"{float(half[k]):,.0f}", norm, loss, excess))
    report(
        rows,
        ("modality", "half-time (steps)", "|W_k|", "f_k", "f_k - f_k*"),
        f"f_mm {float(run.loss_mm[0]):.6g} -> {float(last.loss_mm):.6g}"
        f" in {options.steps:,} steps of {run.attrs['step_size']:.4g}",
    )
    if out is not None:
        say_written([out])


@app.command()
@expand
def theory(
    *, problem: ProblemName = "superficial", solver: SolverOptions, set_: Hyper = None
) -> None:
    """Print what the closed forms say of a problem, as JSON.

    That is: conditions, time ratio, order threshold, final norms, default step size.
    """
    from mimo_sim import theory as closed_forms

    summary = closed_forms.summary(load_problem(problem), solver.solver(_hyper(set_)))
    typer.echo(to_json(summary))
