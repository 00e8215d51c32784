"""Random crops and flips of colour pictures, made on the device for a whole batch.

What happens to a sample is drawn from the seed, the epoch, the pass and the sample's place in the
split: not from a generator that moves on. So it depends neither on the size of batches nor on who
reads them, and a resumed run draws what it would have drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from mimo_sim.training._streams import stream

COLOURS = 3
AREA = (0.08, 1.0)  # of the crop, as a share of the picture
ASPECT = (3 / 4, 4 / 3)  # of the crop: its width over its height
DRAWS = 5  # area, aspect, two places, flip
MASK = 2**53 - 1


def is_picture(shape: Sequence[int]) -> bool:
    """Whether a sample is a colour picture (3, H, W) or a video (3, T, H, W)."""
    return len(shape) in (3, 4) and shape[0] == COLOURS


def augmented(
    inputs: Sequence[Tensor], index: Tensor, kind: str, seed: int, epoch: int, draw: int
) -> list[Tensor]:
    """The inputs of a batch, pictures and videos cropped and flipped, others as they are.

    A crop has 8 % to 100 % of the area and an aspect of 3/4 to 4/3, cut to what the picture has; it
    is enlarged to the whole size. Half of the pictures are mirrored.

    Parameters
    ----------
    inputs : K tensors (B, *shape_k)
    index : Tensor (B,)
        Places of the samples in the train split.
    kind : {"clip", "frame"}
        The frames of a video have one crop and one flip together, or each its own.
    seed, epoch, draw : int
    """
    found = []
    for k, x in enumerate(inputs):
        if not is_picture(x.shape[1:]):
            found.append(x)
            continue
        frames = x.shape[2] if x.ndim == 5 else 1
        own = frames if kind == "frame" else 1
        base = stream(seed, f"augment {k}", epoch, draw)
        numbers = uniform(base, index, own * DRAWS).view(len(index) * own, DRAWS)
        theta = _maps(numbers).repeat_interleave(frames // own, 0).to(x.dtype)
        pictures = x.transpose(1, 2).flatten(0, 1) if x.ndim == 5 else x
        grid = functional.affine_grid(theta, list(pictures.shape), align_corners=False)
        made = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
        if x.ndim == 5:
            made = made.unflatten(0, (len(x), frames)).transpose(1, 2)  # type: ignore[no-untyped-call]
        found.append(made)
    return found


def _maps(numbers: Tensor) -> Tensor:
    """Affine maps (n, 2, 3) from a picture to its crop, from n x 5 numbers in [0, 1)."""
    area = AREA[0] + (AREA[1] - AREA[0]) * numbers[:, 0]
    low, high = map(math.log, ASPECT)
    aspect = torch.exp(low + (high - low) * numbers[:, 1])
    width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    side = torch.where(numbers[:, 4] < 0.5, 1.0, -1.0)
    none = torch.zeros_like(width)
    across = torch.stack([width * side, none, (2 * numbers[:, 2] - 1) * (1 - width)], 1)
    down = torch.stack([none, height, (2 * numbers[:, 3] - 1) * (1 - height)], 1)
    return torch.stack([across, down], 1)


def uniform(base: int, index: Tensor, count: int) -> Tensor:
    """Numbers (B, count) in [0, 1), float64, that depend on `base`, sample and column alone.

    SplitMix64 (Steele, Lea, Flood 2014) as a hash; its integers wrap around as those of torch do.
    """
    column = torch.arange(count, device=index.device)
    x = index[:, None] * 0x632BE59BD9B4E019 + column * 0x1FFFFFFFFFFFFFE7 + base
    x = _mixed(_mixed(x))
    return (_shifted(x, 11) & MASK).double() * 2.0**-53


def _mixed(x: Tensor) -> Tensor:
    x = x + _signed(0x9E3779B97F4A7C15)
    x = (x ^ _shifted(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shifted(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shifted(x, 31)


def _signed(word: int) -> int:
    """A 64-bit word as torch stores it."""
    return word - 2**64 if word >= 2**63 else word


def _shifted(x: Tensor, bits: int) -> Tensor:
    """Shift to the right, with zeros coming in."""
    found: Tensor = (x >> bits) & (2 ** (64 - bits) - 1)
    return found
