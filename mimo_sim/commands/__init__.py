"""Commands of `mimo-sim`, one module each: a module here whose functions are commands is found by :func:`load`, nothing else needs editing.

A module adds its commands to ``app`` or to one of the groups below. Heavy imports happen inside the commands, so that help is instant.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from mimo_sim.problem import LateFusionProblem
    from mimo_sim.solvers import Solver

WIDTH_IN_A_FILE, LONGEST_UNFOLDED_NAME = 10_000, 24  # of tables, in characters
HELP: dict[str, Any] = {
    "context_settings": {"help_option_names": ["-h", "--help"]},
    "no_args_is_help": True,
}
app = typer.Typer(
    name="mimo-sim",
    help="The laboratory for modality imbalance in multi-modal learning.",
    pretty_exceptions_enable=False,
    **HELP,
)
study = typer.Typer(
    help="Studies over many runs of the toy: each makes a figure and its numbers.", **HELP
)
data = typer.Typer(help="Data sets of the benchmark: list, prepare, verify.", **HELP)
bench = typer.Typer(help="Balancing methods on real data: run, compare, time.", **HELP)

Out = Annotated[
    Path, typer.Option(help="Folder for the files; made when missing.", file_okay=False)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Lam = Annotated[float, typer.Option(help="Penalty lam of MIMO, >= 0.")]
Mu = Annotated[float, typer.Option(help="Smoothing mu of MIMO's maximum, > 0.")]
Width = Annotated[float, typer.Option(help="Hidden width of every encoder; 'inf' is the limit.")]
StepSize = Annotated[
    float | None,
    typer.Option(help="Step size; by default half of 1/L from the problem's smoothness."),
]
InitScale = Annotated[float, typer.Option(help="Initial scale u0 > 0.")]
Steps = Annotated[int, typer.Option(help="Gradient steps, >= 1.")]
WeightDecay = Annotated[float, typer.Option(help="Weight decay, >= 0.")]
ProblemName = Annotated[
    str,
    typer.Option(
        "--problem",
        help="superficial, scalar-pair, random, or a problem (.json) or trajectory (.nc) file.",
    ),
]
Seed = Annotated[int, typer.Option(help="Seed, >= 0.")]
FORMATS = (".png", ".pdf", ".svg")


@contextmanager
def progress_bar(total: int, description: str, quiet: bool) -> Iterator[Callable[[], None]]:
    """A progress bar on stderr (none when quiet or not a terminal); yields a function that advances it by one."""
    from mimo_sim._progress import steps_bar

    with steps_bar(total, not quiet and sys.stderr.isatty(), description) as advance:
        yield lambda: advance(1)


def command_line(*parts: Any) -> str:
    """The shell command that was given, for records."""
    return shlex.join(["mimo-sim", *map(str, parts)])


def write_all(
    out: Path, stem: str, figure: Figure, data: xr.Dataset, summary: dict[str, Any] | None
) -> list[Path]:
    """Write every file of a figure under temporary names, then rename them all."""
    from mimo_sim import plots
    from mimo_sim._files import replacing

    paths = [
        out / f"{stem}{suffix}" for suffix in (*FORMATS, ".nc", *([".json"] if summary else []))
    ]
    with ExitStack() as stack:
        temporaries = {path.suffix: stack.enter_context(replacing(path)) for path in paths}
        for suffix in FORMATS:
            plots.write(figure, temporaries[suffix])
        compressed = {
            name: {"zlib": True, "complevel": 4} for name in data.data_vars if data[name].ndim > 1
        }
        data.to_netcdf(temporaries[".nc"], engine="h5netcdf", encoding=compressed)
        if summary is not None:
            temporaries[".json"].write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n")
    return paths


def report(rows: Sequence[tuple[str, ...]], header: tuple[str, ...], title: str) -> None:
    """Print a table on stdout: as wide as it needs to be in a file or pipe, folded to the width of a terminal."""
    from rich.console import Console
    from rich.table import Column, Table

    short = max((len(row[0]) for row in rows), default=0) <= LONGEST_UNFOLDED_NAME
    table = Table(
        Column(header[0], overflow="fold", no_wrap=short),
        *header[1:],
        title=title,
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else WIDTH_IN_A_FILE).print(table)


def whole_width(width: float) -> float:
    """A width as an integer where it is one."""
    return (
        int(width)
        if width == width and abs(width) != float("inf") and int(width) == width
        else width
    )


def load_problem(name: str) -> LateFusionProblem:
    """A problem by name, or from a .json problem file or a .nc trajectory."""
    from mimo_sim import generators
    from mimo_sim.dynamics import trajectory
    from mimo_sim.problem import LateFusionProblem

    if name in generators.NAMES:
        return generators.named(name)
    path = Path(name)
    if not path.is_file():
        raise ValueError(
            f"`--problem` must be one of {generators.NAMES} or a .json or .nc file that exists. Got {name!r}."
        )
    if path.suffix == ".nc":
        return LateFusionProblem.from_json(trajectory.load(path).attrs["problem"])
    return LateFusionProblem.load(path)


def make_method(name: str, lam: float, mu: float, f_star: str, heads: str | None) -> Solver:
    """A Vanilla or MIMO from command-line words."""
    from mimo_sim.solvers import MIMO, Vanilla

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
FStar = Annotated[
    str,
    typer.Option(
        help="exact, zero, running_minimum, a number, or one number per modality joined by commas."
    ),
]
Heads = Annotated[
    str | None,
    typer.Option(help="mimo: gradient (default) or plain; vanilla: frozen (default) or plain."),
]


def load() -> typer.Typer:
    """The whole command line."""
    for group, name in ((study, "study"), (data, "data"), (bench, "bench")):
        if group not in [info.typer_instance for info in app.registered_groups]:
            app.add_typer(group, name=name)
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return app
