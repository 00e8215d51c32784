"""ResNet-18 for large pictures and for frames of a video: the default for both."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from mimo_sim._extras import explained
from mimo_sim.networks.encoders._base import Encoder
from mimo_sim.networks.encoders._frames import frame_mean

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
        return frame_mean(self._features, x)

    def _features(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.network(x).pooler_output
        return pooled.flatten(1)


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
