"""Faults of the compiled engine: it is fed with wrong constants.

This is the one place of the checks that needs a private name, because a fault inside the engine
cannot be planted from outside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mimo_sim.dynamics.engines import gram
from paper_checks.faults._fault import Fault


def _engine_fault(
    id: str,
    what: str,
    caught_by: tuple[str, ...],
    constant: str,
    value: Callable[[gram.Packed], Any],
) -> Fault:
    """The engine runs with ``value(constants)`` for one of its constants."""

    def wrong(right: Callable[..., None], packed: gram.Packed, *arguments: Any) -> None:
        right(packed, *arguments)
        setattr(packed, constant, value(packed))

    return Fault(id, what, caught_by, gram.Packed, "__init__", wrong)


def _without_one_cross_term(packed: gram.Packed) -> Any:
    """The input moments, in which modality 0 does not see what the others predict."""
    cut = packed.S.copy()
    d = len(cut) // packed.Z.shape[0]
    cut[:d, d:] = 0.0
    return cut


ENGINE = [
    _engine_fault(
        "engine-sigma-wrong-sign",
        "the engine gives the largest weight to the best modality",
        ("theorem1-rate", "growth-law"),
        "mu",
        lambda packed: -packed.mu,
    ),
    _engine_fault(
        "engine-drops-lam",
        "the engine takes lam = 1 where lam is larger",
        ("theorem1-rate", "growth-law"),
        "lam",
        lambda packed: min(packed.lam, 1.0),
    ),
    _engine_fault(
        "engine-mu-ten-times",
        "the engine uses 10 mu",
        ("theorem1-rate", "growth-law"),
        "mu",
        lambda packed: 10 * packed.mu,
    ),
    _engine_fault(
        "engine-f-star-off",
        "the engine's estimate of f_1* is too low by 0.1",
        ("growth-law", "worst-modality-takes-all"),
        "base",
        lambda packed: packed.base - 0.1 * (np.arange(len(packed.base)) == 0),
    ),
    _engine_fault(
        "engine-misses-a-cross-term",
        "the joint residual of modality 1 misses what the others predict",
        ("theorem1-rate", "misattribution"),
        "S",
        _without_one_cross_term,
    ),
    _engine_fault(
        "engine-heads-not-moved",
        "the uni-modal heads stay where they start",
        ("growth-law", "final-norms"),
        "heads",
        lambda packed: 0,
    ),
    _engine_fault(
        "engine-plain-heads",
        "the uni-modal heads move without the factor lam sigma",
        ("growth-law", "conserved-quantity"),
        "heads",
        lambda packed: 2 if packed.heads == 1 else packed.heads,
    ),
    _engine_fault(
        "engine-joint-target-off",
        "the joint residual is measured from a target that is 2% too large",
        ("misattribution", "final-norms"),
        "joint",
        lambda packed: 1.02 * packed.joint,
    ),
    _engine_fault(
        "engine-uni-target-off",
        "the uni-modal residuals are measured from targets that are 5% too large",
        ("growth-law", "final-norms"),
        "uni",
        lambda packed: 1.05 * packed.uni,
    ),
]
