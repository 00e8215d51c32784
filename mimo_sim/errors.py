"""What can go wrong at run time, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr


class DivergenceError(RuntimeError):
    """Training of the toy blew up: the step size is too large for the problem.

    Attributes
    ----------
    step : int
        First step whose losses are not finite or exceed 1e8 times the loss of the zero network.
    trajectory : xarray.Dataset
        Everything recorded before that step.
    """

    def __init__(self, message: str, step: int, trajectory: xr.Dataset) -> None:
        super().__init__(message)
        self.step = step
        self.trajectory = trajectory

    def __reduce__(self) -> tuple[type[DivergenceError], tuple[str, int, xr.Dataset]]:
        return type(self), (str(self), self.step, self.trajectory)


class NonFiniteError(FloatingPointError):
    """Training of a network produced inf or nan.

    Attributes
    ----------
    epoch : int
        When, counted from zero.
    """

    def __init__(self, message: str, epoch: int) -> None:
        super().__init__(message)
        self.epoch = epoch

    def __reduce__(self) -> tuple[type[NonFiniteError], tuple[str, int]]:
        return type(self), (str(self), self.epoch)


class TrialError(RuntimeError):
    """A trial of a search failed, for another reason than divergence."""


class GenerationError(RuntimeError):
    """A random generator found no problem that meets the requirement in all its tries."""


class OutsideTheoryError(ValueError):
    """A problem is valid, but a closed form does not hold for it. The message says why."""


class ChatteringWarning(UserWarning):
    """sigma flips from step to step: the step size is too large for mu.

    :func:`mimo_sim.theory.chattering_threshold` says what is small enough.
    """


class UnconvergedWarning(UserWarning):
    """A run was still moving when it stopped, but a measure needs its final values."""
