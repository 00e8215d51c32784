"""How to train, apart from method and data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from mimo_sim._checks import check_choice, check_count, check_flag, check_positive, did_you_mean
from mimo_sim.networks import encoders, get_network
from mimo_sim.networks._base import Unimodal
from mimo_sim.networks.encoders._pretrained import PREFIX, checksum

OptimizerName = Literal["sgd", "adam", "adamw"]
Schedule = Literal["step", "cosine", "constant"]
Precision = Literal["32-true", "bf16-mixed"]
Select = Literal["last", "best"]
Augment = Literal["none", "clip", "frame"]

NEWER = {  # without them, older records say the same
    "fusion": "late",
    "unimodal": "heads",
    "augment": "none",
    "masks": None,
}
COUNTS = {"epochs": 1, "batch_size": 1, "seed": 0, "devices": 1, "width": 1, "probe_every": 0}
ACCELERATORS = ("auto", "cpu", "cuda", "gpu", "mps", "tpu")
CHOICES = {
    "accelerator": ACCELERATORS,
    "optimizer": get_args(OptimizerName),
    "schedule": get_args(Schedule),
    "precision": get_args(Precision),
    "select": get_args(Select),
    "unimodal": get_args(Unimodal),
    "augment": get_args(Augment),
}


@dataclass(frozen=True)
class Settings:
    """How to train, apart from method and data.

    Parameters
    ----------
    epochs : int
        Passes over the train split, >= 1.
    batch_size : int
        Samples per step, over all processes together.
    lr, momentum, weight_decay : float
        Of the optimizer. Only ``sgd`` uses ``momentum``, which lies in [0, 1).
    optimizer : {"sgd", "adam", "adamw"}
    schedule : {"step", "cosine", "constant"}
        Learning rate over the epochs. ``"step"``: x 0.1 after 70 % of them. ``"cosine"``: half a
        cosine, down to zero.
    seed : int
        Of the start weights, the order of samples, and the method's random draws.
    devices, accelerator, precision
        As in Lightning Fabric. Several devices are several processes that average gradients.
        ``bf16-mixed`` runs the encoders in bfloat16.
    encoder : str, mapping or None
        A name for all modalities (:func:`mimo_sim.networks.make_encoder`); one name for each,
        joined by commas; or names by modality, ``{"sound": "gru"}`` or ``"sound=gru"``. None, and a
        modality that is not named, choose by the shape of the input. ``pretrained:FOLDER`` has the
        weights of a local folder; records have their checksum.
    width : int
        Feature length of every encoder.
    fusion : str
        How features are joined: a name of :func:`mimo_sim.networks.available`.
    unimodal : {"heads", "masked"}
        What the uni-modal objectives are measured on. ``"heads"``: a linear head on each encoder.
        ``"masked"``: the joint output where the other modalities are absent.
    augment : {"none", "clip", "frame"}
        Crop and flip colour pictures (3, H, W) and videos (3, T, H, W) at random in training: the
        frames of a video all alike, or each by itself. Other inputs stay as they are.
    masks : str or None
        Modalities, joined by commas, that are spectrograms (1, frequency, time): bands of
        frequency and of time are hidden at random in training.
    select : {"last", "best"}
        Keep the last epoch, or the first of those with the best validation accuracy (regression:
        the lowest validation loss).
    probes : bool
        Fit linear probes at the end.
    probe_every : int
        Also fit them after every so many epochs, and judge them on validation; 0 is never.

    Raises
    ------
    ValueError, TypeError
        For a value outside its range.
    """

    epochs: int
    batch_size: int = 64
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-4
    optimizer: OptimizerName = "sgd"
    schedule: Schedule = "step"
    seed: int = 0
    devices: int = 1
    accelerator: str = "auto"
    precision: Precision = "32-true"
    encoder: str | Mapping[str, str] | None = None
    width: int = 64
    fusion: str = "late"
    unimodal: Unimodal = "heads"
    augment: Augment = "none"
    masks: str | None = None
    select: Select = "last"
    probes: bool = True
    probe_every: int = 0

    def __post_init__(self) -> None:
        for name, least in COUNTS.items():
            object.__setattr__(self, name, check_count(name, getattr(self, name), least))
        check_positive("lr", self.lr)
        check_positive("weight_decay", self.weight_decay, allow_zero=True)
        check_positive("momentum", self.momentum, allow_zero=True)
        if self.momentum >= 1:
            raise ValueError(f"`momentum` must be in [0, 1). Got momentum={self.momentum!r}.")
        for name, allowed in CHOICES.items():
            check_choice(name, getattr(self, name), allowed)
        check_flag("probes", self.probes)
        get_network(self.fusion)
        if isinstance(self.encoder, Mapping):
            pairs = [f"{modality}={name}" for modality, name in self.encoder.items()]
            object.__setattr__(self, "encoder", ",".join(pairs) or None)
        if self.encoder is not None and not isinstance(self.encoder, str):
            raise TypeError(
                "`encoder` must be a name, names joined by commas, names by modality, or None. "
                f"Got encoder={self.encoder!r}."
            )
        for _, name in self._encoders():
            if name:  # an empty one chooses by shape
                encoders.get(name)
        if self.masks is not None and not isinstance(self.masks, str):
            raise TypeError(
                f"`masks` must be names of modalities joined by commas. Got masks={self.masks!r}."
            )
        if self.batch_size % self.devices:
            raise ValueError(
                "`batch_size` must be a multiple of `devices`. "
                f"Got batch_size={self.batch_size}, devices={self.devices}."
            )

    @classmethod
    def of(cls, **given: Any) -> Settings:
        """Settings by name. An unknown name is refused with a hint.

        Raises
        ------
        TypeError
            For a name that is no field.
        """
        names = [each.name for each in fields(cls)]
        for name in given:
            if name not in names:
                raise TypeError(
                    f"`{name}` is no setting. There are {', '.join(names)}."
                    f"{did_you_mean(name, names)}"
                )
        return cls(**given)

    def described(self) -> dict[str, Any]:
        """All fields, as a record has them; those that are newer than 0.3.0 where they matter."""
        every = asdict(self)
        weights = {
            name: checksum(name.removeprefix(PREFIX))
            for _, name in self._encoders()
            if name.startswith(PREFIX)
        }
        return ({"pretrained": weights} if weights else {}) | {
            name: value
            for name, value in every.items()
            if name not in NEWER or value != NEWER[name]
        }

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0."""
        if self.schedule == "step":
            factor = 0.1 if epoch >= 0.7 * self.epochs else 1.0
        elif self.schedule == "cosine":
            factor = 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))
        else:
            factor = 1.0
        return self.lr * factor

    def _encoders(self) -> list[tuple[str, str]]:
        """The names in ``encoder``, each with its modality; without one where none is given."""
        parts = [part.rpartition("=") for part in str(self.encoder or "").split(",")]
        return [(modality.strip(), name.strip()) for modality, _, name in parts]

    def encoder_names(self, modalities: Sequence[str]) -> list[str | None]:
        """The encoder's name for each of these modalities; None chooses by shape.

        Raises
        ------
        ValueError
            If ``encoder`` has neither one name, nor one for each modality, nor names by modality.
        """
        if not self.encoder:
            return [None] * len(modalities)
        pairs = self._encoders()
        if all(modality for modality, _ in pairs):
            for modality, _ in pairs:
                check_choice("encoder", modality, modalities)
            if len(dict(pairs)) < len(pairs):
                raise ValueError(f"`encoder` names a modality twice. Got {self.encoder!r}.")
            return [dict(pairs).get(modality) for modality in modalities]
        names: list[str | None] = [name for modality, name in pairs if not modality]
        if len(pairs) == len(names) == 1:
            return names * len(modalities)
        if not len(pairs) == len(names) == len(modalities):
            raise ValueError(
                "`encoder` must name one encoder, one for each of "
                f"{list(modalities)}, or some by modality. Got {self.encoder!r}."
            )
        return names
