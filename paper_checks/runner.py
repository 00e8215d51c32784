"""Find the claims, run their checks, and compare the verdicts with the recorded ones."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType

from paper_checks.claim import Claim, Evidence, Verdict

DRAWS = 200  # random cases of a check
THOROUGH = 10  # times as many in a thorough run


@dataclass(frozen=True)
class Row:
    """One row of the ledger: a claim, what its check found, and how many seconds that took."""

    claim: Claim
    evidence: Evidence
    seconds: float

    @property
    def as_recorded(self) -> bool:
        """Whether the check found the verdict that the claim's file records."""
        return self.evidence.verdict == self.claim.recorded


def _file_of(name: str) -> str:
    """The name of a claim's module, from its id."""
    return name.replace("-", "_")


def names() -> list[str]:
    """The ids of all claims, read from the names of their files. Nothing is imported."""
    import paper_checks.claims

    files = pkgutil.iter_modules(paper_checks.claims.__path__)
    return sorted(info.name.replace("_", "-") for info in files)


def _refuse_unknown(name: str, known: list[str]) -> None:
    if name in known:
        return
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = "`mimo-sim check --list` names them all."
    if close:
        hint = f"did you mean {' or '.join(close)}?"
    raise ValueError(f"`claim` must be the id of a claim; {hint} Got {name!r}.")


def discover(ids: Iterable[str] | None = None) -> dict[str, ModuleType]:
    """The modules of these claims, all by default: id -> module with `CLAIM` and `check`.

    They are sorted by the number of their topic, then by file.

    Raises
    ------
    ValueError
        If an id is unknown, or a claim is not called after its file.
    """
    known = names()
    wanted = known if ids is None else list(ids)
    for name in wanted:
        _refuse_unknown(name, known)
    modules = [importlib.import_module(f"paper_checks.claims.{_file_of(name)}") for name in wanted]
    modules.sort(key=lambda module: (int(module.CLAIM.topic.split()[0]), module.__name__))
    found = {module.CLAIM.id: module for module in modules}
    for name, module in found.items():
        if module.__name__.rpartition(".")[2] != _file_of(name):
            raise ValueError(
                f"The claim in {module.__name__} must be called after its file. Got id={name!r}."
            )
    return found


def run_claim(module: ModuleType, draws: int) -> Row:
    """Check one claim with `draws` random cases.

    Raises
    ------
    ValueError
        If the verdict needs a counter-example and the evidence names none.
    """
    start = time.perf_counter()
    evidence: Evidence = module.check(draws)
    needs_one = evidence.verdict in (Verdict.REFUTED, Verdict.CONDITIONAL)
    if needs_one and evidence.counterexample is None:
        raise ValueError(
            f"Claim {module.CLAIM.id!r} is {evidence.verdict} and must name a counter-example."
        )
    return Row(module.CLAIM, evidence, time.perf_counter() - start)


def run_claims(
    ids: Iterable[str] | None = None,
    *,
    thorough: bool = False,
    on_claim: Callable[[str], None] | None = None,
) -> list[Row]:
    """Check the claims with these ids, or all.

    Parameters
    ----------
    ids : iterable of str, optional
        Claims to check.
    thorough : bool
        Draw ten times as many random cases.
    on_claim : callable, optional
        Called with the id of each claim before it is checked.

    Raises
    ------
    ValueError
        If an id is unknown.
    """
    draws = DRAWS * THOROUGH if thorough else DRAWS
    rows = []
    for name, module in discover(ids).items():
        if on_claim is not None:
            on_claim(name)
        rows.append(run_claim(module, draws))
    return rows
