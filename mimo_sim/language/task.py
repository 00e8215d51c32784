"""The task: a spoken and a written digit, and the sum of both in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mimo_sim import datasets
from mimo_sim.datasets._data import Dataset, Split, prepare

MODALITIES = ("sound", "picture")
POOL = 4  # windows and frequencies of a spectrogram that become one number
CHUNK = 512  # samples whose whole spectrograms are in memory at once
BEST_ALONE = math.log(10)
"""Least loss of an answer, in nats, that is possible with one digit: ten sums are as likely."""


@dataclass(frozen=True)
class Sums:
    """n pairs of digits.

    Attributes
    ----------
    inputs : list of two tensors
        Sounds (n, 1, 28, 28), spectrograms, and pictures (n, 1, 28, 28).
    digits : Tensor (n, 2) of int
        The spoken and the written digit.
    """

    inputs: list[Tensor]
    digits: Tensor

    def __len__(self) -> int:
        return len(self.digits)

    @property
    def totals(self) -> Tensor:
        """The sums (n,), 0 to 18."""
        return self.digits.sum(1)

    def take(self, index: Tensor) -> Sums:
        """The pairs at these places."""
        return Sums([x[index] for x in self.inputs], self.digits[index])

    def to(self, device: torch.device) -> Sums:
        """The same on a device."""
        return Sums([x.to(device) for x in self.inputs], self.digits.to(device))


def paired_anew(dataset: Dataset, split: Split, generator: torch.Generator) -> Sums:
    """A split of AV-MNIST in which sounds and pictures belong together no longer.

    AV-MNIST pairs a picture and a sound of the same digit. Here the sounds change places, so that
    each digit says nothing about the other. Spectrograms are averaged over squares of 4 x 4.
    """
    names = [modality.name for modality in dataset.modalities]
    picture, sound = names.index("image"), names.index("audio")
    order = torch.randperm(len(split), generator=generator)
    found = []
    for part in torch.split(torch.arange(len(split)), CHUNK):
        inputs = prepare(dataset.modalities, [x[part] for x in split.inputs])
        found.append((F.avg_pool2d(inputs[sound], POOL), inputs[picture]))
    sounds, pictures = (torch.cat(pieces) for pieces in zip(*found, strict=True))
    return Sums([sounds[order], pictures], torch.stack([split.target[order], split.target], dim=1))


def load_sums(root: str | Path | None = None, seed: int = 0, **settings: Any) -> dict[str, Sums]:
    """The splits ``"train"``, ``"validation"`` and ``"test"``.

    Parameters
    ----------
    root : path, optional
        Raw files of AV-MNIST, as in :func:`mimo_sim.datasets.load`.
    seed : int
        Of AV-MNIST, and of the new pairs.
    **settings
        Of AV-MNIST. By default it is setting C: whole pictures, and speech 6 dB below the noise.
    """
    settings = {"setting": "C"} | settings
    dataset = datasets.load("avmnist", root, seed=seed, **settings)
    generator = torch.Generator().manual_seed(seed)
    return {
        name: paired_anew(dataset, getattr(dataset, name), generator)
        for name in ("train", "validation", "test")
    }
