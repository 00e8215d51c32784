"""A network for pictures, used on every frame of a video."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def frame_mean(network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Features (B, width) of pictures (B, C, H, W); of videos (B, C, T, H, W) the mean over frames.

    Parameters
    ----------
    network : callable
        Pictures (n, C, H, W) -> features (n, width).
    x : Tensor
    """
    if x.ndim == 4:
        return network(x)
    frames = x.shape[2]
    found = network(x.transpose(1, 2).flatten(0, 1))  # (B, C, T, H, W) -> (B T, C, H, W)
    if frames == 1:
        return found
    by_frame: Tensor = found.unflatten(0, (-1, frames))  # type: ignore[no-untyped-call]
    return by_frame.mean(1)
