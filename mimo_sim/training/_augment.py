"""Random crops and flips of colour pictures, and masks in spectrograms, for a batch on the device.

What happens to a sample is drawn from the seed, the epoch, the pass and the sample's place in the
split: not from a generator that moves on. So it depends neither on the size of batches nor on who
reads them, and a resumed run draws what it would have drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from mimo_sim._checks import check_choice
from mimo_sim.training._streams import stream

COLOURS = 3
AREA = (0.08, 1.0)  # of the crop, as a share of the picture
ASPECT = (3 / 4, 4 / 3)  # of the crop: its width over its height
DRAWS = 5  # area, aspect, two places, flip
MASKS = 2  # of each kind in a spectrogram
SHARES = (27 / 80, 0.2)  # the most that one mask hides: of the frequencies, of the time
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


def masked_places(masks: str | None, shapes: Mapping[str, Sequence[int]]) -> list[int]:
    """Which inputs get masks.

    Parameters
    ----------
    masks : str or None
        Names of modalities, joined by commas; None for none.
    shapes : mapping
        Modality -> shape of one input.

    Raises
    ------
    ValueError
        For another name, or a modality that is no spectrogram (1, frequency, time).
    """
    names = list(shapes)
    places = []
    for name in (word.strip() for word in (masks or "").split(",")):
        if not masks:
            break
        check_choice("masks", name, names)
        shape = tuple(shapes[name])
        if len(shape) != 3 or shape[0] != 1:
            raise ValueError(
                "`masks` must name modalities that are spectrograms (1, frequency, time). "
                f"Got {name!r} with the shape {shape}."
            )
        places.append(names.index(name))
    return places


def masked(
    inputs: Sequence[Tensor], index: Tensor, places: Sequence[int], seed: int, epoch: int, draw: int
) -> list[Tensor]:
    """The inputs of a batch, some spectrograms with hidden bands (SpecAugment, Park et al. 2019).

    Two bands of frequencies, each 0 to 27/80 of them wide, and two of time, each 0 to 1/5 of it,
    become the mean of the spectrogram. Widths and places are uniform. The paper hides so many
    frequencies (27 of 80) and, in its mildest policies, such a share of the time; it stretches
    the time too, which is left out here.

    Parameters
    ----------
    inputs : K tensors (B, *shape_k)
    index : Tensor (B,)
        Places of the samples in the train split.
    places : sequence of int
        Which inputs; they are (B, 1, frequency, time).
    seed, epoch, draw : int
    """
    found = list(inputs)
    for k in places:
        x = inputs[k]
        base = stream(seed, f"mask {k}", epoch, draw)
        numbers = uniform(base, index, 4 * MASKS).view(len(index), 2, MASKS, 2)
        rows = _bands(numbers[:, 0], x.shape[2], SHARES[0])[:, None, :, None]
        columns = _bands(numbers[:, 1], x.shape[3], SHARES[1])[:, None, None, :]
        found[k] = torch.where(rows | columns, x.mean((1, 2, 3), keepdim=True), x)
    return found


def _bands(numbers: Tensor, size: int, share: float) -> Tensor:
    """Which of `size` places lie in a band (B, size), from B x bands x 2 numbers in [0, 1)."""
    width = (numbers[..., 0] * (int(share * size) + 1)).floor()
    start = (numbers[..., 1] * (size - width + 1)).floor()
    place = torch.arange(size, device=numbers.device)
    inside = (place >= start[..., None]) & (place < (start + width)[..., None])
    return inside.any(1)


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
