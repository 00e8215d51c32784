"""What a run is made of: Lightning Fabric, the network with its start weights, optimizers."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn

from mimo_sim._checks import check_choice
from mimo_sim._extras import folder_of
from mimo_sim.datasets._data import Dataset
from mimo_sim.methods._evaluation import evaluation_mode
from mimo_sim.networks import get_network
from mimo_sim.networks._base import FusionNetwork
from mimo_sim.networks.encoders import Encoder, make_encoder
from mimo_sim.training._streams import stream
from mimo_sim.training.settings import Settings

if TYPE_CHECKING:
    from lightning_fabric import Fabric

OwnEncoder: TypeAlias = nn.Module | Callable[[], nn.Module]

LEAST_PROCESSES = 8  # may share a run on any machine; more only where there are as many cores

folder_of("lightning_fabric")  # that it is missing is said at once


def refuse_absent_device(settings: Settings) -> None:
    """Raise ``ValueError`` for an accelerator, or more devices, than this machine has."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    there["gpu"] = there["cuda"] or there["mps"]
    there["tpu"] = find_spec("torch_xla") is not None
    name = settings.accelerator
    if not there.get(name, True):
        raise ValueError(
            f"`accelerator` must be 'auto' or 'cpu' here, because torch finds no {name} device. "
            f"Got accelerator={name!r}."
        )
    most = max(LEAST_PROCESSES, os.cpu_count() or 1)
    what = "more processes do not fit its CPU cores"
    if name in ("auto", "cuda", "gpu") and there["cuda"]:
        what, most = "torch finds no more CUDA devices", torch.cuda.device_count()
    elif name == "mps" or (name in ("auto", "gpu") and there["mps"]):
        what, most = "there is one mps device", 1
    elif name == "tpu":
        return
    if settings.devices > most:
        raise ValueError(
            f"`devices` must be at most {most} on this machine: {what}. "
            f"Got devices={settings.devices}."
        )


def make_fabric(settings: Settings) -> Fabric:
    """Lightning Fabric for these settings, not yet launched.

    Raises
    ------
    ValueError
        For an accelerator that this machine does not have.
    """
    refuse_absent_device(settings)
    from lightning_fabric import Fabric  # takes 3 s: only a run pays them

    return Fabric(
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy="auto" if settings.devices == 1 else "ddp_spawn",
        precision=settings.precision,
    )


def make_encoders(
    shapes: Mapping[str, Sequence[int]], settings: Settings, own: Mapping[str, OwnEncoder] = {}
) -> list[Encoder]:
    """A fresh encoder for each modality, given by its name and the shape of one sample.

    Parameters
    ----------
    shapes : mapping
    settings : Settings
    own : mapping
        Modality -> a user's own module, which is copied, or a function that makes one.

    Raises
    ------
    ValueError, TypeError
        For an unknown encoder, one that cannot take its shape, or a wrong number of them.
    """
    names = settings.encoder_names(list(shapes))
    for modality in own:
        check_choice("encoders", modality, shapes)
    return [
        _own_encoder(modality, own[modality], shape)
        if modality in own
        else make_encoder(shape, name, settings.width)
        for (modality, shape), name in zip(shapes.items(), names, strict=True)
    ]


def _own_encoder(modality: str, own: OwnEncoder, shape: Sequence[int]) -> Encoder:
    """A user's module as an encoder; the length of its feature is found by trying it."""
    body = copy.deepcopy(own) if isinstance(own, nn.Module) else own()
    if not isinstance(body, nn.Module):
        raise TypeError(
            f"`encoders[{modality!r}]` must be a torch.nn.Module or a function that makes one. "
            f"Got {own!r:.80}."
        )
    body.cpu()
    with torch.no_grad(), evaluation_mode(body):
        try:
            feature = body(torch.zeros(2, *shape))
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise ValueError(
                f"`encoders[{modality!r}]` must take inputs (B, {', '.join(map(str, shape))}). "
                f"It says: {error}"
            ) from error
    if not isinstance(feature, Tensor) or feature.ndim != 2 or len(feature) != 2:
        found = tuple(feature.shape) if isinstance(feature, Tensor) else type(feature).__name__
        raise ValueError(
            f"`encoders[{modality!r}]` must give features (B, width). With B = 2 it gives {found}."
        )
    return Encoder(body, feature.shape[1])


def make_network(
    dataset: Dataset, settings: Settings, own: Mapping[str, OwnEncoder] = {}
) -> FusionNetwork:
    """The network for a data set; its start weights depend on the seed alone.

    The weights of modules in `own` are as the user made them.
    """
    shapes = {modality.name: modality.shape for modality in dataset.modalities}
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also seed every CUDA device
        torch.default_generator.manual_seed(stream(settings.seed, "weights"))
        encoders = make_encoders(shapes, settings, own)
        widths = [encoder.width for encoder in encoders]
        network = get_network(settings.fusion)(
            encoders,
            widths,
            dataset.num_outputs,
            shapes=list(shapes.values()),
            unimodal=settings.unimodal,
        )
    if settings.precision == "bf16-mixed":
        for encoder in encoders:
            encoder.autocast = torch.bfloat16
    return network


def make_optimizer(
    settings: Settings, modules: Sequence[nn.Module], epoch: int
) -> torch.optim.Optimizer:
    """A fresh optimizer over the parameters of these modules, at the learning rate of an epoch."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    rate, decay = settings.rate(epoch), settings.weight_decay
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=settings.momentum, weight_decay=decay)
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=rate, weight_decay=decay)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
