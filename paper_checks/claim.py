"""The words of a check: a claim, its verdict, and the evidence for it."""

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
    """A statement of the paper, in our words.

    Attributes
    ----------
    id : str
        Short name in kebab case. It is the name of the claim's file, with hyphens.
    topic : str
        Heading under which the claim is listed. It begins with a number.
    says : str
        The statement.
    source : str
        Paper, section, equation or theorem.
    assumptions : str
        The conditions under which the statement is meant.
    how : str
        Kind of evidence.
    recorded : Verdict
        What the check is known to find. `mimo-sim check` fails when it finds something else.
    false_alarm : str
        For statistical checks: how often other seeds would change the verdict, although the claim
        is as true as before. (The stored seeds always give the same verdict.)
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
        """Whose statement it is: of the MIMO paper, of [ZLS], or of this project."""
        for tag, name in ORIGINS.items():
            if self.source.startswith(tag):
                return name
        return "a law of this project"


@dataclass(frozen=True)
class Counterexample:
    """The smallest case found against a claim, or against the claim without its conditions.

    Attributes
    ----------
    case : str
        The case in words.
    command : str
        One line for a shell in the project's environment, which shows the case. It prints the
        numbers and exits with status 0.
    """

    case: str
    command: str

    @classmethod
    def shown_by(cls, case: str, *statements: str) -> Counterexample:
        """A case that these Python statements show. They must not contain a double quote."""
        code = "; ".join(statements)
        return cls(case, f'python -c "{code}"')


@dataclass(frozen=True)
class Evidence:
    """What a check found.

    Attributes
    ----------
    verdict : Verdict
        Computed from the numbers, never typed in.
    words : str
        A few sentences with the measured figures.
    numbers : dict
        Plain values (float, int, str, bool, and lists or dicts of them), in the order to show them.
    counterexample : Counterexample, optional
        Required for the verdicts *refuted* and *holds under conditions*.
    plot : callable, optional
        Draws the evidence on an axes of matplotlib.
    """

    verdict: Verdict
    words: str
    numbers: dict[str, Any] = field(default_factory=dict)
    counterexample: Counterexample | None = None
    plot: Callable[[Axes], None] | None = None
