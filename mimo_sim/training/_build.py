"""What a run is made of: Lightning Fabric, the network with its start weights, optimizers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import nn

from mimo_sim._extras import folder_of
from mimo_sim.datasets._data import Dataset
from mimo_sim.networks.encoders import Encoder, make_encoder
from mimo_sim.networks.late import LateFusion
from mimo_sim.training._streams import stream
from mimo_sim.training.settings import Settings

if TYPE_CHECKING:
    from lightning_fabric import Fabric


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


def make_encoders(shapes: Mapping[str, Sequence[int]], settings: Settings) -> list[Encoder]:
    """A fresh encoder for each modality, given by its name and the shape of one sample.

    Raises
    ------
    ValueError
        For an unknown encoder, one that cannot take its shape, or a wrong number of them.
    """
    names = settings.encoder_names(list(shapes))
    return [
        make_encoder(shape, name, settings.width)
        for shape, name in zip(shapes.values(), names, strict=True)
    ]


def make_network(dataset: Dataset, settings: Settings) -> LateFusion:
    """The network for a data set; its start weights depend on the seed alone."""
    shapes = {modality.name: modality.shape for modality in dataset.modalities}
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also seed every CUDA device
        torch.default_generator.manual_seed(stream(settings.seed, "weights"))
        encoders = make_encoders(shapes, settings)
        widths = [encoder.width for encoder in encoders]
        network = LateFusion(encoders, widths, dataset.num_outputs)
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
