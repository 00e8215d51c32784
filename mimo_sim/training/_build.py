"""What a run is made of: Lightning Fabric, the network with its start weights, optimizers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from lightning_fabric import Fabric
from torch import nn

from mimo_sim.datasets._data import Dataset
from mimo_sim.networks.encoders import make_encoder
from mimo_sim.networks.late import LateFusion
from mimo_sim.training._streams import stream
from mimo_sim.training.settings import Settings


def make_fabric(settings: Settings) -> Fabric:
    """Lightning Fabric for these settings, not yet launched."""
    return Fabric(
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy="auto" if settings.devices == 1 else "ddp_spawn",
        precision=settings.precision,
    )


def make_network(dataset: Dataset, settings: Settings) -> LateFusion:
    """The network for a data set; its start weights depend on the seed alone."""
    names = settings.encoder_names([modality.name for modality in dataset.modalities])
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also seed every CUDA device
        torch.default_generator.manual_seed(stream(settings.seed, "weights"))
        encoders = [
            make_encoder(modality.shape, name, settings.width)
            for modality, name in zip(dataset.modalities, names, strict=True)
        ]
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
