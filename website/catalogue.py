"""The page of the methods: what each is, its paper, and where our version differs from its code.

Everything comes from the registry and the classes' own docstrings.
"""

from __future__ import annotations

import mimo_sim as ms
from mimo_sim import methods
from mimo_sim.methods._catalogue import NETWORKS

ABOUT = """:doc:`Where each method comes from </docs/conformance>` has papers, released code
and what was compared in one table. Where paper and released code differ, a method's notes say which
of the two it follows, and an argument often offers the other. ``mimo-sim bench list`` prints the
names. Hyper-parameters have the published defaults.
"""


def section(name: str) -> str:
    """One method: what it needs of a network, and its docstring."""
    entry = methods.catalogue()[name]
    heading = f"{entry.title} (``{name}``)"
    needs = f"Needs {NETWORKS[entry.needs]}."
    method = methods.get(name)
    path = f"mimo_sim.methods.{method.__name__}"
    known = getattr(ms, method.__name__, None) is method  # stands in the reference already
    again = "   :no-index:\n" * known
    return "\n".join(
        [
            f".. _method-{name}:\n",
            heading,
            "~" * len(heading) + "\n",
            needs,
            f"\n.. autoclass:: {path}\n{again}",
        ]
    )


def table() -> str:
    """All methods in one table, each a link to its section."""
    rows = "".join(
        f"   * - :ref:`{entry.title} <method-{name}>`\n     - ``{name}``\n"
        f"     - {entry.family}\n     - {entry.about}\n"
        for name, entry in methods.catalogue().items()
    )
    head = ".. list-table::\n   :header-rows: 1\n   :widths: 22 20 13 45\n\n"
    return f"{head}   * - method\n     - name\n     - family\n     - in one line\n{rows}"


def pages() -> dict[str, str]:
    """Path on the site -> reStructuredText."""
    entries = methods.catalogue()
    parts = ["The methods, one by one\n=======================\n", ABOUT, table()]
    for family in sorted({entry.family for entry in entries.values()}):
        parts.append(f"Family: {family}\n{'-' * (8 + len(family))}\n")
        parts += [section(name) for name, entry in entries.items() if entry.family == family]
    return {"methods.rst": "\n".join(parts)}
