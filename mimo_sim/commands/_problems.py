"""From the word on the command line to the problem of the toy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mimo_sim.problem import LateFusionProblem


def load_problem(name: str) -> LateFusionProblem:
    """A problem by name, or from a .json problem file or a .nc trajectory."""
    from mimo_sim import generators
    from mimo_sim._checks import did_you_mean
    from mimo_sim.dynamics import trajectory
    from mimo_sim.problem import LateFusionProblem

    if name in generators.NAMES:
        return generators.named(name)
    path = Path(name)
    if not path.is_file():
        raise ValueError(
            f"`--problem` must be one of {generators.NAMES}"
            f" or a .json or .nc file that exists. Got {name!r}."
            f"{did_you_mean(name, generators.NAMES)}"
        )
    if path.suffix == ".nc":
        return LateFusionProblem.from_json(trajectory.load(path).attrs["problem"])
    return LateFusionProblem.load(path)
