"""The command line, `mimo-sim`. Heavy imports happen inside the commands, so that help is instant."""

from __future__ import annotations

import json
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from mimo_sim.objective import Method
    from mimo_sim.problem import LateFusionProblem

app = typer.Typer(
    name="mimo-sim",
    help="The laboratory for modality imbalance in multi-modal learning.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Out = Annotated[Path, typer.Option(help="Folder for the files; made when missing.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Lam = Annotated[float, typer.Option(help="Penalty lam of MIMO, >= 0.")]
Mu = Annotated[float, typer.Option(help="Smoothing mu of MIMO's maximum, > 0.")]
Width = Annotated[float, typer.Option(help="Hidden width of every encoder; 'inf' is the limit.")]
StepSize = Annotated[float | None, typer.Option(help="Step size; by default half of 1/L from the problem's smoothness.")]
ProblemName = Annotated[str, typer.Option("--problem", help="superficial, scalar-pair, random, or a problem (.json) or trajectory (.nc) file.")]
Seed = Annotated[int, typer.Option(help="Seed, >= 0.")]
FORMATS = (".png", ".pdf", ".svg")


@contextmanager
def _progress(total: int, description: str, quiet: bool) -> Iterator[Callable[[], None]]:
    from mimo_sim.dynamics.progress import steps_bar

    with steps_bar(total, not quiet and sys.stderr.isatty(), description) as advance:
        yield lambda: advance(1)


def _command(*parts: Any) -> str:
    return shlex.join(["mimo-sim", *map(str, parts)])


def _write_all(out: Path, stem: str, figure: Figure, data: xr.Dataset, summary: dict[str, Any] | None) -> list[Path]:
    """Write every file of a figure under temporary names, then rename them all."""
    from mimo_sim import plots
    from mimo_sim.files import replacing

    paths = [out / f"{stem}{suffix}" for suffix in (*FORMATS, ".nc", *([".json"] if summary else []))]
    with ExitStack() as stack:
        temporaries = {path.suffix: stack.enter_context(replacing(path)) for path in paths}
        for suffix in FORMATS:
            plots.write(figure, temporaries[suffix])
        compressed = {name: {"zlib": True, "complevel": 4} for name in data.data_vars if data[name].ndim > 1}
        data.to_netcdf(temporaries[".nc"], engine="h5netcdf", encoding=compressed)
        if summary is not None:
            temporaries[".json"].write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n")
    return paths


def _report(rows: Sequence[tuple[str, ...]], header: tuple[str, ...], title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, title=title, title_justify="left", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


@app.command()
def figure1(
    out: Out = Path("figures"),
    seeds: Annotated[int, typer.Option(help="Number of initialisations, >= 1.")] = 20,
    lam: Lam = 10.0,
    mu: Mu = 0.01,
    init_scale: Annotated[float, typer.Option(help="Initial scale u0 in (0, 1); predictions hold as it tends to 0.")] = 1e-9,
    width: Width = 100,
    step_size: StepSize = None,
    quiet: Quiet = False,
) -> None:
    """Reproduce Figure 1 of arXiv:2511.06686: figure1.png, .pdf, .svg, the data figure1.nc and the summary figure1.json."""
    from mimo_sim import experiments, plots

    options = {"--out": out, "--seeds": seeds, "--lam": f"{lam:g}", "--mu": f"{mu:g}", "--init-scale": f"{init_scale:g}", "--width": f"{width:g}"}
    if step_size is not None:
        options["--step-size"] = f"{step_size:g}"
    command = _command("figure1", *(part for pair in options.items() for part in pair))
    with _progress(2 * max(seeds, 0), "training", quiet) as advance:
        data = experiments.figure1(lam=lam, mu=mu, seeds=seeds, init_scale=init_scale, width=_width(width), step_size=step_size, on_run=advance)
    summary = experiments.figure1_summary(data, command)
    paths = _write_all(out, "figure1", plots.draw_figure1(data), data, summary)
    if quiet:
        return
    rows = []
    for name in ("vanilla", "mimo"):
        one = summary[name]
        theory = f"{one['predicted_ratio']:.3f}" if name == "vanilla" else ""
        half = " / ".join(f"{value:,.0f}" if value else "never" for value in one["half_time"])
        norms, laws = (" / ".join(f"{value:.3f}" for value in one[key]) for key in ("final_encoder_norm", "predicted_final_encoder_norm"))
        rows.append((name, half, f"{one['ratio'] or float('nan'):.3f}", theory, norms, laws, f"{one['final_loss_mm']:.0e}"))
    title = f"Half-times in steps and encoder norms, medians over {seeds} initialisations; theory for u0 -> 0"
    _report(rows, ("", "half-times", "ratio", "theory", "|W_k|", "law", "f_mm"), title)
    typer.echo("wrote " + " ".join(map(str, paths)))


@app.command()
def convergence(out: Out = Path("figures"), mu: Mu = 0.01, seed: Seed = 0, quiet: Quiet = False) -> None:
    """Objective, losses, gaps and gradient against steps for vanilla and MIMO with lam = 1, 10, 100: convergence.png, .pdf, .svg and .nc."""
    from mimo_sim import experiments, plots

    with _progress(4, "training", quiet) as advance:
        data = experiments.convergence(mu=mu, seed=seed, on_run=advance)
    paths = _write_all(out, "convergence", plots.draw_convergence(data), data, None)
    if not quiet:
        typer.echo("wrote " + " ".join(map(str, paths)))


def _width(width: float) -> float:
    return int(width) if width == width and abs(width) != float("inf") and int(width) == width else width


def _load_problem(name: str) -> LateFusionProblem:
    from mimo_sim import generators, trajectory
    from mimo_sim.problem import LateFusionProblem

    if name in generators.NAMES:
        return generators.named(name)
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"`--problem` must be one of {generators.NAMES} or a .json or .nc file that exists. Got {name!r}.")
    if path.suffix == ".nc":
        return LateFusionProblem.from_json(trajectory.load(path).attrs["problem"])
    return LateFusionProblem.load(path)


def _method(name: str, lam: float, mu: float, f_star: str, heads: str | None) -> Method:
    from mimo_sim.objective import MIMO, Vanilla

    if name == "vanilla":
        return Vanilla(heads=heads or "frozen")  # type: ignore[arg-type]
    if name != "mimo":
        raise ValueError(f"`--method` must be 'vanilla' or 'mimo'. Got {name!r}.")
    try:
        rule: Any = [float(part) for part in f_star.split(",")]
        rule = rule[0] if len(rule) == 1 else rule
    except ValueError:
        rule = f_star
    return MIMO(lam=lam, mu=mu, f_star=rule, heads=heads or "gradient")  # type: ignore[arg-type]


Method_ = Annotated[str, typer.Option("--method", help="vanilla or mimo.")]
FStar = Annotated[str, typer.Option(help="exact, zero, running_minimum, a number, or one number per modality joined by commas.")]
Heads = Annotated[str | None, typer.Option(help="mimo: gradient (default) or plain; vanilla: frozen (default) or plain.")]


@app.command()
def simulate(
    problem: ProblemName = "superficial",
    method: Method_ = "mimo",
    lam: Lam = 10.0,
    mu: Mu = 0.01,
    f_star: FStar = "exact",
    heads: Heads = None,
    steps: Annotated[int, typer.Option(help="Gradient steps, >= 1.")] = 20_000,
    step_size: StepSize = None,
    width: Width = 100,
    init_scale: Annotated[float, typer.Option(help="Initial scale u0 > 0.")] = 1e-3,
    seed: Seed = 0,
    record_every: Annotated[int, typer.Option(help="Record every so many steps, >= 1.")] = 10,
    engine: Annotated[str, typer.Option(help="gram (exact), autograd (torch reference) or flow (gradient flow).")] = "gram",
    weight_decay: Annotated[float, typer.Option(help="Weight decay, >= 0.")] = 0.0,
    out: Annotated[Path | None, typer.Option(help="Trajectory file (.nc).")] = None,
    quiet: Quiet = False,
) -> None:
    """Train once, print what was measured, and write the trajectory with --out run.nc."""
    import mimo_sim as ms

    if out is not None and out.suffix != ".nc":
        raise ValueError(f"`--out` must end in .nc. Got {str(out)!r}.")
    run = ms.simulate(
        _load_problem(problem),
        _method(method, lam, mu, f_star, heads),
        steps=steps,
        step_size=step_size,
        width=_width(width),
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
        uni = ("", "") if run.attrs["heads"] == "frozen" else (f"{float(last.loss_uni[k]):.6g}", f"{float(last.excess_uni[k]):.3g}")
        rows.append((str(name), f"{float(half[k]):,.0f}", f"{float(last.encoder_norm[k]):.6g}", *uni))
    loss = f"f_mm {float(run.loss_mm[0]):.6g} -> {float(last.loss_mm):.6g} in {steps:,} steps of {run.attrs['step_size']:.4g}"
    _report(rows, ("modality", "half-time (steps)", "|W_k|", "f_k", "f_k - f_k*"), loss)
    if out is not None:
        typer.echo(f"wrote {out}")


@app.command()
def theory(
    problem: ProblemName = "superficial", method: Method_ = "mimo", lam: Lam = 10.0, mu: Mu = 0.01, f_star: FStar = "exact", heads: Heads = None
) -> None:
    """Print as JSON what the closed forms say of a problem: conditions, time ratio, order threshold, final norms, default step size."""
    from mimo_sim import theory as closed_forms

    summary = closed_forms.summary(_load_problem(problem), _method(method, lam, mu, f_star, heads))
    finite = {name: "inf" if value == float("inf") else value for name, value in summary.items()}
    typer.echo(json.dumps(finite, indent=2, allow_nan=False))


@app.command()
def check(
    claim: Annotated[list[str] | None, typer.Option(help="Id of a claim; may be repeated. All claims by default.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for ledger.json, ledger.md and ledger.html; ./ledger when all claims are checked, none with --claim.")
    ] = None,
    thorough: Annotated[bool, typer.Option("--thorough", help="Draw ten times more cases.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="Name the claims and stop.")] = False,
    quiet: Quiet = False,
) -> None:
    """Check the claims of arXiv:2511.06686 (needs the extra `testing`) and write the ledger.

    Exit code 0 when every verdict is the recorded one, 1 when not.
    """
    try:
        from paper_checks import ledger, runner

        if listing:
            for name in runner.names():
                typer.echo(name)
            return
        ids = list(runner.discover(claim or None))
    except ModuleNotFoundError as error:
        remedy = "reinstall mimo_sim" if str(error.name).startswith("paper_checks") else 'pip install -e ".[testing]" in a clone'
        raise ValueError(f"`mimo-sim check` needs {error.name}, which is not installed: {remedy}.") from None
    out = Path("ledger") if out is None and not claim else out
    if out is not None and claim and (out / "ledger.json").is_file():
        lost = {row["id"] for row in json.loads((out / "ledger.json").read_text())["claims"]} - set(ids)
        if lost:
            raise ValueError(f"`--out` {out} holds a ledger with {len(lost)} other claims. Choose another folder, or check all claims.")
    with _progress(len(ids), "checking", quiet) as advance:
        rows = runner.run_claims(ids, thorough=thorough, on_claim=lambda _: advance())
    command = _command(
        "check", *(part for name in claim or () for part in ("--claim", name)), *(["--out", out] if out else []), *(["--thorough"] if thorough else [])
    )
    if not quiet:
        _report(
            [(row.claim.id, str(row.evidence.verdict), f"{row.seconds:.1f}") for row in rows], ("claim", "verdict", "seconds"), "Claims of arXiv:2511.06686"
        )
        for row in rows if claim else []:
            example = row.evidence.counterexample
            typer.echo(f"\n{row.claim.id}: {row.claim.says}\n  {row.evidence.words}" + (f"\n  {example.case}\n  $ {example.command}" if example else ""))
    if out is not None:
        paths = ledger.write(rows, out, command)
        if not quiet:
            typer.echo("wrote " + " ".join(map(str, paths)))
    changed = [row for row in rows if not row.as_recorded]
    for row in changed:
        typer.echo(f"{row.claim.id}: recorded '{row.claim.recorded}', found '{row.evidence.verdict}'. {row.evidence.words}", err=True)
    if changed:
        raise typer.Exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        from mimo_sim import __version__

        typer.echo(f"mimo-sim {__version__}")
        raise typer.Exit


@app.callback()
def _root(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False) -> None:
    pass


def _terminated(*_: Any) -> NoReturn:
    sys.exit(143)  # unwinds the stack, so temporary files are removed


def main() -> None:
    """Entry point: bad input ends with one sentence on stderr and exit code 2."""
    signal.signal(signal.SIGTERM, _terminated)
    warnings.showwarning = lambda message, *_: typer.echo(f"mimo-sim: warning: {message}", err=True)
    try:
        app()
    except Exception as error:
        from mimo_sim.errors import DivergenceError, GenerationError

        if not isinstance(error, ValueError | TypeError | OSError | DivergenceError | GenerationError):
            raise
        typer.echo(f"mimo-sim: error: {error}", err=True)
        sys.exit(2)
