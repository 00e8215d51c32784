"""CAGrad: improve the worse of two objectives, but stay near the mean gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from mimo_sim._checks import check_choice, check_positive
from mimo_sim._symbols import maximum, minimum, select, sqrt
from mimo_sim.rules._base import Rule, Seen, Weights, of_encoders
from mimo_sim.rules.mgda import TINY

Rescale = Literal["c2", "c", "none"]
EPS = 2.0**-23  # a combination of gradients this much shorter than they are counts as none
SAME = 1e-14


@dataclass(frozen=True)
class CAGrad(Rule):
    r"""Conflict-averse gradient: near the mean gradient, improve the worse objective most.

    Each encoder has two gradients, u of f_mm and g of f_k, with the mean g_0. The direction is
    :math:`g_0 + c |g_0| g_w / |g_w|` with :math:`g_w = w u + (1 - w) g`. The w in [0, 1] minimises
    the convex function :math:`g_w \cdot g_0 + c |g_0| |g_w|`, which has a closed form. Every head
    follows its own loss.

    Parameters
    ----------
    c : float
        Radius of the ball around the mean gradient, relative to its norm, in [0, 1). Default 0.5.
    rescale : {"c2", "c", "none"}
        What the direction is divided by: 1 + c^2 (default, as in the authors' code), 1 + c, or
        nothing.

    Raises
    ------
    ValueError, TypeError
        If a value is outside its range.

    Notes
    -----
    Source: Liu et al. (NeurIPS 2021).
    """

    c: float = 0.5
    rescale: Rescale = "c2"
    name: ClassVar[str] = "cagrad"
    about: ClassVar[str] = "improves the worse of two losses, near the mean gradient (NeurIPS 2021)"

    def __post_init__(self) -> None:
        check_positive("c", self.c, allow_zero=True)
        if self.c >= 1:
            raise ValueError(f"`c` must be in [0, 1). Got c={self.c!r}.")
        check_choice("rescale", self.rescale, get_args(Rescale))

    @property
    def divisor(self) -> Any:
        """What the direction is divided by."""
        return {"none": 1.0, "c2": 1.0 + self.c * self.c, "c": 1.0 + self.c}[self.rescale]

    def weight_sum(self, num_modalities: int) -> float:
        """K + 1 halves, times (1 + c) over the divisor."""
        return float((num_modalities + 1) / 2 * (1 + self.c) / self.divisor)

    def weights(self, seen: Seen) -> Weights:
        """Half plus a part of c, divided by the divisor."""
        pairs = [self._pair(seen.joint[k], seen.cross[k], seen.own[k]) for k in seen.modalities]
        return of_encoders([u for u, _ in pairs], [g for _, g in pairs])

    def _pair(self, u: Any, cross: Any, g: Any) -> tuple[Any, Any]:
        slope = 0.5 * (u - g)
        radius = 0.5 * self.c * sqrt(maximum(u + 2.0 * cross + g, 0.0))
        curvature = maximum(u + g - 2.0 * cross, TINY)
        rest = maximum((u * g - cross * cross) / curvature, 0.0)
        room = curvature * radius * radius - slope * slope
        shift = slope * sqrt(rest / maximum(curvature * room, TINY))
        inside = minimum(maximum((g - cross) / curvature - shift, 0.0), 1.0)
        end = select(slope < 0.0, 1.0, 0.0)
        different = curvature > SAME * (u + g)
        w = select(different, select(room > 0.0, inside, end), end)
        square = w * w * u + 2.0 * w * (1.0 - w) * cross + (1.0 - w) * (1.0 - w) * g
        gain = select(square > EPS * EPS * (u + g), radius / sqrt(maximum(square, TINY)), 0.0)
        return (0.5 + gain * w) / self.divisor, (0.5 + gain * (1.0 - w)) / self.divisor
