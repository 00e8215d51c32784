"""Joint training on the multi-modal loss alone."""

from __future__ import annotations

from typing import ClassVar

from mimo_sim.methods._base import Family, Method, Needs
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance


class Vanilla(Method):
    """Joint training: minimise the joint loss L. The baseline of every comparison."""

    name: ClassVar[str] = "vanilla"
    title: ClassVar[str] = "joint training"
    family: ClassVar[Family] = "reference"
    about: ClassVar[str] = "one joint loss"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="the usual training; the baseline of all papers",
        follows="definition",
        compared=SAME_TENSORS,
        apart="round-off",
    )
    needs: ClassVar[Needs] = "joint"
    capturable: ClassVar[bool] = True
