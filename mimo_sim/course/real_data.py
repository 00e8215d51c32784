"""Lesson 5, real data: samples of AV-MNIST, questions to finished runs, and their tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from mimo_sim import benchmark
from mimo_sim.plots._style import dashes, modality_color, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mimo_sim.benchmark import FinishedRun, Row
    from mimo_sim.datasets import Dataset

LABELS = {
    "unimodal": "alone",
    "vanilla": "joint",
    "linear_scalarization": "linear\nscal.",
    "mimo": "MIMO",
}
LEVEL = 0.975  # of Student's t, both sides of a 95 % interval
Question = tuple[str, str, str]


def show_table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Show a table in the page of a notebook."""
    from IPython.display import Markdown, display

    lines = [list(header), ["---"] * len(header), *map(list, rows)]
    cells = ["| " + " | ".join(line) + " |" for line in lines]
    display(Markdown("\n".join([f"**{title}**", "", *cells])))


# ---------------------------------------------------------------------------------------- samples


def draw_picture(ax: Axes, picture: Any) -> None:
    """A grey picture without axes; 0 is black and 1 is white."""
    ax.imshow(np.asarray(picture), cmap="gray", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def draw_digits(clean: Dataset, spoiled: Dataset, count: int = 6) -> Figure:
    """Some samples of AV-MNIST as pictures and as sound, untouched and spoiled."""
    with style():
        figure = Figure(figsize=(9.4, 6.4), layout="constrained")
        axes = figure.subplots(4, count)
        for i, (data, word) in enumerate(((clean, "untouched"), (spoiled, "spoiled"))):
            pictures, sounds = (
                x[:count, 0] * m.scale
                for x, m in zip(data.train.inputs, data.modalities, strict=True)
            )
            for ax, picture in zip(axes[i], pictures, strict=True):
                draw_picture(ax, picture)
            for ax, level in zip(axes[2 + i], sounds, strict=True):
                extent = (0.0, 1.0, 0.0, 4.0)
                look: dict[str, Any] = {"vmin": -80, "vmax": 0, "extent": extent}
                decibels = 80 * (np.asarray(level) - 1)
                drawn = ax.imshow(decibels, cmap="cividis", origin="lower", aspect="auto", **look)
                ax.set(xticks=[0, 1], yticks=[0, 2, 4])
                ax.label_outer()
            axes[i, 0].set_ylabel(f"picture,\n{word}")
            axes[2 + i, 0].set_ylabel(f"sound, {word}\nfrequency (kHz)")
        for ax, digit in zip(axes[0], clean.train.target[:count], strict=True):
            ax.set_title(f"digit {digit}")
        figure.supxlabel("time (as a share of the recording)", fontsize=9)
        figure.colorbar(drawn, ax=axes[2:], label="level (dB; loudest: 0)", aspect=30)
    return figure


def draw_halves(digits: Dataset, count: int = 8) -> Figure:
    """The two halves of some of scikit-learn's digits, one row per modality."""
    with style():
        figure = Figure(figsize=(8.4, 1.9), layout="constrained")
        axes = figure.subplots(len(digits.modalities), count)
        for line, modality, inputs in zip(
            axes, digits.modalities, digits.train.inputs, strict=True
        ):
            for ax, pixels in zip(line, inputs[:count], strict=True):
                draw_picture(ax, pixels.reshape(-1, 8))
            line[0].set_ylabel(modality.name)
        for ax, digit in zip(axes[0], digits.train.target[:count], strict=True):
            ax.set_title(f"digit {digit}")
    return figure


# ----------------------------------------------------------------------------------- finished runs


def by_dataset(runs: Sequence[FinishedRun]) -> dict[str, list[FinishedRun]]:
    """The runs of each data set, in the order in which they come."""
    found: dict[str, list[FinishedRun]] = {}
    for run in runs:
        found.setdefault(run.dataset, []).append(run)
    return found


def seeds_of(runs: Sequence[FinishedRun]) -> dict[str, int]:
    """Method -> number of its runs."""
    found: dict[str, int] = {}
    for run in runs:
        found[run.method] = found.get(run.method, 0) + 1
    return found


def show_runs(groups: Mapping[str, Sequence[FinishedRun]]) -> None:
    """A table of what is there: methods, runs, seeds, sizes and epochs of each data set."""
    rows = []
    for name, runs in groups.items():
        found = seeds_of(runs)
        least, most = min(found.values()), max(found.values())
        seeds = f"{least} of each" if least == most else f"{least} to {most}, by method"
        sizes, settings = runs[0].result["data"]["sizes"], runs[0].result["config"]["settings"]
        numbers = (len(found), len(runs), seeds, sizes["train"], sizes["test"], settings["epochs"])
        rows.append([name, *map(str, numbers)])
    header = ["data set", "methods", "runs", "seeds", "train", "test", "epochs"]
    show_table("Finished runs", header, rows)


def mean_of(runs: Sequence[FinishedRun], metric: str) -> float:
    """Mean over runs of one metric on the test split."""
    return float(np.mean([run.metrics()[metric] for run in runs]))


def weaker(runs: Sequence[FinishedRun]) -> str:
    """The modality whose probe does worst; of encoders trained alone, where there are some."""
    alone = [run for run in runs if run.method == "unimodal"] or runs
    modalities: list[str] = runs[0].result["data"]["modalities"]
    return min(modalities, key=lambda modality: mean_of(alone, f"probe/{modality}"))


def draw_probes(groups: Mapping[str, Sequence[FinishedRun]], order: Sequence[str]) -> Figure:
    """Probe accuracy after training by some methods: one line for each seed that all have.

    Parameters
    ----------
    groups : mapping from a data set to its runs
    order : sequence of str
        Methods, from left to right.
    """
    with style():
        figure = Figure(figsize=(max(4.0, 3.3 * len(groups)), 3.0), layout="constrained")
        axes = figure.subplots(1, len(groups), squeeze=False)[0]
        for ax, (name, runs) in zip(axes, groups.items(), strict=True):
            _draw_probes_of(ax, name, runs, order)
        axes[0].set_ylabel("test accuracy of a linear probe (%)")
    return figure


def _draw_probes_of(ax: Axes, name: str, runs: Sequence[FinishedRun], order: Sequence[str]) -> None:
    found = {(run.method, run.seed): run for run in runs}
    here = [method for method in order if any(run.method == method for run in runs)]
    seeds = sorted({run.seed for run in runs})
    common = [seed for seed in seeds if all((method, seed) in found for method in here)]
    for k, modality in enumerate(runs[0].result["data"]["modalities"]):
        look = {"color": modality_color(k), "ls": dashes(k), "marker": "os"[k % 2]}
        for seed in common:
            shares = [found[method, seed].metrics()[f"probe/{modality}"] for method in here]
            label = modality if seed == common[0] else None
            ax.plot(100 * np.array(shares), ms=4, lw=1, label=label, **look)
    ax.set(xlim=(-0.4, len(here) - 0.6), ylim=(0, 100), xlabel="training of the encoder")
    ax.set_title(f"{name}, {len(common)} {'seed' if len(common) == 1 else 'seeds'}")
    ax.set_xticks(range(len(here)), [LABELS.get(method, method) for method in here])
    if common:
        ax.legend(loc="best")


# --------------------------------------------------------------------------------------- questions


def difference(runs: Sequence[FinishedRun], metric: str, method: str, baseline: str) -> Row | None:
    """`metric` of `method` minus that of `baseline`, seed by seed; None if no seed has both."""
    if not {method, baseline} <= {run.method for run in runs}:
        return None
    for row in benchmark.summary(runs, baseline):
        if (row.method, row.metric) == (method, metric) and row.pairs:
            return row
    return None


def verdict(row: Row | None) -> str:
    """What a difference says, in words: only an interval without zero counts."""
    if row is None:
        return "no runs"
    if math.isnan(row.difference_half_width):
        return "one seed says nothing"
    if abs(row.difference) <= row.difference_half_width:
        return "no difference shown"
    return "higher" if row.difference > 0 else "lower"


def ask(runs: Sequence[FinishedRun], questions: Sequence[Question]) -> None:
    """Answer questions (metric, method, baseline) in a table; those without runs are left out."""
    rows = []
    for metric, method, baseline in questions:
        row = difference(runs, metric, method, baseline)
        if row is None:
            continue
        points = f"{100 * row.difference:+.1f}"
        if row.pairs > 1:
            points += f" ± {100 * row.difference_half_width:.1f}"
        rows.append([metric, method, baseline, points, str(row.pairs), verdict(row)])
    if rows:
        title = f"{runs[0].dataset}, test split, mean ± 95 % interval over shared seeds"
        header = ["metric", "method", "minus", "difference (points)", "seeds", "reading"]
        show_table(title, header, rows)


def ask_all(runs: Sequence[FinishedRun]) -> None:
    """The questions of the lesson about joint training, plain sum and MIMO, for one data set."""
    probe = f"probe/{weaker(runs)}"
    questions = [(probe, "vanilla", "unimodal"), (probe, "linear_scalarization", "vanilla")]
    questions += [(probe, "mimo", baseline) for baseline in ("vanilla", "linear_scalarization")]
    questions += [("accuracy", "linear_scalarization", "vanilla")]
    baselines = ("vanilla", "linear_scalarization", "unimodal")
    questions += [("accuracy", "mimo", baseline) for baseline in baselines]
    ask(runs, questions)


def show_comparison(runs: Sequence[FinishedRun]) -> None:
    """The table of every data set, as ``mimo-sim bench compare`` makes it."""
    for title, header, rows in benchmark.comparison_tables(benchmark.summary(runs), brief=True):
        show_table(title, header, rows)


def weights_of_the_weaker(
    groups: Mapping[str, Sequence[FinishedRun]],
) -> dict[tuple[str, str], np.ndarray]:
    """(data set, method) -> MIMO's weight of the weaker modality, an array (seeds, epochs)."""
    found = {}
    for name, runs in groups.items():
        column = f"sigma_{weaker(runs)}"
        for method in dict.fromkeys(run.method for run in runs if run.method.startswith("mimo")):
            tables = [run.table() for run in runs if run.method == method]
            found[name, method] = np.array([table[column] for table in tables])
    return found


def show_weights(
    weights: Mapping[tuple[str, str], np.ndarray], groups: Mapping[str, Sequence[FinishedRun]]
) -> None:
    """A table of mean weights, and the smallest and largest mean of one epoch of one seed."""
    rows = []
    for method in dict.fromkeys(method for _, method in weights):
        cells = []
        for name in groups:
            weight = weights.get((name, method))
            if weight is None:
                cells.append("")
            else:
                cells.append(f"{weight.mean():.2f} ({weight.min():.2f} to {weight.max():.2f})")
        rows.append([method, *cells])
    header = ["method", *(f"{name}: {weaker(runs)}" for name, runs in groups.items())]
    show_table("Weight of the weaker modality", header, rows)


def tell_noise(name: str, runs: Sequence[FinishedRun]) -> None:
    """How sure the numbers of a table are: noise of one number, few seeds, many methods."""
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    shares = [run.metrics()["accuracy"] for run in runs]
    samples = [run.metrics()["samples"] for run in runs]
    errors = [math.sqrt(p * (1 - p) / n) for p, n in zip(shares, samples, strict=True)]
    counts = sorted(set(seeds_of(runs).values()))
    factors = ", ".join(
        f"{stdtrit(n - 1, LEVEL):.1f} for {n} seeds" if n > 1 else "infinite for 1 seed"
        for n in counts
    )
    rows = [row for row in benchmark.summary(runs) if row.metric == "accuracy" and row.pairs > 1]
    higher = sum(verdict(row) == "higher" for row in rows)
    lower = sum(verdict(row) == "lower" for row in rows)
    print(f"{name}: standard error of one test accuracy {100 * np.mean(errors):.1f} points")
    print(f"  factor of Student's t: {factors}")
    print(f"  joint accuracy differs from vanilla for {higher + lower} of {len(rows)} methods,")
    print(f"  {higher} times upwards; by chance it would for {0.05 * len(rows):.1f}")
