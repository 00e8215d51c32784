"""What every fusion network is: an encoder per modality, a fusion, and a uni-modal head each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from mimo_sim._checks import check_choice

Unimodal: TypeAlias = Literal["heads", "masked"]


class FusionNetwork(nn.Module, ABC):
    r"""Joint outputs z from features h_k = encoder_k(x_k), and uni-modal outputs v_k.

    B is the number of samples in a batch. To add a network, write a subclass with a ``name`` in a
    new module of :mod:`mimo_sim.networks`; it is then found by itself. It makes its layers in
    :meth:`build` and joins the features in :meth:`fuse`.

    Parameters
    ----------
    encoders : sequence of modules (B, *shape_k) -> (B, widths[k])
    widths : sequence of int
        Feature lengths d_k.
    num_outputs : int
        Classes C or target dimension m.
    shapes : sequence of tuples, optional
        Shapes of one input, without the batch axis. Networks that look inside encoders need them.
    unimodal : {"heads", "masked"}
        Where the uni-modal outputs come from. ``"heads"``: v_k = h_k V_k^T + c_k, heads that are
        used in training only. ``"masked"``: the joint output where the other modalities are absent.

    Attributes
    ----------
    linear : bool
        z is a sum of one linear map for each feature. Then :meth:`sliced` is defined.
    separate : bool
        A feature depends on its own modality alone.
    gated : bool
        There are gates between the encoders, which `features` takes from outside where asked
        (:class:`mimo_sim.networks.mmtm.MMTM`).
    queried : bool
        A class token asks for the tokens of all modalities, and `fuse` turns its query where asked
        (:class:`mimo_sim.networks.attention.AttentionFusion`).
    """

    name: ClassVar[str] = ""
    about: ClassVar[str] = ""
    linear: ClassVar[bool] = False
    separate: ClassVar[bool] = True
    gated: ClassVar[bool] = False
    queried: ClassVar[bool] = False
    fusion: nn.Linear  # where `linear`

    def __init__(
        self,
        encoders: Sequence[nn.Module],
        widths: Sequence[int],
        num_outputs: int,
        *,
        shapes: Sequence[Sequence[int]] = (),
        unimodal: Unimodal = "heads",
    ) -> None:
        super().__init__()
        check_choice("unimodal", unimodal, get_args(Unimodal))
        if unimodal == "masked" and not self.separate:
            raise ValueError(
                f"`unimodal` must be 'heads' in the fusion network {self.name!r}: its features mix "
                f"the modalities, so none can be masked. Got {unimodal!r}."
            )
        self.encoders = nn.ModuleList(encoders)
        self.widths = tuple(widths)
        self.num_outputs = num_outputs
        self.shapes = tuple(map(tuple, shapes))
        self.unimodal = unimodal
        self.build()
        # Made last, from a random state of their own: they do not change the other start weights.
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would also seed every CUDA device
            torch.default_generator.manual_seed(torch.initial_seed() + 1)
            self.heads = nn.ModuleList(nn.Linear(width, num_outputs) for width in widths)

    @abstractmethod
    def build(self) -> None:
        """Make the layers of the fusion."""

    @abstractmethod
    def fuse(self, features: Sequence[Tensor]) -> Tensor:
        """Joint outputs z (B, C). A modality with a zero feature is absent."""

    @property
    def num_modalities(self) -> int:
        """K."""
        return len(self.encoders)

    def features(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Features h_k (B, d_k) of every modality."""
        return [encoder(x) for encoder, x in zip(self.encoders, inputs, strict=True)]

    def only(self, features: Sequence[Tensor], k: int) -> Tensor:
        """Joint outputs (B, C) where all modalities but k are absent."""
        return self.fuse([h if j == k else torch.zeros_like(h) for j, h in enumerate(features)])

    def alone(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Joint outputs u_k (B, C) where only modality k is there, for every k."""
        return [self.only(features, k) for k in range(self.num_modalities)]

    def weight_blocks(self) -> tuple[Tensor, ...]:
        """The fusion weights W_k (C, d_k) of every modality; only of a linear fusion."""
        self._refuse_slices()
        return torch.split(self.fusion.weight, list(self.widths), dim=1)

    def sliced(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Sliced logits a_k = h_k W_k^T + b / K (B, C), which add up to z; of a linear fusion."""
        self._refuse_slices()
        share = self.fusion.bias / self.num_modalities
        return [
            nn.functional.linear(feature, block, share)
            for feature, block in zip(features, self.weight_blocks(), strict=True)
        ]

    def _refuse_slices(self) -> None:
        if not self.linear:
            raise TypeError(f"the fusion {self.name!r} is no sum over modalities.")

    def head_logits(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Uni-modal outputs v_k (B, C)."""
        if self.unimodal == "masked":
            return self.alone(features)
        return [head(feature) for head, feature in zip(self.heads, features, strict=True)]

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Joint outputs z (B, C)."""
        return self.fuse(self.features(inputs))
