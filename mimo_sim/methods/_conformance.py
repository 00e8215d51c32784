"""Where a method comes from, what its released code does differently, and which of both is here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Follows: TypeAlias = Literal[
    "both",  # paper and released code agree
    "paper",
    "released code",
    "benchmark",  # a public benchmark's reading; there is no code of the authors
    "reading",  # our reading, where the released code does not do what the paper says
    "definition",  # there is nothing to differ from
]

SAME_TENSORS = "released code on the same tensors"
"""Compared once, by hand, outside the tests: every number was equal to round-off."""


@dataclass(frozen=True)
class Conformance:
    """The row of a method in ``docs/conformance.md``.

    Attributes
    ----------
    paper : str
        Authors, venue and year; arXiv number where it is known.
    follows : str
        Which of paper and code this follows; one of :data:`Follows`.
    code : str
        The public code that was read, ``owner/repository``; empty where there is none.
    released : str
        What that code does differently from the paper, or from here.
    compared : str
        What was compared beside the tests; empty for nothing. What tests compare stands in
        ``tests/methods/references.py``, and is measured anew for every table.
    apart : str
        How far apart it was, if that was noted.
    """

    paper: str
    follows: Follows
    code: str = ""
    released: str = ""
    compared: str = ""
    apart: str = ""
