"""Encoders by name: a modality's input (B, *shape) becomes a feature (B, width)."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TypeAlias

import torch
from torch import Tensor, nn

from mimo_sim.datasets._data import Modality


class Encoder(nn.Module):
    """A network with a known output width, run in a lower precision where ``autocast`` names one; features are float32 always.

    Parameters
    ----------
    body : module (B, *shape) -> (B, width)
    width : int
    """

    autocast: torch.dtype | None = None

    def __init__(self, body: nn.Module, width: int) -> None:
        super().__init__()
        self.body = body
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, width), float32."""
        if self.autocast is None:
            return self.body(x)  # type: ignore[no-any-return]
        with torch.autocast(x.device.type, self.autocast):
            return self.body(x).float()  # type: ignore[no-any-return]


def _linear(shape: tuple[int, ...], width: int) -> Encoder:
    return Encoder(nn.Sequential(nn.Flatten(), nn.Linear(prod(shape), width, bias=False)), width)


def _mlp(shape: tuple[int, ...], width: int) -> Encoder:
    return Encoder(
        nn.Sequential(
            nn.Flatten(),
            nn.Linear(prod(shape), width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
        ),
        width,
    )


def _lenet(shape: tuple[int, ...], width: int) -> Encoder:
    if len(shape) != 3:
        raise ValueError(
            f"the encoder 'lenet' needs inputs (channels, height, width). Got shape {shape}."
        )
    channels, height, wide = shape
    stride = 2 if max(height, wide) > 56 else 1
    layers: list[nn.Module] = []
    for inside, out in ((channels, 8), (8, 16)):
        # The rectifier after the pooling gives the same function as before it, on a quarter of the numbers.
        layers += [
            nn.Conv2d(inside, out, 5, stride, padding=2),
            nn.BatchNorm2d(out),
            nn.MaxPool2d(2),
            nn.ReLU(),
        ]
        height, wide = (((side - 1) // stride + 1) // 2 for side in (height, wide))
    if not height * wide:
        raise ValueError(
            f"the encoder 'lenet' needs a height and width of at least 4. Got shape {shape}."
        )
    body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * height * wide, width), nn.ReLU())
    return Encoder(body.to(memory_format=torch.channels_last), width)  # type: ignore[call-overload]


class _ResNet(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        try:
            from transformers import ResNetConfig, ResNetModel
        except ImportError:
            raise ImportError(
                "the encoder 'resnet18' needs transformers: pip install 'mimo_sim[backbones]'"
            ) from None
        sizes = [64, 128, 256, 512]
        config = ResNetConfig(
            num_channels=channels,
            embedding_size=64,
            hidden_sizes=sizes,
            depths=[2, 2, 2, 2],
            layer_type="basic",
        )
        self.network = ResNetModel(config)

    def forward(self, x: Tensor) -> Tensor:
        frames = x.shape[2] if x.ndim == 5 else 1
        if x.ndim == 5:  # (B, C, T, H, W): every frame by itself, then the mean over frames
            x = x.transpose(1, 2).flatten(0, 1)
        pooled = self.network(x).pooler_output.flatten(1)
        return pooled.unflatten(0, (-1, frames)).mean(1) if frames > 1 else pooled  # type: ignore[no-any-return]


def _resnet18(shape: tuple[int, ...], width: int) -> Encoder:
    if len(shape) not in (3, 4):
        raise ValueError(
            f"the encoder 'resnet18' needs inputs (channels, height, width) or (channels, frames, height, width). Got shape {shape}."
        )
    return Encoder(_ResNet(shape[0]), 512)


Builder: TypeAlias = Callable[[tuple[int, ...], int], Encoder]
ENCODERS: dict[str, Builder] = {
    "linear": _linear,
    "mlp": _mlp,
    "lenet": _lenet,
    "resnet18": _resnet18,
}


def default_encoder(shape: tuple[int, ...]) -> str:
    """``mlp`` for vectors, ``lenet`` for pictures up to 128 x 128, ``resnet18`` for larger ones and for frames."""
    if len(shape) == 1:
        return "mlp"
    return "lenet" if len(shape) == 3 and max(shape[1:]) <= 128 else "resnet18"


def make_encoder(modality: Modality, name: str | None = None, width: int = 64) -> Encoder:
    """A fresh encoder for a modality.

    Parameters
    ----------
    modality : Modality
        Its ``shape`` (without the batch axis) sets the input size and, by default, the kind of encoder (:func:`default_encoder`).
    name : {"linear", "mlp", "lenet", "resnet18"} or None
        ``linear`` has no bias, like the encoders of the toy; ``lenet`` has two 5x5 convolutions with 8 and 16 channels, each with batch norm,
        2x2 max pooling and ReLU (stride 2 above 56 x 56), then a linear layer and ReLU; ``resnet18`` comes untrained from transformers.
    width : int
        Length of the feature; ``resnet18`` always gives 512.

    Raises
    ------
    ValueError
        For an unknown name or a shape the encoder cannot take.
    ImportError
        If ``resnet18`` is asked for without the extra ``mimo_sim[backbones]``.
    """
    name = name or default_encoder(modality.shape)
    if name not in ENCODERS:
        raise ValueError(f"`encoder` must be one of {tuple(ENCODERS)}. Got {name!r}.")
    return ENCODERS[name](modality.shape, width)
