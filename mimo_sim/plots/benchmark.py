"""Figures of benchmark runs: accuracy against modality gap, grids of hyper-parameters, the epochs. Drawn from finished runs, nothing is trained here."""

from __future__ import annotations

import math
import textwrap
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mimo_sim import methods
from mimo_sim.benchmark.comparison import mark
from mimo_sim.plots.figures import DASHES, JOINT_COLOR, MODALITY_COLORS, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mimo_sim.benchmark.comparison import Row
    from mimo_sim.benchmark.grid import Finished

CURVES = (
    "vanilla",
    "linear_scalarization",
    "mimo",
    "unimodal",
)  # in the per-epoch figure unless asked otherwise
REFERENCES = CURVES[:2]
COLORS = (JOINT_COLOR, *MODALITY_COLORS)
MARKERS = ("o", "s", "^", "D", "v")  # of methods, as given
VARIANTS = ("P", "X", "<", ">", "p", "*", "h", "d")  # of methods with other hyper-parameters
FILLS = ("full", "none", "left")
MOST_CURVES = 7
WIDTH = 0.06  # inches of a letter in a legend
FAR = 10.0  # points of accuracy below the best: such methods are named instead of drawn, they would squeeze all others
WIDE = 2.5  # bars that would stretch a panel by more than this are cut

Look = dict[str, Any]


