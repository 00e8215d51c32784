"""Encoders by name, one module each; a new module with an ``Encoder`` in it is found by itself.

>>> from mimo_sim.networks import encoders
>>> "mlp" in encoders.available()
True
>>> encoders.default_encoder((1, 28, 28))
'lenet'
>>> encoders.make_encoder((40,), width=8).width
8
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from types import ModuleType
from typing import TypeAlias

from mimo_sim import _registry as registry
from mimo_sim._checks import check_count, did_you_mean
from mimo_sim.networks.encoders._base import Encoder
from mimo_sim.networks.encoders._pretrained import PREFIX, Pretrained, refuse_unsafe

__all__ = ["Encoder", "available", "default_encoder", "get", "make_encoder"]

Builder: TypeAlias = Callable[[tuple[int, ...], int], Encoder]  # of a shape and a width
LARGEST_FOR_LENET = 128  # pixels
LARGEST_FOR_FRAMES = 56  # pixels


def _encoders(module: ModuleType) -> Iterator[tuple[str, Builder]]:
    """The encoders that a module defines, by name."""
    for value in vars(module).values():
        is_encoder = inspect.isclass(value) and issubclass(value, Encoder)
        if is_encoder and value.name and value.__module__ == module.__name__:
            yield value.name, value


@cache
def _registry() -> dict[str, Builder]:
    return registry.scan(
        __name__,
        __path__,
        _encoders,
        one="the encoder",
        several="encoders",
        remedy=": set `name` in the class.",
        group="mimo_sim.encoders",
    )


def available() -> tuple[str, ...]:
    """Names of all encoders, sorted."""
    return tuple(sorted(_registry()))


def get(name: str) -> Builder:
    """The encoder of a name: called with a shape and a width it makes a fresh one.

    ``pretrained:FOLDER`` has the weights of a folder that transformers wrote.

    Raises
    ------
    ValueError
        If there is no such encoder, or the folder is not safe to load.
    """
    if name.startswith(PREFIX):
        folder = name.removeprefix(PREFIX)
        refuse_unsafe(folder)
        return lambda shape, width: Pretrained(folder, shape)
    if name not in available():
        raise ValueError(
            f"`encoder` must be one of {available()} or {PREFIX}FOLDER. Got {name!r}."
            f"{did_you_mean(name, available())}"
        )
    return _registry()[name]


def default_encoder(shape: Sequence[int]) -> str:
    """The encoder for a shape (without the batch axis) when none is named.

    ``mlp`` for vectors, ``gru`` for sequences (steps, numbers), ``lenet`` for pictures up to
    128 x 128, ``frames`` for videos of pictures up to 56 x 56, ``resnet18`` for what is larger.
    """
    if len(shape) == 1:
        return "mlp"
    if len(shape) == 2:
        return "gru"
    if len(shape) == 3 and max(shape[1:]) <= LARGEST_FOR_LENET:
        return "lenet"
    if len(shape) == 4 and max(shape[2:]) <= LARGEST_FOR_FRAMES:
        return "frames"
    return "resnet18"


def make_encoder(shape: Sequence[int], name: str | None = None, width: int = 64) -> Encoder:
    """A fresh encoder for inputs of a shape.

    Parameters
    ----------
    shape : tuple of int
        Of one input, without the batch axis.
    name : str or None
        One of :func:`available`, or ``pretrained:FOLDER`` for a model of transformers in a local
        folder. None chooses by the shape (:func:`default_encoder`).
    width : int
        Length of the feature, >= 1; ``resnet18`` always gives 512, and a
        pre-trained model what it was made with.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, a bad width, or a shape that the encoder cannot take.
    ImportError
        If ``resnet18`` or a pre-trained model is asked for without the extra
        ``mimo_sim[backbones]``.
    """
    if not isinstance(shape, Sequence) or not shape:
        raise TypeError(f"`shape` must be a tuple of integers. Got shape={shape!r}.")
    sides = tuple(check_count("shape", side) for side in shape)
    return get(name or default_encoder(sides))(sides, check_count("width", width))
