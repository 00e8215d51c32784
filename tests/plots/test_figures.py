"""Figures as data and as drawings: what is labelled, what overlaps, what repeats."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

import mimo_sim as ms
from mimo_sim import plots, studies


@pytest.fixture(scope="module")
def figure1_data() -> xr.Dataset:
    return studies.figure1.compute(seeds=3)


@pytest.fixture(scope="module")
def convergence_data() -> xr.Dataset:
    return studies.convergence.compute(steps=50_000)


@pytest.fixture(scope="module", params=["figure1", "convergence"])
def figure(
    request: pytest.FixtureRequest, figure1_data: xr.Dataset, convergence_data: xr.Dataset
) -> Figure:
    return (
        plots.draw_figure1(figure1_data)
        if request.param == "figure1"
        else plots.draw_convergence(convergence_data)
    )


def test_figure1_data_repeats_single_runs(figure1_data: xr.Dataset) -> None:
    attrs = figure1_data.attrs
    settings = {name: attrs[name] for name in ("step_size", "steps", "init_scale", "width")}
    for solver, method in (
        ("vanilla", ms.Vanilla()),
        ("mimo", ms.MIMO(lam=attrs["lam"], mu=attrs["mu"])),
    ):
        run = ms.simulate(
            ms.generators.superficial_preference(), method, seed=2, record_every=1, **settings
        )
        one = figure1_data.sel(solver=solver, seed=2)
        shared = np.intersect1d(run.step, one.step)
        assert len(shared) == one.sizes["step"]
        for name in studies.figure1.STORED:
            np.testing.assert_array_equal(run[name].sel(step=shared), one[name])
        assert np.abs(one.half_time.values - ms.half_times(run).values).max() <= max(
            1, attrs["steps"] // 20_000
        )


def test_figure1_refuses_a_step_size_beyond_the_theory() -> None:
    with pytest.raises(ValueError, match="`step_size` must be at most 1/L"):
        studies.figure1.compute(step_size=1.0, seeds=1)


def test_convergence_uses_one_step_size_and_obeys_theorem_1(convergence_data: xr.Dataset) -> None:
    assert convergence_data.attrs["step_size"] == min(
        ms.theory.default_step_size(
            ms.generators.superficial_preference(),
            ms.MIMO(lam=lam, mu=convergence_data.attrs["mu"]),
        )
        for lam in (1, 10, 100)
    )
    assert (convergence_data.grad_norm_sq <= convergence_data.bound).all()
    assert (convergence_data.grad_norm_sq.diff("step") <= 0).all()


def test_every_curve_has_labelled_axes(figure: Figure) -> None:
    curved = [ax for ax in figure.axes if ax.lines]
    assert len(curved) == 4
    for ax in curved:
        bottom = (
            [other for other in curved if other in ax.get_shared_x_axes().get_siblings(ax)]
            if ax.get_xlabel() == ""
            else [ax]
        )
        assert any("step" in other.get_xlabel() for other in bottom)
        assert ax.get_ylabel()


def test_no_text_overlaps_other_text(figure: Figure) -> None:
    with plots.style():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # type: ignore[no-untyped-call]
        renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
        inside = figure.bbox
        boxes = []
        for text in figure.findobj(Text):
            assert isinstance(text, Text)
            if text.get_visible() and text.get_text().strip() and not _hidden_tick(figure, text):
                box = text.get_window_extent(renderer)
                if box.width and text.get_in_layout() and inside.overlaps(box):
                    boxes.append((text.get_text(), box))
                    assert inside.x0 <= box.x0, text.get_text()
                    assert box.x1 <= inside.x1, text.get_text()
    for i, (one, box) in enumerate(boxes):
        for other, second in boxes[i + 1 :]:
            shrunk = box.shrunk(0.9, 0.6).translated(
                0.05 * box.width, 0.2 * box.height
            )  # line height includes leading
            assert not shrunk.overlaps(
                second.shrunk(0.9, 0.6).translated(0.05 * second.width, 0.2 * second.height)
            ), (one, other)


def _hidden_tick(figure: Figure, text: Text) -> bool:
    """Whether `text` labels a tick outside the view, which matplotlib keeps but does not draw."""
    for ax in figure.axes:
        for axis, (low, high) in (
            (ax.xaxis, sorted(ax.get_xlim())),
            (ax.yaxis, sorted(ax.get_ylim())),
        ):
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if text in (tick.label1, tick.label2):
                    return not low <= tick.get_loc() <= high
    return False


def test_drawing_leaves_global_settings_alone_and_repeats_to_the_byte(
    figure1_data: xr.Dataset, tmp_path: Path
) -> None:
    before = mpl.rcParams.copy()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for suffix in (".png", ".svg"):
            plots.write(plots.draw_figure1(figure1_data), tmp_path / folder / f"f{suffix}")
    assert mpl.rcParams == before
    for suffix in (".png", ".svg"):
        assert (tmp_path / "a" / f"f{suffix}").read_bytes() == (
            tmp_path / "b" / f"f{suffix}"
        ).read_bytes()


def test_drawing_does_not_depend_on_the_users_settings(
    figure1_data: xr.Dataset, tmp_path: Path
) -> None:
    plots.write(plots.draw_figure1(figure1_data), tmp_path / "plain.png")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "lines.linewidth": 9}):
        plots.write(plots.draw_figure1(figure1_data), tmp_path / "odd.png")
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "odd.png").read_bytes()


def test_the_drawing_shows_the_data(figure1_data: xr.Dataset) -> None:
    figure = plots.draw_figure1(figure1_data)
    norms = figure.axes[2].lines[0].get_ydata()
    expected = figure1_data.encoder_norm.sel(solver="vanilla").isel(modality=0).median("seed")
    np.testing.assert_array_equal(norms, expected)


def test_an_unknown_format_is_refused(figure1_data: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`path` must end in \.png, \.pdf or \.svg"):
        plots.write(Figure(), tmp_path / "figure.bmp")


def test_three_modalities_can_be_drawn() -> None:
    problem = ms.LateFusionProblem.from_linear_model(
        [[1.0], [1.0], [1.0]], np.diag([9.0, 4.0, 1.0]), names=("audio", "video", "text")
    )
    data = studies.figure1.compute(problem, seeds=2, init_scale=1e-4)
    figure = plots.draw_figure1(data)
    texts = {text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)}
    assert {"audio", "video", "text", "$W_{3}$", r"$U_{3} \rightarrow f_{3}$"} <= texts
