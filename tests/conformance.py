"""The page docs/conformance.md: what each method follows, and how far from released code it is.

To renew it: ``python -m tests.conformance``. Texts come from the classes of the methods
(``conformance``), distances are measured on the numbers of ``tests/methods/references.py``.
"""

from __future__ import annotations

import math
from pathlib import Path

from mimo_sim import methods
from mimo_sim._files import replacing
from mimo_sim.language.adapters import LoRALinear, MokALinear
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance
from tests.methods.references import MOKA, REFERENCES, Reference

PAGE = Path(__file__).resolve().parent.parent / "docs" / "conformance.md"
SMALLEST = 1e-12  # differences below it depend on the machine
HEADER = ("method", "paper", "code that was read", "we follow", "compared", "furthest apart")
INTRODUCTION = """\
# Where each method comes from

Back to the [README](../README.md). Written by `python -m tests.conformance`; do not edit it.

Papers and released code often differ. This page says for every method which of both we follow,
what was compared, and how far apart it was.

*We follow*: **both** where paper and code agree; **paper**; **released code**, where published
figures rest on it; **benchmark**, where the authors have no public code and the form is that of a
public benchmark; **reading**, where the code does not do what the paper says; **definition**, where
there is nothing to differ from.

*Compared*: "tests" are numbers that the released function gave on tiny inputs, or that the library
torchjd gave or gives. The distance is the largest over them, rounded up to a power of ten. Most of
the numbers were noted with six digits, some with two or three; that is what limits it. "By hand"
was done once, outside the tests, with the released code on the same tensors: all numbers were equal
to round-off, as released or after the one adaptation that the last section names. Nothing else was
compared: trainings of the originals were not repeated here.
"""


def rounded_up(distance: float) -> str:
    """The next power of ten; what is below round-off is called so."""
    if distance <= SMALLEST:
        return "round-off"
    return f"1e{math.ceil(math.log10(distance) - 1e-9)}"


def cells(name: str, about: Conformance, references: list[Reference]) -> tuple[str, ...]:
    """The row of a method."""
    compared, apart = [], []
    if references:
        whats = "; ".join(one.what for one in references)
        compared.append(f"tests: {whats}")
        apart.append(rounded_up(max(one.apart() for one in references)))
    if about.compared:
        brief = about.compared == SAME_TENSORS
        compared.append("by hand" if brief else f"by hand: {about.compared}")
        apart.append(about.apart or "not noted")
    code = f"[{about.code}](https://github.com/{about.code})" if about.code else "none"
    return (
        f"`{name}`",
        about.paper,
        code,
        about.follows,
        "<br>".join(compared) or "not compared",
        "<br>".join(apart) or "-",
    )


def page() -> str:
    """The whole page."""
    known = {name: methods.get(name).conformance for name in methods.available()}
    known |= {"lora (adapter)": LoRALinear.conformance, "moka (adapter)": MokALinear.conformance}
    references = REFERENCES | {"moka (adapter)": MOKA}
    rows = [cells(name, about, references.get(name, [])) for name, about in known.items() if about]
    lines = [INTRODUCTION]
    lines.append("| " + " | ".join(HEADER) + " |")
    lines.append("|" + "---|" * len(HEADER))
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["", "## What the released code does differently", ""]
    for name, about in known.items():
        if about and about.released:
            lines.append(f"- `{name}`: {about.released}")
    silent = [f"`{name}`" for name, about in known.items() if about and not about.released]
    lines += ["", f"No difference is known of {', '.join(silent)}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    with replacing(PAGE) as temporary:
        temporary.write_text(page())
