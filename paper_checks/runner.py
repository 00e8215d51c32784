"""Find the claims, run their checks, compare with what is recorded."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType

from paper_checks.claim import Claim, Evidence, Verdict

DRAWS = 200  # of a property-based check; a thorough run takes ten times as many


@dataclass(frozen=True)
class Row:
    """One line of the ledger."""

    claim: Claim
    evidence: Evidence
    seconds: float

    @property
    def as_recorded(self) -> bool:
        """Whether the check found what the claim's file says it finds."""
        return self.evidence.verdict == self.claim.recorded


def names() -> list[str]:
    """The ids of all claims, from their files' names, without importing them."""
    import paper_checks.claims

    return sorted(
        info.name.replace("_", "-") for info in pkgutil.iter_modules(paper_checks.claims.__path__)
    )


def discover(ids: Iterable[str] | None = None) -> dict[str, ModuleType]:
    """The modules of the claims called `ids` (all by default), in the order of topics (which begin with a number) and files.

    Each has `CLAIM` and `check(draws) -> Evidence`.

    Raises
    ------
    ValueError
        If an id is unknown.
    """
    known = names()
    wanted = known if ids is None else list(ids)
    for name in wanted:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
            hint = (
                f"did you mean {' or '.join(close)}?"
                if close
                else "`mimo-sim check --list` names them all."
            )
            raise ValueError(f"`claim` must be the id of a claim; {hint} Got {name!r}.")
    modules = [
        importlib.import_module(f"paper_checks.claims.{name.replace('-', '_')}") for name in wanted
    ]
    modules.sort(key=lambda module: (int(module.CLAIM.topic.split()[0]), module.__name__))
    found = {module.CLAIM.id: module for module in modules}
    for name, module in found.items():
        if module.__name__.rpartition(".")[2] != name.replace("-", "_"):
            raise ValueError(
                f"The claim in {module.__name__} must be called after its file. Got id={name!r}."
            )
    return found


def run_claim(module: ModuleType, draws: int) -> Row:
    """Check one claim."""
    start = time.perf_counter()
    evidence: Evidence = module.check(draws)
    if (
        evidence.verdict in (Verdict.REFUTED, Verdict.CONDITIONAL)
        and evidence.counterexample is None
    ):
        raise ValueError(
            f"Claim {module.CLAIM.id!r} is {evidence.verdict} and must name a counter-example."
        )
    return Row(module.CLAIM, evidence, time.perf_counter() - start)


def run_claims(
    ids: Iterable[str] | None = None,
    *,
    thorough: bool = False,
    on_claim: Callable[[str], None] = lambda _: None,
) -> list[Row]:
    """Check the claims called `ids`, or all.

    Parameters
    ----------
    ids : iterable of str, optional
        Claims to run.
    thorough : bool
        Ten times as many draws.
    on_claim : callable
        Called with each claim's id before it runs.

    Raises
    ------
    ValueError
        If an id is unknown.
    """
    rows = []
    for name, module in discover(ids).items():
        on_claim(name)
        rows.append(run_claim(module, DRAWS * (10 if thorough else 1)))
    return rows
