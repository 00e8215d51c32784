"""The vocabulary of a check: a claim, its verdict, the evidence for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Verdict(StrEnum):
    """What a check says of a claim. A refuted claim is a result, not a broken test."""

    HOLDS = "holds"
    CONDITIONAL = "holds under conditions"
    REFUTED = "refuted"
    OPEN = "open"
    NEEDS_DATA = "needs data"


ORIGINS = {
    "[MIMO]": "the paper, through a summary of it",
    "[ZLS]": "Zhang, Latham, Saxe, ICML 2024",
}

How = Literal[
    "exact", "property-based", "statistical", "timing", "arithmetic", "not checkable here"
]


@dataclass(frozen=True)
class Claim:
    """A statement of the paper in our words.

    Attributes
    ----------
    id : str
        Short name in kebab case; the file's name with hyphens.
    topic : str
        Heading it is listed under.
    says : str
        The statement.
    source : str
        Paper, section, equation or theorem.
    assumptions : str
        What must hold for the statement to be meant.
    how : str
        Kind of evidence.
    recorded : Verdict
        What the check is known to find; `mimo-sim check` fails when it finds something else.
    false_alarm : str
        For statistical checks: how often the verdict would change though the claim's truth did not, with other seeds. (With the stored ones, never.)
    """

    id: str
    topic: str
    says: str
    source: str
    assumptions: str
    how: How
    recorded: Verdict
    false_alarm: str = ""

    @property
    def origin(self) -> str:
        """Whose statement it is, by its source: of the MIMO paper, of [ZLS] on joint training, or of this project."""
        return next(
            (name for tag, name in ORIGINS.items() if self.source.startswith(tag)),
            "a law of this project",
        )


@dataclass(frozen=True)
class Counterexample:
    """The smallest case found against a claim (or against it without its conditions), with a command that shows it.

    `command` is one line for a shell in the project's environment; it exits with status 0 and prints the numbers.
    """

    case: str
    command: str


@dataclass(frozen=True)
class Evidence:
    """What a check found.

    Attributes
    ----------
    verdict : Verdict
        Computed from the numbers, never typed in.
    words : str
        One to three sentences with the measured figures.
    numbers : dict
        Plain values (float, int, str, bool, lists of them), in the order to show them.
    counterexample : Counterexample, optional
        Required for refuted and conditional verdicts.
    plot : callable, optional
        Draws the evidence on an axes.
    """

    verdict: Verdict
    words: str
    numbers: dict[str, Any] = field(default_factory=dict)
    counterexample: Counterexample | None = None
    plot: Callable[[Axes], None] | None = None
