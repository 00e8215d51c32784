"""Figures as data and as drawings: what is labelled, what overlaps, what repeats."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.text import Text

import mimo_sim as ms
from mimo_sim import plots, studies
from mimo_sim.solvers import Solver
from tests.plots.texts import refuse_overlapping_texts


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
    if request.param == "figure1":
        return plots.draw_figure1(figure1_data)
    return plots.draw_convergence(convergence_data)


def test_figure1_data_repeats_single_runs(figure1_data: xr.Dataset) -> None:
    attrs = figure1_data.attrs
    settings = {name: attrs[name] for name in ("step_size", "steps", "init_scale", "width")}
    problem = ms.generators.superficial_preference()
    solvers: dict[str, Solver] = {
        "vanilla": ms.Vanilla(),
        "mimo": ms.MIMO(lam=attrs["lam"], mu=attrs["mu"]),
    }
    for name_of_solver, solver in solvers.items():
        run = ms.simulate(problem, solver, seed=2, record_every=1, **settings)
        one = figure1_data.sel(solver=name_of_solver, seed=2)
        shared = np.intersect1d(run.step, one.step)
        assert len(shared) == one.sizes["step"]
        for name in studies.figure1.STORED:
            np.testing.assert_array_equal(run[name].sel(step=shared), one[name])
        difference = np.abs(one.half_time.values - ms.half_times(run).values).max()
        assert difference <= max(1, attrs["steps"] // 20_000)


def test_figure1_refuses_a_step_size_beyond_the_theory() -> None:
    with pytest.raises(ValueError, match="`step_size` must be at most 1/L"):
        studies.figure1.compute(step_size=1.0, seeds=1)


def test_convergence_uses_one_step_size_and_obeys_theorem_1(convergence_data: xr.Dataset) -> None:
    problem, mu = ms.generators.superficial_preference(), convergence_data.attrs["mu"]
    step_sizes = [
        ms.theory.default_step_size(problem, ms.MIMO(lam=lam, mu=mu)) for lam in (1, 10, 100)
    ]
    assert convergence_data.attrs["step_size"] == min(step_sizes)
    assert (convergence_data.grad_norm_sq <= convergence_data.bound).all()
    assert (convergence_data.grad_norm_sq.diff("step") <= 0).all()


def test_every_curve_has_labelled_axes(figure: Figure) -> None:
    curved = [ax for ax in figure.axes if ax.lines]
    assert len(curved) == 4
    for ax in curved:
        assert ax.get_ylabel()
        same_steps = ax.get_shared_x_axes().get_siblings(ax)
        below = [ax] if ax.get_xlabel() else [other for other in curved if other in same_steps]
        assert any("step" in other.get_xlabel() for other in below)


def test_no_text_overlaps_other_text(figure: Figure) -> None:
    refuse_overlapping_texts(figure)


def test_drawing_leaves_global_settings_alone_and_repeats_to_the_byte(
    figure1_data: xr.Dataset, tmp_path: Path
) -> None:
    before = mpl.rcParams.copy()
    for suffix in (".png", ".svg"):
        one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
        for path in (one, two):
            plots.write(plots.draw_figure1(figure1_data), path)
        assert one.read_bytes() == two.read_bytes()
    assert mpl.rcParams == before


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


def test_figure1_says_which_theory_predicts_which_ratio(figure1_data: xr.Dataset) -> None:
    """At this u0 and in the limit u0 -> 0; for MIMO the ratio of emergence in the limit."""
    summary = studies.figure1.summarise(figure1_data)
    vanilla, mimo = summary["vanilla"], summary["mimo"]
    times = ms.theory.mimo_learning_times(ms.generators.superficial_preference(), 10.0)
    assert vanilla["predicted_ratio"] == pytest.approx(2.25)
    assert vanilla["predicted_ratio_this_u0"] == pytest.approx(2.3263, rel=1e-4)
    assert mimo["predicted_emergence_ratio"] == pytest.approx(times.max() / times.min())
    assert mimo["predicted_emergence_ratio"] == pytest.approx(1.345, rel=1e-3)
    figure = plots.draw_figure1(figure1_data)
    titles = [figure.axes[i].get_legend().get_title().get_text() for i in (2, 4)]  # type: ignore[union-attr]
    assert titles[0] == (
        f"half-times {vanilla['ratio']:.2f} : 1\n"
        r"theory 2.33 : 1 at this $u_0$, 2.25 : 1 as $u_0 \to 0$"
    )
    assert titles[1] == (
        f"half-times {mimo['ratio']:.2f} : 1\n" r"theory of emergence 1.34 : 1 as $u_0 \to 0$"
    )


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
    times = ms.theory.mimo_learning_times(problem, data.attrs["lam"])
    ratio = studies.figure1.summarise(data)["mimo"]["predicted_emergence_ratio"]
    assert ratio == pytest.approx(times.max() / times.min())


def test_no_law_is_no_prediction() -> None:
    tied = ms.LateFusionProblem.from_linear_model([[0.5], [1.0]], np.diag([4.0, 1.0]))
    data = studies.figure1.compute(tied, seeds=1, init_scale=1e-2)
    assert studies.figure1.summarise(data)["mimo"]["predicted_emergence_ratio"] is None
