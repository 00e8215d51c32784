"""Accuracy against modality gap: marks that can be told apart, bars and words that stay in their room."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from mimo_sim import methods, plots
from tests.plots.marks import a_grid, a_row, look, looks_of, refuse_cut_or_overlapping_words


def test_colour_and_marker_belong_to_the_method() -> None:
    every = plots.method_looks(methods.available())
    assert len({look(**one) for one in every.values()}) == len(methods.available())
    variants = [
        f"mimo-f_star={rule}-gap={gap}" for rule in "abcdefg" for gap in ("absolute", "relative")
    ]
    more = plots.method_looks([*variants, "opm-q_base=0.1", "mimo", "vanilla", "not_registered"])
    assert more["mimo"] == every["mimo"]
    assert more["vanilla"] == every["vanilla"]
    assert {more[name]["color"] for name in variants} == {every["mimo"]["color"]}
    assert len({look(**one) for one in (every | more).values()}) == len(every | more)


@given(
    st.dictionaries(
        st.text(max_size=3), st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1
    )
)
def test_the_front_is_what_nothing_beats(points: dict[str, tuple[float, float]]) -> None:
    def beats(one: str, other: str) -> bool:
        (a, b), (c, d) = points[one], points[other]
        return a <= c and b >= d and (a, b) != (c, d)

    best = plots.pareto_front(points)
    assert not any(beats(one, name) for name in best for one in points)
    assert all(any(beats(one, name) for one in best) for name in points if name not in best)
    assert [points[name][1] for name in best] == sorted(points[name][1] for name in best)


@pytest.mark.parametrize(("half_width", "inside"), [(0.015, True), (0.2, False)])
def test_bars_stay_in_the_panel_or_the_caption_says_that_they_do_not(
    half_width: float, inside: bool
) -> None:
    rows = [
        a_row(m, f, mean, half_width)
        for i, m in enumerate(("vanilla", "mimo"))
        for f, mean in (("accuracy", 0.7 + i / 50), ("gap/probe", 0.3 - i / 50))
    ]
    figure = plots.draw_gap(rows, plots.method_looks(["vanilla", "mimo"]))
    (low, high), (caption,) = figure.axes[0].get_ylim(), figure.texts
    assert (low <= 70 - 100 * half_width and 72 + 100 * half_width <= high) == inside
    assert (
        "the horizontal and vertical ones go on beyond the panel" in caption.get_text()
    ) != inside
    assert low < 70 < 72 < high  # marks are always there
    assert high - low < 10
    refuse_cut_or_overlapping_words(figure)


def test_failed_runs_are_named_and_take_no_room() -> None:
    means = {
        "vanilla": (0.3, 0.8),
        "mimo": (0.25, 0.82),
        "ogm": (0.3, 0.71),
        **{f"mimo-lam=100-mu=0.{i}": (0.0, 0.1) for i in range(1, 7)},
    }
    rows = [
        a_row(m, figure, mean)
        for m, pair in means.items()
        for figure, mean in zip(("gap/probe", "accuracy"), pair, strict=True)
    ]
    figure = plots.draw_gap(rows, plots.method_looks([*means]))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "mimo",
        "vanilla",
        "none shown is better in both",
    ]
    assert "ogm (71.0 %)" in figure.texts[0].get_text()
    assert all(
        f"{m} (10.0 %)" in " ".join(figure.texts[0].get_text().split()) for m in means if "lam" in m
    )
    assert figure.axes[0].get_ylim()[0] > 75
    refuse_cut_or_overlapping_words(figure)


def test_many_methods_and_variants_can_be_told_apart() -> None:
    names = [
        *methods.available(),
        *(f"mimo-f_star=running_minimum-gap=relative-decay=0.{i}" for i in range(10, 20)),
    ]
    rows = [
        a_row(name, figure, 0.5 + i / 500)
        for i, name in enumerate(names)
        for figure in ("accuracy", "gap/probe")
    ]
    figure = plots.draw_gap(rows, plots.method_looks(names))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *reversed(names),
        "none shown is better in both",
    ]
    assert len(looks_of(figure)) == len(names)
    refuse_cut_or_overlapping_words(figure)


def test_joint_training_and_a_grid_are_drawn_however_poor_they_are() -> None:
    means = {
        "vanilla": (0.3, 0.3),
        "mimo-lam=1": (0.25, 0.5),
        "mimo-lam=2": (0.2, 0.82),
        "mimo-lam=9": (0.2, 0.1),
        "ogm": (0.3, 0.31),
        "opm": (0.3, 0.2),
    }
    rows = [
        a_row(m, figure, mean)
        for m, pair in means.items()
        for figure, mean in zip(("gap/probe", "accuracy"), pair, strict=True)
    ]
    assert plots.worth_drawing(rows, means) == ["vanilla", "mimo-lam=1", "mimo-lam=2", "ogm"]
    grid = {name: {"lam": float(name[-1])} for name in means if "lam" in name}
    figure = plots.draw_grid(rows, grid, plots.method_looks([*means]))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "lam = 1.0",
        "lam = 2.0",
        "vanilla",
        "none shown is better in both",
    ]
    assert "mimo-lam=9 (10.0 %)" in figure.texts[0].get_text()
    refuse_cut_or_overlapping_words(figure)


def test_grids_are_found_by_what_was_given() -> None:
    found = plots.find_grids(
        [
            *a_grid("vanilla", "mimo", lam=[1, 10], mu=[0.1, 1]),
            *a_grid(f_star=["zero", "running_minimum", "reference"]),
        ]
    )
    assert list(found) == ["mimo-lam-mu"]  # no number varies over f_star
    assert found["mimo-lam-mu"]["mimo-lam=10-mu=0.1"] == {"lam": 10, "mu": 0.1}
    assert plots.find_grids(a_grid("mimo", lam=[1, 10])) == {}  # two runs are no grid


def test_a_grid_is_drawn_along_its_first_number_with_a_colour_for_the_others() -> None:
    lams, mus = [100, 1, 10], [0.1, 1e-3, 1]
    runs = a_grid("vanilla", "linear_scalarization", "ogm", lam=lams, mu=mus)
    (members,) = plots.find_grids(runs).values()
    place = {
        m: (v["lam"] / 1000 + v["mu"] / 100, 0.9 + v["lam"] / 2000) for m, v in members.items()
    } | {
        "vanilla": (0.3, 0.9),
        "linear_scalarization": (0.0, 0.99),
        "ogm": (0.0, 1.0),
    }
    rows = [
        a_row(m, figure, mean)
        for m, pair in place.items()
        for figure, mean in zip(("gap/probe", "accuracy"), pair, strict=True)
    ]
    figure = plots.draw_grid(rows, members, plots.method_looks([run.method for run in runs]))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [
        *(f"mu = {mu}" for mu in sorted(mus)),
        *(f"lam = {lam}" for lam in sorted(lams)),
        "vanilla",
        "linear_scalarization",
        labels[-1],
    ]
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]  # type: ignore[arg-type]
    for line, mu in zip(lines, sorted(mus), strict=True):
        expected = [place[f"mimo-lam={lam}-mu={mu}"] for lam in sorted(lams)]
        np.testing.assert_allclose(line.get_xydata(), 100 * np.array(expected))  # type: ignore[arg-type]
    assert len({tuple(line.get_color()) for line in lines}) == 3
    assert len(looks_of(figure)) == 9 + 2
    (ring,) = (line for line in figure.axes[0].lines if line.get_markersize() == 13)
    np.testing.assert_allclose(ring.get_xydata(), [[0.0, 99.0]])  # type: ignore[arg-type]
    refuse_cut_or_overlapping_words(figure)
