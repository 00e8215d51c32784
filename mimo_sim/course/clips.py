"""Lesson 6, real sound and real video: words of the GRID corpus, heard and seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from mimo_sim.plots._style import MODALITY_COLORS, style

if TYPE_CHECKING:
    from mimo_sim.datasets import Dataset

FILES = ("grid_s1/grid_s1.npz", "grid/s1")  # the compact copy, or the folder of the clips
BARS = ("both", "lips", "sound")


def grid_words(setting: str = "clean", train_sentences: int = 120) -> Dataset | None:
    """The data set ``grid``, if its files are there already; nothing is downloaded.

    Parameters
    ----------
    setting : str
        ``"clean"``, or the speech-to-noise ratio in dB.
    train_sentences : int
        Sentences to train on, 1 to 700.

    Returns
    -------
    Dataset or None
        None, and a sentence that says why, where the files are missing.
    """
    from mimo_sim import datasets

    folder, _ = datasets.data_folder(None)
    if not any((folder / name).exists() for name in FILES):
        print(f"Skipped: the words of GRID are not in {folder}.")
        print("`mimo-sim data prepare grid` fetches them. Everything below runs without them.")
        return None
    return datasets.load("grid", setting=setting, train_sentences=train_sentences)


def draw_words(clean: Dataset, noisy: Dataset, rows: Sequence[int]) -> Figure:
    """Some words as the pictures of the lips and as sound, without and with noise.

    Parameters
    ----------
    clean, noisy : Dataset
        GRID twice, with the same split.
    rows : sequence of int
        Samples of the train split.
    """
    with style():
        figure = Figure(figsize=(9.4, 1.15 * len(rows) + 0.6), layout="constrained")
        axes = figure.subplots(len(rows), 3, squeeze=False, width_ratios=(2.4, 1, 1))
        for line, row in zip(axes, rows, strict=True):
            lips = np.asarray(clean.train.inputs[0][row, 0])
            line[0].imshow(_tiled(lips), cmap="gray")
            line[0].set(xticks=[], yticks=[])
            line[0].set_ylabel(f"“{clean.classes[int(clean.train.target[row])]}”")
            line[0].spines[:].set_visible(False)
            for ax, data in zip(line[1:], (clean, noisy), strict=True):
                sound = np.asarray(data.train.inputs[1][row, 0], dtype=float)
                extent = (0.0, 1.0, 0.0, 4.0)
                ax.imshow(sound, cmap="cividis", origin="lower", aspect="auto", extent=extent)
                ax.set(xticks=[], yticks=[])
            line[1].set(yticks=[0, 4], ylabel="kHz")
        axes[0, 0].set_title("lips: eight pictures, in two rows")
        axes[0, 1].set_title("sound")
        axes[0, 2].set_title(f"sound at {noisy.about['setting']} dB")
        for ax in axes[-1, 1:]:
            ax.set(xticks=[0, 1], xlabel="part of the word")
    return figure


def _tiled(pictures: np.ndarray) -> np.ndarray:
    """Eight pictures (8, h, w) in two rows of four, with a white line between."""
    framed = np.pad(pictures, ((0, 0), (1, 1), (1, 1)), constant_values=pictures.max())
    return np.concatenate([np.concatenate(list(half), axis=1) for half in np.split(framed, 2)])


def draw_answers(results: Mapping[str, Sequence[float]], chance: float) -> Figure:
    """How often the joint answer, the lips alone and the sound alone are right, by training.

    Parameters
    ----------
    results : mapping from a training to three shares
        For the joint head, the head of the lips and the head of the sound; NaN leaves one out.
    chance : float
        Share of right answers of somebody who guesses.
    """
    with style():
        figure = Figure(figsize=(1.7 * len(results) + 1.2, 2.9), layout="constrained")
        ax = figure.subplots()
        places = np.arange(len(results))
        colors = ("0.35", *MODALITY_COLORS[:2])
        for i, (name, color) in enumerate(zip(BARS, colors, strict=True)):
            values = [100 * row[i] for row in results.values()]
            look: dict[str, Any] = {
                "color": color,
                "label": name,
                "hatch": ("", "//", "..")[i],
                "edgecolor": "w",
            }
            bars = ax.bar(places + 0.27 * (i - 1), values, 0.25, **look)
            labels = ["" if np.isnan(value) else f"{value:.0f}" for value in values]
            ax.bar_label(bars, labels, padding=1, fontsize=7.5)
        ax.axhline(100 * chance, color="0.3", lw=1, ls=":", label="guessing")
        highest = 100 * np.nanmax([list(row) for row in results.values()])
        ax.set(ylim=(0, 1.25 * highest), ylabel="right answers on test words (%)")
        ax.set_xticks(places, list(results))
        ax.legend(loc="upper center", ncols=4, fontsize=7.5)
    return figure
