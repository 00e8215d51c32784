"""Intermediate fusion: gates between the stages of the encoders, each fed by all modalities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from mimo_sim.networks._base import FusionNetwork

Gating: TypeAlias = "Callable[[int, Gate, Sequence[Tensor]], Sequence[Tensor]]"
RATIO = 4  # all channels together over the length of the joint code


class Gate(nn.Module):
    """One MMTM block: the channels of every modality are scaled by what all modalities show.

    Parameters
    ----------
    channels : sequence of int
        Channels of every modality at this stage.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        joint = max(1, 2 * sum(channels) // RATIO)
        self.squeeze = nn.Linear(sum(channels), joint)
        self.excite = nn.ModuleList(nn.Linear(joint, each) for each in channels)

    def means(self, signals: Sequence[Tensor]) -> list[Tensor]:
        """The mean (B, channels[k]) of each channel of signals (B, channels[k], ...)."""
        return [x if x.ndim == 2 else x.flatten(2).mean(2) for x in signals]

    def values(self, means: Sequence[Tensor]) -> list[Tensor]:
        """Gates (B, channels[k]) in (0, 2) from the means of the channels."""
        code = self.squeeze(torch.cat(list(means), dim=1)).relu()
        return [2 * torch.sigmoid(excite(code)) for excite in self.excite]

    def forward(self, signals: Sequence[Tensor]) -> list[Tensor]:
        """Signals (B, channels[k], ...) of the same shapes."""
        return scaled(signals, self.values(self.means(signals)))


def scaled(signals: Sequence[Tensor], gates: Sequence[Tensor]) -> list[Tensor]:
    """Signals (B, channels[k], ...) times gates (B or 1, channels[k])."""
    return [
        x * gate.view(*gate.shape, *[1] * (x.ndim - 2))
        for x, gate in zip(signals, gates, strict=True)
    ]


class MMTM(FusionNetwork):
    r"""Gates after every stage of the encoders, then one linear layer on all features.

    A gate averages each channel over positions, joins all modalities in a short code, and scales
    the channels of modality k by :math:`2\,sigmoid(\cdot)` of it. Encoders that are sequences of
    layers are cut behind each activation. The one with fewest stages says how many gates there are;
    the first stages of the others are taken together.

    Features mix the modalities here. So methods that run an encoder by itself are refused, and a
    linear probe of a feature says what it holds of the target, not from which modality.

    Notes
    -----
    Source: Joze et al. (CVPR 2020).
    """

    name: ClassVar[str] = "mmtm"
    about: ClassVar[str] = "gates between the stages of the encoders (CVPR 2020)"
    separate: ClassVar[bool] = False
    gated: ClassVar[bool] = True

    def build(self) -> None:
        """The gates and the joint head."""
        cut = [stages(encoder) for encoder in self.encoders]
        depth = min(map(len, cut))
        self.depth = depth
        blank = [torch.zeros(2, *shape) for shape in self.shapes]
        self.gates = nn.ModuleList()
        self.encoders.eval()  # batch norms learn nothing from the blank inputs
        with torch.no_grad():
            for parts in zip(*(merged(each, depth) for each in cut), strict=True):
                blank = [part(x) for part, x in zip(parts, blank, strict=True)]
                self.gates.append(Gate([x.shape[1] for x in blank]))
        self.encoders.train()
        self.head = nn.Linear(sum(self.widths), self.num_outputs)

    def features(self, inputs: Sequence[Tensor], gating: Gating | None = None) -> list[Tensor]:
        """Features h_k (B, d_k) after the last gate.

        Parameters
        ----------
        inputs : K tensors (B, *shape_k)
        gating : function, optional
            Says what the gates are, instead of the network: it gets the number of a gate, the
            :class:`Gate` and the signals (B, channels[k], ...) before it, and returns K tensors
            (B or 1, channels[k]).
        """
        cut = [merged(stages(encoder), self.depth) for encoder in self.encoders]
        signals = list(inputs)
        for number, (gate, *parts) in enumerate(zip(self.gates, *cut, strict=True)):
            for k, part in enumerate(parts):
                lower = getattr(self.encoders[k], "autocast", None)
                device = signals[k].device.type
                with nullcontext() if lower is None else torch.autocast(device, lower):
                    signals[k] = part(signals[k])
                signals[k] = signals[k].float()
            if gating is None:
                signals = gate(signals)
            else:
                signals = scaled(signals, gating(number, gate, signals))
        return signals

    def fuse(self, features: Sequence[Tensor]) -> Tensor:
        """Joint logits z (B, C)."""
        return self.head(torch.cat(list(features), dim=1))  # type: ignore[no-any-return]


def stages(encoder: nn.Module) -> list[nn.Module]:
    """An encoder cut behind each ReLU of its outermost sequence; whole where there is none."""
    body = getattr(encoder, "body", encoder)
    if not isinstance(body, nn.Sequential):
        return [body]
    layers = [
        part for child in body for part in (child if isinstance(child, nn.Sequential) else [child])
    ]
    found: list[list[nn.Module]] = [[]]
    for layer in layers:
        found[-1].append(layer)
        if isinstance(layer, nn.ReLU):
            found.append([])
    if not found[-1]:
        found.pop()
    return [nn.Sequential(*each) for each in found]


def merged(parts: Sequence[nn.Module], depth: int) -> list[nn.Module]:
    """As many stages as `depth`, the surplus taken into the first one."""
    surplus = len(parts) - depth
    return [nn.Sequential(*parts[: surplus + 1]), *parts[surplus + 1 :]]
