"""ResNet-18 for large pictures and for frames of a video: the default for both."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from mimo_sim._extras import explained
from mimo_sim.networks.encoders._base import Encoder

WIDTH = 512  # of the last block


class _FrameMean(nn.Module):
    """ResNet-18 without its classifier, on every frame by itself; then the mean over frames."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        with explained():
            from transformers import ResNetConfig, ResNetModel
        config = ResNetConfig(
            num_channels=channels,
            embedding_size=64,
            hidden_sizes=[64, 128, 256, WIDTH],
            depths=[2, 2, 2, 2],
            layer_type="basic",
        )
        self.network = ResNetModel(config)

    def forward(self, x: Tensor) -> Tensor:
        frames = x.shape[2] if x.ndim == 5 else 1
        if x.ndim == 5:  # (B, C, T, H, W) -> (B T, C, H, W)
            x = x.transpose(1, 2).flatten(0, 1)
        pooled: Tensor = self.network(x).pooler_output.flatten(1)
        if frames == 1:
            return pooled
        by_frame: Tensor = pooled.unflatten(0, (-1, frames))  # type: ignore[no-untyped-call]
        return by_frame.mean(1)


class ResNet18(Encoder):
    """ResNet-18, untrained, from transformers. Its width is 512, whatever is asked for."""

    name: ClassVar[str] = "resnet18"

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        if len(shape) not in (3, 4):
            raise ValueError(
                "the encoder 'resnet18' needs inputs (channels, height, width) or "
                f"(channels, frames, height, width). Got shape {shape}."
            )
        super().__init__(_FrameMean(shape[0]), WIDTH)
