"""What the trainer costs over a loop written by hand: `python -m benchmarks.training`.

Epochs of both alternate in one run, so that both see the same machine.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

from mimo_sim.datasets import Dataset, Modality, Split
from mimo_sim.methods.vanilla import Vanilla
from mimo_sim.networks import make_encoder
from mimo_sim.training import Settings, TrainingRun

RATE = 1e-9  # random bytes teach nothing; the work of a step is the same
SAMPLES, BATCH, ROUNDS = 256, 64, 40  # short epochs: neighbours in time see the same machine
# Small networks show overhead. These inputs are the smallest of the benchmark: AV-MNIST's pictures
# and spectrograms, stored as bytes.
MODALITIES = (
    Modality("image", (1, 28, 28), scale=1 / 255, mean=0.13, std=0.31),
    Modality("audio", (1, 112, 112), scale=1 / 255, mean=0.68, std=0.13),
)


def bytes_like_avmnist() -> Dataset:
    generator = torch.Generator().manual_seed(0)

    def split(n: int) -> Split:
        return Split(
            tuple(
                torch.randint(256, (n, *m.shape), dtype=torch.uint8, generator=generator)
                for m in MODALITIES
            ),
            torch.arange(n) % 10,
        )

    return Dataset(
        "bytes", MODALITIES, split(SAMPLES), split(64), split(64), classes=tuple("0123456789")
    )


def by_hand(data: Dataset, encoder: str) -> Callable[[], None]:
    """An epoch as a careful user would write it for these two inputs."""
    encoders = nn.ModuleList(make_encoder(m.shape, encoder) for m in data.modalities)
    fusion = nn.Linear(128, 10)
    optimizer = torch.optim.SGD(
        [*encoders.parameters(), *fusion.parameters()], lr=RATE, momentum=0.9, weight_decay=1e-4
    )
    image, audio, target = *data.train.inputs, data.train.target

    def epoch() -> None:
        total = torch.zeros(())
        for index in torch.split(torch.randperm(SAMPLES), BATCH):
            x = (image.index_select(0, index).float() * (1 / 255) - 0.13) / 0.31
            y = (audio.index_select(0, index).float() * (1 / 255) - 0.68) / 0.13
            loss = nn.functional.cross_entropy(
                fusion(torch.cat([encoders[0](x), encoders[1](y)], 1)),
                target.index_select(0, index),
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.detach()
        float(total)

    return epoch


def by_trainer(data: Dataset, encoder: str) -> Callable[[], None]:
    """The steps of one epoch of the trainer, with its sums for the table.

    Validation, between epochs, is left out: it has no counterpart by hand.
    """
    run = TrainingRun(Vanilla(), data, Settings(1, accelerator="cpu", lr=RATE, encoder=encoder))
    run.method.setup(run)
    run.optimizer = run.new_optimizer([run.model, run.method])

    def epoch() -> None:
        run.train_epoch(0)

    return epoch


def measure(
    encoder: str, clock: Callable[[], float] = time.process_time
) -> dict[str, float | list[float]]:
    """Process time in ms per step, and what the trainer takes more, as a share.

    The share is measured twice: on the fastest epochs, which other programs disturb least, and on
    neighbouring epochs (its quartiles).
    """
    torch.set_num_threads(1)
    data = bytes_like_avmnist()
    epochs = {"by_hand": by_hand(data, encoder), "trainer": by_trainer(data, encoder)}
    times: dict[str, list[float]] = {name: [] for name in epochs}
    for round_ in range(ROUNDS + 1):
        for name, epoch in epochs.items() if round_ % 2 else reversed(epochs.items()):
            start = clock()
            epoch()
            if round_:  # the first warms up
                times[name].append(clock() - start)
    steps = SAMPLES // BATCH
    ratios = [b / a for a, b in zip(times["by_hand"], times["trainer"], strict=True)]
    found: dict[str, float | list[float]] = {
        f"{name}_ms_per_step": 1000 * min(values) / steps for name, values in times.items()
    }
    return found | {
        "excess_of_fastest": min(times["trainer"]) / min(times["by_hand"]) - 1,
        "excess_quartiles": [q - 1 for q in statistics.quantiles(ratios)],
    }


if __name__ == "__main__":
    json.dump({encoder: measure(encoder) for encoder in ("lenet", "linear")}, sys.stdout, indent=2)
    print()
