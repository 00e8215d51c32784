"""Where a learning curve will end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def curve_limit(
    curve: np.ndarray, decays: Sequence[float] = tuple(np.linspace(0.3, 0.95, 14))
) -> float:
    r"""The limit a of :math:`a + b r^e`, fitted by least squares to a learning curve.

    Parameters
    ----------
    curve : array (E,)
        One loss per epoch e. Epochs whose loss is not finite are left out. Fewer than three epochs
        give their smallest value, and none at all gives inf.
    decays : sequence of float
        The values of r in (0, 1) to try. For each of them a and b follow in closed form.

    Returns
    -------
    float
        Between 0 and the smallest value of the curve. The smallest value itself where the best
        fit does not fall.

    Examples
    --------
    >>> round(curve_limit(0.5 + 1.5 * 0.6 ** np.arange(6)), 6)
    0.5
    """
    losses = np.asarray(curve, dtype=float)
    epochs = np.flatnonzero(np.isfinite(losses))
    curve = losses[epochs]
    least = float(curve.min(initial=np.inf))
    if len(curve) < 3:
        return least
    r = np.asarray(decays)[:, None] ** epochs
    centred = r - r.mean(1, keepdims=True)
    slope = centred @ (curve - curve.mean()) / (centred**2).sum(1)
    limit = curve.mean() - slope * r.mean(1)
    error = ((limit[:, None] + slope[:, None] * r - curve) ** 2).sum(1)
    best = int(np.argmin(np.where(slope > 0, error, np.inf)))
    return float(np.clip(limit[best], 0.0, least)) if slope[best] > 0 else least
