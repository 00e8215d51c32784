"""Options that several commands take: each is named, explained and given its default once.

Options that always come together stand in a dataclass. A command takes the dataclass as one
parameter, and :func:`expand` shows its fields to Typer as options.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mimo_sim.dynamics import Batches
    from mimo_sim.problem import LateFusionProblem
    from mimo_sim.solvers import AnySolver

Out = Annotated[
    Path, typer.Option(help="Folder for the files; made when missing.", file_okay=False)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Seed = Annotated[int, typer.Option(help="Seed, >= 0.")]
Seeds = Annotated[int, typer.Option(help="Number of initialisations, >= 1.")]
Lam = Annotated[float, typer.Option(help="Penalty lam of MIMO, >= 0.")]
Mu = Annotated[float, typer.Option(help="Smoothing mu of MIMO's maximum, > 0.")]
Steps = Annotated[int, typer.Option(help="Gradient steps, >= 1.")]
StepSize = Annotated[
    float | None,
    typer.Option(help="Step size; by default half of 1/L, where L bounds the curvature."),
]
Width = Annotated[float, typer.Option(help="Hidden width of every encoder, or 'inf' (infinite).")]
TinyScale = Annotated[
    float, typer.Option(help="Initial scale u0 in (0, 1); predictions hold as it tends to 0.")
]
ProblemName = Annotated[
    str,
    typer.Option(
        "--problem",
        help="superficial, scalar-pair, random, or a problem (.json) or trajectory (.nc) file.",
    ),
]


@dataclass(frozen=True)
class SolverOptions:
    """What a run of the toy is trained by."""

    method: Annotated[
        str,
        typer.Option(
            help="vanilla, mimo, or a rule: linear_scalarization, mgda, pcgrad, cagrad, mmpareto,"
            " ogm, g_blending, gradnorm, stch."
        ),
    ] = "mimo"
    lam: Annotated[float | None, typer.Option(help="mimo: penalty lam, >= 0 (default 10).")] = None
    mu: Annotated[
        float | None,
        typer.Option(help="mimo, stch: smoothing mu, > 0 (default 0.01 and 0.1)."),
    ] = None
    f_star: Annotated[
        str | None,
        typer.Option(
            help="mimo: exact (default), zero, running_minimum, a number, or one number per"
            " modality joined by commas."
        ),
    ] = None
    heads: Annotated[
        str | None,
        typer.Option(help="mimo: gradient (default) or plain; vanilla: frozen (default) or plain."),
    ] = None

    def solver(self, hyper: dict[str, Any] | None = None) -> AnySolver:
        """The solver that these words describe; `hyper` are hyper-parameters of a rule."""
        from mimo_sim import rules
        from mimo_sim._checks import did_you_mean
        from mimo_sim.solvers import MIMO, Vanilla

        known = ("vanilla", "mimo", *rules.available())
        if self.method not in known:
            raise ValueError(
                f"`--method` must be one of {known}. Got {self.method!r}."
                f"{did_you_mean(self.method, known)}"
            )
        if self.method in rules.available():
            chosen = dict(hyper or {})
            if self.mu is not None and "mu" in rules.create(self.method).hyper():
                chosen["mu"] = self.mu
            self.refuse_unused(self.method, allowed=chosen.keys())
            if self.heads is not None:
                raise ValueError(
                    f"`--heads` belongs to vanilla and mimo: every rule trains the heads."
                    f" Got --method {self.method} --heads {self.heads}."
                )
            return rules.create(self.method, **chosen)
        if hyper:
            raise ValueError(
                f"`--set` is for hyper-parameters of rules {rules.available()}."
                f" Got --method {self.method} --set {' '.join(hyper)}."
            )
        if self.method == "vanilla":
            self.refuse_unused("vanilla")
            return Vanilla(heads=self.heads or "frozen")  # type: ignore[arg-type]
        given: dict[str, Any] = self.of_mimo()
        if "f_star" in given:
            given["f_star"] = _rule(given["f_star"])
        return MIMO(heads=self.heads or "gradient", **given)  # type: ignore[arg-type]

    def of_mimo(self) -> dict[str, float | str]:
        """The options of MIMO alone that were given."""
        options = {"lam": self.lam, "mu": self.mu, "f_star": self.f_star}
        return {name: value for name, value in options.items() if value is not None}

    def refuse_unused(self, method: str, allowed: Iterable[str] = ()) -> None:
        """Raise ``ValueError`` where an option was given that `method` does not have."""
        given = {name: value for name, value in self.of_mimo().items() if name not in allowed}
        if not given:
            return
        names = [f"--{name.replace('_', '-')}" for name in given]
        values = [f"{value:g}" if isinstance(value, float) else value for value in given.values()]
        words = " ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
        belong, them = ("belongs", "it") if len(given) == 1 else ("belong", "them")
        raise ValueError(
            f"{' and '.join(f'`{name}`' for name in names)} {belong} to MIMO: leave {them} out,"
            f" or choose --method mimo. Got --method {method} {words}."
        )


def _rule(text: str) -> str | float | list[float]:
    """The rule for f* that a text describes: a word, a number, or numbers joined by commas."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        return text
    return numbers[0] if len(numbers) == 1 else numbers