def looks(names: Sequence[str]) -> dict[str, Look]:
    """Colour and marker of runs by name, ``method`` or ``method-key=value...``.

    Both belong to a method, whatever else is shown: no two registered ones share both. Its variants have its colour, and markers by their order among `names`.
    """
    order = [*CURVES, *(name for name in methods.available() if name not in CURVES)]
    found, used = {}, Counter[str]()
    for name in sorted(set(names)):
        base = name.partition("-")[0]
        place = (
            order.index(base)
            if base in order
            else len(COLORS) * (len(MARKERS) - 1) + zlib.crc32(base.encode()) % len(COLORS)
        )
        color = COLORS[place % len(COLORS)]
        if name == base:
            marker, fill = MARKERS[place // len(COLORS) % len(MARKERS)], FILLS[0]
        else:
            marker, fill = (
                VARIANTS[used[color] % len(VARIANTS)],
                FILLS[used[color] // len(VARIANTS) % len(FILLS)],
            )
            used[color] += 1
        found[name] = {"color": color, "marker": marker, "fillstyle": fill}
    return found


def front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Names of the points (gap, accuracy) that no other one beats: at most the gap and at least the accuracy, and not the same; by rising gap."""
    free = [
        name
        for name, p in points.items()
        if not any(q != p and q[0] <= p[0] and q[1] >= p[1] for q in points.values())
    ]
    return sorted(free, key=points.__getitem__)


def grids(runs: Sequence[Finished]) -> dict[str, dict[str, dict[str, Any]]]:
    """The grids among runs: ``method-key-key`` -> name of each run -> the values it was given. At least three runs, and a number that varies, make a grid."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for run in runs:
        config = run.result["config"]
        given = {key: value for key, value in config["hyper"].items() if f"-{key}=" in run.method}
        if given:
            found.setdefault("-".join([config["method"], *given]), {})[run.method] = given
    return {
        name: members
        for name, members in found.items()
        if len(members) > 2 and _axes(members)[0] is not None
    }


def _axes(grid: Mapping[str, Mapping[str, Any]]) -> tuple[str | None, list[str]]:
    """The first number that varies over a grid, and the other keys that vary."""
    (first, *_) = grid.values()
    varying = [key for key in first if len({str(values[key]) for values in grid.values()}) > 1]
    along = next(
        (key for key in varying if all(_rank(values[key])[0] == 0 for values in grid.values())),
        None,
    )
    return along, [key for key in varying if key != along]


def _rank(value: Any) -> tuple[int, float, str]:
    """Numbers by size, then all else by its words."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return (0, float(value), "") if number else (1, 0.0, str(value))


def draw_all(
    runs: Sequence[Finished], rows: Sequence[Row], curves: Sequence[str] | None = None
) -> Iterator[tuple[str, Figure]]:
    """(file stem, figure) of every data set's figures. A grid has one of its own; of its runs the best on validation is in the one of epochs too.

    Other variants of a method, such as ``mimo-f_star=zero``, are in the figure of epochs when `curves` names the method, or the method itself is not there.

    Parameters
    ----------
    runs : sequence of Finished
    rows : sequence of Row
        Of :func:`mimo_sim.benchmark.comparison.summary`.
    curves : sequence of str, optional
        Methods of the per-epoch figure: names as in the table, or the first part of them ("mimo" for all its variants, "mimo-lam" for those in lam).

    Raises
    ------
    ValueError
        If none of the runs is of the methods named in `curves`.
    """
    seen = looks([run.method for run in runs])
    for dataset in dict.fromkeys(run.dataset for run in runs):
        here = [run for run in runs if run.dataset == dataset]
        mine = [row for row in rows if row.dataset == dataset]
        names = dict.fromkeys(run.method for run in here)
        found = grids(here)
        apart = {name for members in found.values() for name in members}
        if {"gap/probe", "accuracy"} <= {row.figure for row in mine}:
            if not found or set(names) - apart - {*REFERENCES}:
                yield (
                    f"{dataset}-gap{mark(rows)}",
                    draw_gap([row for row in mine if row.method not in apart], seen),
                )
            for name, members in found.items():
                yield f"{dataset}-{name}{mark(rows)}", draw_grid(mine, members, seen)
        wanted = []
        for one in curves or CURVES:
            stand_in = (
                []
                if curves
                else [name for name in names if name.startswith(f"{one}-") and name not in apart]
            )
            wanted += [one] if one in names else stand_in
        best = {
            max(members, key=lambda m: np.mean([_score(run) for run in here if run.method == m]))
            for members in found.values()
        }
        wanted += [
            name
            for one in curves or CURVES
            for name in names
            if name.startswith((f"{one}-", f"{one}=")) and (curves or name in best)
        ]
        if curves and not wanted:
            raise ValueError(
                f"`curves` must name methods among {tuple(names)}. Got {tuple(curves)}."
            )
        yield (
            "-".join([dataset, "epochs", *(curves or ())]),
            draw_epochs(here, wanted or list(names), seen),
        )


def _score(run: Finished) -> float:
    """How good a run is on validation."""
    figures = run.figures("validation")
    return figures["accuracy"] if "accuracy" in figures else -figures["mse"]


def _limits(means: Sequence[float], halves: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis that holds all bars, or, where that would leave the means too little room, the means."""
    margin = max(1.0, 0.15 * (max(means) - min(means)))
    low, high = min(means) - margin, max(means) + margin
    ends = (
        [m - h for m, h in zip(means, halves, strict=True)],
        [m + h for m, h in zip(means, halves, strict=True)],
    )
    spread = max(*ends[1], high) - min(*ends[0], low)
    return (
        (min(*ends[0], low) - 0.02 * spread, max(*ends[1], high) + 0.02 * spread)
        if spread <= WIDE * (high - low)
        else (low, high)
    )


def _trade_off(
    rows: Sequence[Row], shown: Mapping[str, Look], handles: Sequence[Line2D], title: str
) -> tuple[Axes, dict[str, tuple[float, float]]]:
    """The panel of accuracy against gap with its legend outside: axes, and points (gap, accuracy) in percent by name."""
    found = {(row.method, row.figure): row for row in rows}
    failed = [
        f"{m} ({100 * found[m, 'accuracy'].mean:.1f} %)"
        for m in shown
        if m not in near(rows, shown)
    ]
    shown = {m: shown[m] for m in near(rows, shown)}
    points = {
        m: (round(100 * found[m, "gap/probe"].mean, 9), round(100 * found[m, "accuracy"].mean, 9))
        for m in shown
    }  # so that equal counts are equal
    halves = {
        m: [
            0 if math.isnan(h) else 100 * h
            for h in (found[m, "gap/probe"].half_width, found[m, "accuracy"].half_width)
        ]
        for m in shown
    }
    best = front(points)
    ring = Line2D(
        [],
        [],
        color="0.75",
        lw=1.0,
        marker="o",
        ms=9,
        mfc="none",
        mec="0.45",
        label="none shown is better in both",
    )
    width = 6.2 + WIDTH * max(len(str(handle.get_label())) for handle in (*handles, ring))
    words = f"not drawn, over {FAR:g} points below the best: {', '.join(failed)}" if failed else ""
    lines = textwrap.wrap(words, int((width - 0.8) / WIDTH), break_on_hyphens=False)
    low = 0.75 + 0.14 * len(lines)
    height = max(4.2, 0.185 * (len(handles) + 2) + 0.9) + low - 0.75
    figure = Figure(figsize=(width, height))
    ax = figure.add_axes((0.7 / width, low / height, 4.7 / width, 1 - (low + 0.35) / height))
    ax.plot(
        *zip(*(points[m] for m in best), strict=True),
        color="0.75",
        lw=1.0,
        zorder=1,
        marker="o",
        ms=13,
        mfc="none",
        mec="0.45",
    )
    cut = []
    for axis, name in enumerate(("horizontal", "vertical")):
        ends = _limits([p[axis] for p in points.values()], [h[axis] for h in halves.values()])
        ax.set(**{f"{'xy'[axis]}lim": ends})
        beyond = any(
            not ends[0] <= points[m][axis] + sign * halves[m][axis] <= ends[1]
            for m in shown
            for sign in (-1, 1)
        )
        cut += [name] * beyond
        for m, look in shown.items():
            bar: dict[str, Any] = {
                f"{'xy'[axis]}err": halves[m][axis],
                "ecolor": look["color"],
                "alpha": 0.15 if beyond else 0.4,
            }
            ax.errorbar(*points[m], **bar, fmt="none", elinewidth=0.6, zorder=2)
    for m, look in shown.items():
        ax.plot(*points[m], **look, ms=6, ls="", zorder=3)
    seeds = sorted({found[m, "accuracy"].n for m in shown})
    bars = (
        f"bars: 95 % interval over {' or '.join(map(str, seeds))} seeds"
        if seeds != [1]
        else "one seed"
    )
    lines.insert(
        0, bars + (f"; the {' and '.join(cut)} ones go on beyond the panel" if cut else "")
    )
    figure.text(0.7 / width, 0.1 / height, "\n".join(lines), fontsize=7.5, color="0.3")
    ax.set(
        xlabel="modality gap: largest - smallest probe accuracy (points)",
        ylabel=f"joint {rows[0].split} accuracy (%)",
    )
    ax.set_title(f"{rows[0].dataset}, {rows[0].split} split")
    place = (5.6 / width, 1 - 0.3 / height)
    figure.legend(
        handles=[*handles, ring],
        loc="upper left",
        bbox_to_anchor=place,
        title=title,
        title_fontsize=7.5,
        alignment="left",
        fontsize=7.5,
    )
    return ax, points


def near(rows: Sequence[Row], names: Iterable[str]) -> list[str]:
    """Those methods that are worth their room: within :data:`FAR` of the best accuracy, or at least as good as joint training."""
    height = {row.method: row.mean for row in rows if row.figure == "accuracy"}
    least = max(height[name] for name in names) - FAR / 100
    return [name for name in names if height[name] >= min(least, height.get(REFERENCES[0], least))]


def _handle(label: str, look: Look, **line: Any) -> Line2D:
    return Line2D([], [], **({"ls": "", "ms": 6} | look | line), label=label)  # type: ignore[arg-type]


def draw_gap(rows: Sequence[Row], seen: Mapping[str, Look]) -> Figure:
    """Joint accuracy against the modality gap of linear probes: one mark per method, bars over seeds, and the methods that none beats in both.

    Parameters
    ----------
    rows : sequence of Row
        Of one data set.
    seen : mapping
        Of :func:`looks`.
    """
    heights = {row.method: row.mean for row in rows if row.figure == "accuracy"}
    shown = {
        m: seen[m]
        for m in sorted(heights, key=lambda m: -heights[m])
        if any((row.method, row.figure) == (m, "gap/probe") for row in rows)
    }
    with style():
        ax, _ = _trade_off(
            rows, shown, [_handle(m, shown[m]) for m in near(rows, shown)], "by accuracy"
        )
    return ax.figure  # type: ignore[return-value]


def draw_grid(
    rows: Sequence[Row], grid: Mapping[str, Mapping[str, Any]], seen: Mapping[str, Look]
) -> Figure:
    """Accuracy against modality gap over a grid of hyper-parameters: a line along one of them, a colour for each value of the others.

    Parameters
    ----------
    rows : sequence of Row
        Of one data set; joint training and linear scalarization are shown beside the grid where they are there.
    grid : mapping
        One of :func:`grids`.
    seen : mapping
        Of :func:`looks`.
    """
    along, others = _axes(grid)
    assert along is not None
    lines: dict[str, list[str]] = {}
    for name, values in sorted(
        grid.items(), key=lambda item: [_rank(item[1][key]) for key in (*others, along)]
    ):
        lines.setdefault(", ".join(f"{key} = {values[key]}" for key in others), []).append(name)
    steps = sorted({grid[name][along] for name in grid})
    marker = {
        value: (*MARKERS, *VARIANTS)[i % (len(MARKERS) + len(VARIANTS))]
        for i, value in enumerate(steps)
    }
    colors = dict(
        zip(lines, mpl.colormaps["viridis"](np.linspace(0.0, 0.88, len(lines))), strict=True)
    )
    references = {
        name: seen[name] | {"fillstyle": "none"}
        for name in REFERENCES
        if any(row.method == name for row in rows)
    }
    shown = {
        m: {"color": colors[line], "marker": marker[grid[m][along]]}
        for line, members in lines.items()
        for m in members
    }
    drawn = near(rows, shown | references)
    handles = [
        _handle(line, {"color": color}, ls="-")
        for line, color in colors.items()
        if line and {*lines[line]} & {*drawn}
    ]
    reached = {grid[name][along] for name in drawn if name in grid}
    handles += [
        _handle(f"{along} = {value}", {"color": "0.3", "marker": marker[value]})
        for value in steps
        if value in reached
    ]
    handles += [_handle(name, references[name]) for name in drawn if name in references]
    with style():
        ax, points = _trade_off(
            rows,
            shown | references,
            handles,
            f"{next(iter(grid)).partition('-')[0]}, lines along {along}",
        )
        for line, members in lines.items():
            ax.plot(
                *np.array([points[m] for m in members if m in points]).reshape(-1, 2).T,
                color=colors[line],
                lw=1.2,
                alpha=0.8,
                zorder=2,
            )
    return ax.figure  # type: ignore[return-value]


def _curve(tables: Sequence[Mapping[str, list[float]]], column: str) -> np.ndarray | None:
    """Mean over seeds of a column, as far as every run has it; None where it is missing or empty."""
    given = [table[column] for table in tables if column in table]
    if len(given) < len(tables):
        return None
    values = np.mean([one[: min(map(len, given))] for one in given], axis=0)
    return values if np.isfinite(values).any() else None


def draw_epochs(
    runs: Sequence[Finished], wanted: Sequence[str], seen: Mapping[str, Look]
) -> Figure:
    """Validation accuracy (regression: loss), uni-modal accuracy and MIMO's weights sigma against the epoch: means over seeds, a colour and marker per method.

    Uni-modal accuracy has a panel for each definition: linear probes where all were probed during training, else the methods' own heads and the split joint
    head, each with the methods that have it.

    Parameters
    ----------
    runs : sequence of Finished
        Of one data set.
    wanted : sequence of str
        Methods; the first few are drawn.
    seen : mapping
        Of :func:`looks`.
    """
    shown = list(wanted)[:MOST_CURVES]
    if (
        len({method.partition("-")[0] for method in shown}) == 1
    ):  # variants of one method: nothing else needs the other colours
        seen = {
            method: {"color": COLORS[i % len(COLORS)], "marker": MARKERS[i % len(MARKERS)]}
            for i, method in enumerate(shown)
        }
    tables = {method: [run.table() for run in runs if run.method == method] for method in shown}
    names: list[str] = runs[0].result["data"]["modalities"]
    classify = "accuracy" in runs[0].result["metrics"]["test"]
    what, scale, unit = ("accuracy", 100.0, "accuracy (%)") if classify else ("loss", 1.0, "loss")
    words = {"probe": "linear probe", "heads": "own heads", "sliced": "split joint head"}

    def panel(
        title: str, label: str, scale: float, *columns: str
    ) -> tuple[str, str, float, dict[str, list[np.ndarray | None]]]:
        return (
            title,
            label,
            scale,
            {m: [_curve(tables[m], column) for column in columns] for m in shown},
        )

    alone = [
        panel(
            f"alone: {how}",
            f"uni-modal validation {unit}",
            scale,
            *(f"validation_{k}_{what}_{n}" for n in names),
        )
        for k, how in words.items()
    ]
    if not any(one is None for curves in alone[0][3].values() for one in curves):
        alone = alone[:1]
    panels = [panel("joint", f"joint validation {unit}", scale, f"validation_{what}"), *alone]
    panels += [
        panel(
            r"weights $\sigma_k$",
            r"mean weight $\sigma_k$",
            1.0,
            *(f"sigma_{name}" for name in names),
        )
    ]
    panels = [
        one
        for one in panels
        if any(curve is not None for curves in one[3].values() for curve in curves)
    ]
    width = 3.5 * len(panels)
    columns = max(1, int((width - 1.7) / (0.6 + WIDTH * max(map(len, shown)))))
    height = 4.1 + 0.17 * max(-(-len(shown) // columns), len(names))
    left, right, low = 0.6 / width, 1 - 0.1 / width, 1 - 3.3 / height
    margins = {
        "left": left,
        "right": right,
        "top": 1 - 0.35 / height,
        "bottom": low,
        "wspace": 0.25,
    }
    with style():
        figure = Figure(figsize=(width, height))
        (axes,) = figure.subplots(1, len(panels), squeeze=False, gridspec_kw=margins)
        for letter, ax, (title, label, factor, curves) in zip("abcde", axes, panels, strict=False):
            for rank, (method, values) in enumerate(curves.items()):
                for k, one in enumerate(values):
                    if one is not None:
                        epochs = np.flatnonzero(np.isfinite(one))
                        every = max(1, len(epochs) // 6)
                        marks = (rank % every, every)  # those of equal curves lie side by side
                        ax.plot(
                            epochs + 1,
                            factor * one[epochs],
                            **seen[method],
                            ls=DASHES[k % len(DASHES)],
                            lw=1.3,
                            ms=4.5,
                            markevery=marks,
                        )
            if label.endswith("loss"):
                ax.set_yscale("log")
            ax.set(title=f"({letter}) {title}", xlabel="epoch", ylabel=label)
            ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5, integer=True, min_n_ticks=1))
        middle = [ax for ax in axes if "alone" in ax.get_title("left")]
        for ax in middle:  # one scale: only so can two definitions be told apart
            ax.set_ylim(
                min(one.get_ylim()[0] for one in middle), max(one.get_ylim()[1] for one in middle)
            )
        if "sigma" in axes[-1].get_ylabel():
            axes[-1].set_ylim(-0.02, 1.02)
        seeds = " or ".join(map(str, sorted({len(one) for one in tables.values()})))
        more = (
            f"; {len(shown)} of {len(wanted)}, `--curves` names others"
            if len(wanted) > len(shown)
            else ""
        )
        legend: dict[str, Any] = {"fontsize": 7.5, "title_fontsize": 7.5, "alignment": "left"}
        handles = [_handle(m, seen[m], ls="-") for m in shown]
        place = (left - 0.1 / width, low - 0.45 / height)
        figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=place,
            ncols=columns,
            title=f"{runs[0].dataset}, seeds averaged: {seeds}{more}",
            **legend,
        )
        lines = [
            Line2D([], [], color="0.3", ls=DASHES[k % len(DASHES)], label=name)
            for k, name in enumerate(names)
        ]
        figure.legend(
            handles=lines,
            loc="upper right",
            bbox_to_anchor=(right, low - 0.45 / height),
            title="modality",
            handlelength=3,
            **legend,
        )
    return figure
