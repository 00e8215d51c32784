"""Small data and short runs for the tests of methods.

There are two ways to a run: by a method's name with its hyper-parameters (`started`, `fitted`), and
by a method object with the settings of the run (`set_up`, `trained`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from mimo_sim import methods
from mimo_sim.datasets._data import Dataset, Modality, Split
from mimo_sim.methods import Method
from mimo_sim.methods._step import Batch
from mimo_sim.training import Settings, TrainingRun

entries = st.floats(-10, 10).map(lambda value: round(value, 3))  # no squares that underflow


class StopError(Exception):
    """Stops a run in the middle."""


# ---------------------------------------------------------------------------- data


def images_and_vectors(
    k: int = 2, n: int = 48, seed: int = 0, task: str = "classification"
) -> Dataset:
    """K modalities in which three classes show: a small image, then vectors."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(1, 8, 8), (6,), (5,)][:k]
    target = torch.arange(3 * n) % 3
    columns = []
    for shape in shapes:
        noise = torch.randn(3 * n, *shape, generator=generator)
        columns.append(noise + target.float().view(-1, *[1] * len(shape)))
    classes = task == "classification"
    wanted = target if classes else nn.functional.one_hot(target).float()
    parts = [torch.split(x, n) for x in (*columns, wanted)]
    train, validation, test = (Split(tuple(p[:-1]), p[-1]) for p in zip(*parts, strict=True))
    return Dataset(
        "small",
        tuple(Modality(f"m{i}", shape) for i, shape in enumerate(shapes)),
        train,
        validation,
        test,
        task,  # type: ignore[arg-type]
        ("a", "b", "c") if classes else (),
    )


def noisy_means(
    modalities: int = 2, shape: tuple[int, ...] = (6,), noise: float = 0.7, classes: int = 3
) -> Dataset:
    """Class means plus noise, the first modality clearer than the others."""
    rng = np.random.default_rng(0)
    means = rng.standard_normal((modalities, classes, *shape))

    def split(n: int) -> Split:
        target = np.arange(n) % classes
        views = [
            mean[target] + noise * (k + 1) * rng.standard_normal((n, *shape))
            for k, mean in enumerate(means)
        ]
        inputs = tuple(torch.from_numpy(x.astype(np.float32)) for x in views)
        return Split(inputs, torch.from_numpy(target))

    names = tuple(Modality(f"m{k}", shape) for k in range(modalities))
    return Dataset(
        "tiny", names, split(48), split(24), split(24), classes=tuple(map(str, range(classes)))
    )


# ---------------------------------------------------------------------------- runs


def new_run(
    name: str,
    data: Dataset | None = None,
    epochs: int = 2,
    seed: int = 0,
    fusion: str | None = None,
    **hyper: Any,
) -> TrainingRun:
    fusion = fusion or methods.get(name).default_fusion()
    return TrainingRun(
        methods.create(name, **hyper),
        images_and_vectors() if data is None else data,
        Settings(epochs=epochs, batch_size=16, width=4, seed=seed, lr=0.05, fusion=fusion),
    )


def fitted(name: str, data: Dataset | None = None, **settings: Any) -> TrainingRun:
    """A run that has trained."""
    run = new_run(name, data, **settings)
    run.fit()
    return run


def started(name: str, data: Dataset | None = None, **hyper: Any) -> TrainingRun:
    """A run before its first step."""
    run = new_run(name, data, **hyper)
    run.method.setup(run)
    run.optimizer = run.new_optimizer([run.model, run.method])
    run.generator.manual_seed(0)
    return run


def _settings(given: dict[str, Any]) -> Settings:
    return Settings(**{"epochs": 3, "batch_size": 16, "width": 8, "probes": False} | given)


def fresh_run(method: Method, data: Dataset, **settings: Any) -> TrainingRun:
    """A run of this method, in the network that it is made for, before its setup."""
    settings = {"fusion": method.default_fusion()} | settings
    return TrainingRun(method, data, _settings(settings))


def set_up(method: Method, data: Dataset, **settings: Any) -> Any:
    """A run of this method before its first step."""
    run = fresh_run(method, data, **settings)
    run.method.setup(run)
    run.optimizer = run.new_optimizer([run.model, run.method])
    return run


def trained(method: Method, data: Dataset, **settings: Any) -> TrainingRun:
    """A run of this method that has trained."""
    run = fresh_run(method, data, **settings)
    run.fit()
    return run


def one_batch(run: TrainingRun, size: int = 16) -> Batch:
    return run.inputs(run.train, torch.arange(size))


# ---------------------------------------------------------------------------- what is compared


def body(run: TrainingRun) -> list[Tensor]:
    """Parameters and buffers of encoders and fusion layer."""
    return [*run.model.encoders.state_dict().values(), *run.model.fusion.state_dict().values()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    """Equal to the last bit."""
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def same_state(one: nn.Module, other: nn.Module) -> bool:
    """Parameters and buffers equal to the last bit."""
    return same([*one.state_dict().values()], [*other.state_dict().values()])


def gradients(model: nn.Module) -> list[Tensor]:
    """Copies of all gradients; zeros where there is none."""
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in model.parameters()]


def gram_of(rows: np.ndarray) -> Tensor:
    """The Gramian of gradients that are given as rows."""
    return torch.from_numpy(rows @ rows.T)


def leaves(values: list[float], joint: float = 1.5) -> tuple[Tensor, Tensor]:
    """A joint loss and uni-modal losses that keep their gradients."""
    losses = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    return torch.tensor(joint, dtype=torch.float64, requires_grad=True), losses