@dataclass(frozen=True)
class RunOptions:
    """How a run of the toy goes."""

    steps: Steps = 20_000
    step_size: StepSize = None
    init_scale: Annotated[float, typer.Option(help="Initial scale u0 > 0.")] = 1e-3
    width: Width = 100
    weight_decay: Annotated[float, typer.Option(help="Weight decay, >= 0.")] = 0.0
    momentum: Annotated[float, typer.Option(help="Heavy-ball momentum, in [0, 1).")] = 0.0

    def settings(self) -> dict[str, Any]:
        """The arguments of :func:`mimo_sim.simulate`."""
        return vars(self) | {"width": whole_width(self.width)}


@dataclass(frozen=True)
class BatchOptions:
    """Samples of a problem, and the mini-batches that a run takes of them."""

    samples: Annotated[
        int | None,
        typer.Option(help="Train on so many samples of the problem, >= 1, instead of its moments."),
    ] = None
    batch_size: Annotated[
        int | None, typer.Option(help="Samples in a mini-batch; by default all of --samples.")
    ] = None
    batch_seed: Annotated[int, typer.Option(help="Of samples and batches, >= 0.")] = 0
    replace: Annotated[
        bool, typer.Option("--replace", help="Draw each batch from all samples, with replacement.")
    ] = False
    decay: Annotated[
        float, typer.Option(help="mimo with batches: smoothing of their losses, in [0, 1).")
    ] = 0.0

    def drawn(self, problem: LateFusionProblem) -> tuple[LateFusionProblem, Batches | None]:
        """The problem that the run trains, and its mini-batches."""
        from mimo_sim._checks import check_count
        from mimo_sim.dynamics.batches import draw

        if self.samples is None:
            if self.batch_size is not None or self.replace:
                raise ValueError("`--batch-size` and `--replace` need `--samples`.")
            return problem, None
        check_count("--samples", self.samples)
        return draw(problem, self.samples, self.batch_size, self.batch_seed, replace=self.replace)


def whole_width(width: float) -> float:
    """A width as an integer where it is one."""
    return int(width) if float(width).is_integer() else width


def expand(command: Callable[..., None]) -> Callable[..., None]:
    """Show the fields of every dataclass that `command` takes as options of its own."""
    hints = typing.get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    shown = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            own = typing.get_type_hints(groups[name], include_extras=True)
            shown += [_option(each.name, each.default, own) for each in fields(groups[name])]
        else:
            shown.append(_option(name, parameter.default, hints))

    @wraps(command)
    def expanded(**given: Any) -> None:
        for name, group in groups.items():
            own = {each.name: given.pop(each.name) for each in fields(group)}
            given[name] = group(**own)
        command(**given)

    expanded.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    expanded.__annotations__ = {option.name: option.annotation for option in shown}
    return expanded


def _option(name: str, default: Any, hints: dict[str, Any]) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[name]
    )
