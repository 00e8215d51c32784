"""Layers of a method's own, beside those of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from mimo_sim.methods._run import Run


def new_linear(run: Run, inside: int, outside: int) -> nn.Linear:
    """A linear layer with the same start on all processes: Xavier normal weights, bias zero."""
    layer = nn.Linear(inside, outside, device=run.device)
    nn.init.xavier_normal_(layer.weight, generator=run.generator)
    nn.init.zeros_(layer.bias)
    return layer
