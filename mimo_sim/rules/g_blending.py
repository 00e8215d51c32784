"""G-Blending: loss weights from how much each branch gains, and over-fits, if it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mimo_sim._checks import check_positive, shown
from mimo_sim._symbols import maximum, total
from mimo_sim.rules._base import Rule, Seen, Weights, of_network
from mimo_sim.rules.mgda import TINY


@dataclass(frozen=True)
class GBlending(Rule):
    r"""Gradient blending: :math:`\sum_i w_i f_i` with :math:`w_i \propto G_i / O_i^2`.

    The branches are the uni-modal heads and the joint output. G is what a branch would gain if it
    went on alone, O what it would over-fit. The toy trains on the expected loss, so nothing
    over-fits and all O are equal. G is taken over an infinitely short time: alone, the loss of
    branch i falls at the rate :math:`|\nabla f_i|^2`. So :math:`w_i \propto |\nabla f_i|^2`.

    Parameters
    ----------
    given : K + 1 floats, optional
        Fixed weights >= 0 instead ("offline" blending): uni-modal first, joint last, as in
        ``mimo_sim.methods.GBlending``.

    Raises
    ------
    ValueError, TypeError
        If a weight is not a finite number >= 0, or there are not K + 1 of them.

    Notes
    -----
    Source: Wang, Tran, Feiszli (CVPR 2020). The weights add up to one where they are not given.
    """

    given: tuple[float, ...] | None = None
    name: ClassVar[str] = "g_blending"
    about: ClassVar[str] = "loss weights from the gain of each branch (CVPR 2020)"

    def __post_init__(self) -> None:
        if self.given is None:
            return
        if not isinstance(self.given, list | tuple) or not self.given:
            raise TypeError(
                f"`given` must be K + 1 numbers or None. Got given={shown(self.given)}."
            )
        object.__setattr__(self, "given", tuple(self.given))
        for one in self.given:
            check_positive("given", one, allow_zero=True)

    def check_modalities(self, num_modalities: int) -> None:
        """Raise ``ValueError`` unless K + 1 weights are given, or none."""
        if self.given is not None and len(self.given) != num_modalities + 1:
            raise ValueError(
                f"`given` must hold K + 1 = {num_modalities + 1} numbers. Got given={self.given!r}."
            )

    def weight_sum(self, num_modalities: int) -> float:
        """1, or the sum of the given weights."""
        return 1.0 if self.given is None else sum(self.given)

    def weights(self, seen: Seen) -> Weights:
        """Weights that add up to one, or those that are given."""
        if self.given is not None:
            return of_network(self.given[-1], self.given[:-1])
        gains = seen.whole
        whole = maximum(total([seen.whole_mm, *gains]), TINY)
        return of_network(seen.whole_mm / whole, [each / whole for each in gains])
