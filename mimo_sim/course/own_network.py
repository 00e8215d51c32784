"""Lesson 4, your own network: three inputs to learn from, and a picture of what each has learned.

Torch is imported inside the functions, so that the other lessons do without it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mimo_sim._checks import check_count
from mimo_sim.course._panels import lettered
from mimo_sim.plots._style import JOINT_COLOR, modality_line, style

if TYPE_CHECKING:
    from torch import Tensor

CLASSES = 4
SENSES = ("loud", "clear", "faint")
SCALES, NOISES = (4.0, 0.5, 0.2), (1.5, 0.6, 0.6)  # of each sense: size, and noise per unit of it


def three_senses(samples: int = 1000, seed: int = 0) -> tuple[list[Tensor], Tensor]:
    """Three inputs that all say something about one of four classes.

    Each input is the class as a one-hot vector plus Gaussian noise, times a size. The first is
    loud and noisy; the second has an eighth of its size and says more; the third says as much as
    the second and is fainter still.

    Parameters
    ----------
    samples : int
        Number of samples n, >= 1.
    seed : int
        Of classes and noise, >= 0.

    Returns
    -------
    inputs : list of three Tensors (n, 4)
    target : Tensor (n,)
        Classes 0 to 3.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.
    """
    import torch

    check_count("samples", samples)
    check_count("seed", seed, 0)
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(CLASSES, (samples,), generator=generator)
    clean = torch.nn.functional.one_hot(target, CLASSES).float()
    inputs = [
        size * (clean + noise * torch.randn(samples, CLASSES, generator=generator))
        for size, noise in zip(SCALES, NOISES, strict=True)
    ]
    return inputs, target


def installed(*packages: str) -> bool:
    """Whether all these packages can be imported; a sentence names those that cannot."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        print(f"Skipped: {' and '.join(missing)} not installed (pip install 'mimo_sim[notebooks]')")
    return not missing


def draw_accuracies(
    curves: Mapping[str, Sequence[Sequence[float]]], names: Sequence[str] = SENSES
) -> Figure:
    """Accuracy of the joint answer and of each modality alone over the epochs, a panel per method.

    Parameters
    ----------
    curves : mapping from a title to an array (T, 1 + K)
        For each epoch the joint accuracy, then that of each modality, as shares.
    names : sequence of K str
        Modalities.
    """
    with style():
        width = 3.3 * len(curves)
        figure = Figure(figsize=(width, 2.9), layout="constrained")
        axes = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
        for ax, rows in zip(axes, curves.values(), strict=True):
            values = 100 * np.asarray(rows)
            epochs = np.arange(1, len(values) + 1)
            ax.plot(epochs, values[:, 0], color=JOINT_COLOR, label="joint")
            for k, name in enumerate(names):
                ax.plot(epochs, values[:, 1 + k], label=name, **modality_line(k))
            ax.set(xlabel="epoch", ylim=(0, 100), xlim=(1, len(values)))
        axes[0].set_ylabel("test accuracy (%)")
        axes[0].legend(loc="lower right", ncols=2)
        lettered(axes, list(curves))
    return figure
