"""Studies over many runs: their measures on known curves, their maps against single runs, their predictions against theory, their files."""

from __future__ import annotations

import itertools
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy.stats import spearmanr

import mimo_sim as ms
import tests.plots.test_figures as figure_checks
from mimo_sim import cli, plots, theory
from mimo_sim.studies import _statistics, maps, race, scatter, score, zls

FIGURES = Path(__file__).resolve().parent.parent / "figures"
RATIO = st.floats(0.1, 10)
RHO = st.floats(-0.95, 0.95)


# ------------------------------------------------------------------------------------------ problems with prescribed ratios


@given(c=RATIO, e=RATIO, rho=RHO)
def test_ratio_pair_has_the_prescribed_ratios(c: float, e: float, rho: float) -> None:
    problem = race.ratio_pair(c, e, rho)
    report = theory.superficial_preference(problem)
    np.testing.assert_allclose(report.correlation[0] / report.correlation[1], c, rtol=1e-12)
    np.testing.assert_allclose(report.explained[1] / report.explained[0], e, rtol=1e-12)
    moment = problem.input_moment
    np.testing.assert_allclose(
        moment[0, 1] / math.sqrt(moment[0, 0] * moment[1, 1]), rho, atol=1e-12
    )
    np.testing.assert_allclose([problem.y_second_moment, problem.joint_optimum], [2, 0], atol=1e-12)
    if not any(math.isclose(ratio, 1, rel_tol=1e-9) for ratio in (c, e)):
        assert report.holds == ((c > 1) == (e > 1))


@given(c=st.floats(1.01, 10), e=RATIO, rho=RHO)
def test_the_time_ratio_of_a_ratio_pair_is_its_closed_form(c: float, e: float, rho: float) -> None:
    left = 1 - rho / math.sqrt(e)
    if abs(left) > 1e-6:  # else B has nothing left to learn
        np.testing.assert_allclose(
            theory.time_ratio(race.ratio_pair(c, e, rho)),
            1 + (c - math.copysign(1, left)) / abs(left),
            rtol=1e-6,
        )


def test_the_plateau_is_hidden_when_the_first_modality_rests_below_half_of_its_end() -> None:
    assert race.plateau_hidden(ms.generators.scalar_pair(1.5, -0.9))  # rests at 1 - 0.9 / 1.5 = 0.4
    assert not race.plateau_hidden(ms.generators.scalar_pair(1.5, -0.7))  # 0.53


# ------------------------------------------------------------------------------------------ measures on known curves


def test_settling_times_of_known_curves() -> None:
    times = np.tile(np.linspace(0, 10, 41), (6, 1))
    decay = np.exp(-times[0])
    bump = np.where(times[0] == 5.0, 0.5, decay)  # back up at one record
    curves = np.array(
        [
            decay,
            bump,
            np.ones(41),
            np.full(41, 0.05),
            np.where(times[0] > 3, np.nan, decay),
            np.linspace(1, 0, 41),
        ]
    )
    found = race.settling_times(curves, times, 0.1)
    assert found[0] == pytest.approx(math.log(10), rel=1e-12)  # log-linear is exact
    assert 5.0 < found[1] < 5.25
    assert (found[2], found[3]) == (math.inf, 0.0)
    assert math.isnan(found[4])
    assert found[5] == pytest.approx(9.0)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=30))
def test_area_threshold_and_accuracy_against_their_definitions(
    cases: list[tuple[int, bool]],
) -> None:
    scored, helps = np.array([float(s) for s, _ in cases]), np.array([h for _, h in cases])
    pairs = [(s > t) + 0.5 * (s == t) for s, t in itertools.product(scored[helps], scored[~helps])]
    area = float(_statistics.area_under_curve(scored, helps))
    assert area == pytest.approx(np.mean(pairs)) if pairs else math.isnan(area)
    if pairs:

        def accuracy(threshold: float) -> float:
            return float(
                np.mean([np.mean(scored[helps] > threshold), np.mean(scored[~helps] <= threshold)])
            )

        threshold = _statistics.best_threshold(scored, helps)
        assert _statistics.balanced_accuracy(scored > threshold, helps) == pytest.approx(
            accuracy(threshold)
        )
        if len(set(scored)) > 1:
            assert accuracy(threshold) == pytest.approx(
                max(accuracy(s + 0.5) for s in sorted(set(scored))[:-1])
            )


def test_rank_correlation_is_spearmans() -> None:
    first, second = np.random.default_rng(0).integers(0, 9, (2, 5, 40)).astype(float)
    np.testing.assert_allclose(
        _statistics.rank_correlation(first, second),
        [spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)],
        rtol=1e-12,
    )


def test_scores_are_judged_on_problems_that_chose_nothing() -> None:
    gain = np.tile([0.5, 2.0], 40)
    raw = {
        "honest": gain,
        "turned": np.where(np.arange(80) < 40, gain, 1 / gain),
        "backwards": 1 / gain,
    }
    data = xr.Dataset(
        {
            **dict.fromkeys(score.OUTCOMES, ("problem", gain)),
            "scores": (("problem", "score"), np.array(list(raw.values())).T),
        },
        {"score": list(raw)},
        {"lam": 1.0, "relative_mu": 0.1, "init_scale": 1e-3},
    )
    found = score.summarise(data, resamples=20)["learning_gain"]
    assert (found["chosen_on"], found["judged_on"], found["helps"], found["costs"]) == (
        40,
        40,
        0.5,
        0.5,
    )
    area = {name: one["auc"]["value"] for name, one in found["scores"].items()}
    assert area == {"honest": 1.0, "turned": 0.0, "backwards": 1.0}
    assert {name: one["direction"] for name, one in found["scores"].items()} == {
        "honest": 1,
        "turned": 1,
        "backwards": -1,
    }
    assert found["scores"]["backwards"]["threshold"] == pytest.approx(1.25)


# ------------------------------------------------------------------------------------------ races and maps

MIMO = ms.MIMO(lam=2.0, mu=0.1)


def test_a_race_repeats_single_runs() -> None:
    problem = race.ratio_pair(2.0, 2.0, 0.3)
    runs = race.compute([problem], MIMO, init_scale=1e-4)
    eta, steps = runs.step_size.item(), runs.steps.item()
    assert eta <= min(theory.default_step_size(problem, method) for method in (ms.Vanilla(), MIMO))
    budget = race.BUDGET * math.log(1e4) / theory.superficial_preference(problem).correlation.max()
    for solver, method in (("vanilla", ms.Vanilla(heads="plain")), ("mimo", MIMO)):
        single, mine = (
            ms.simulate(problem, method, step_size=eta, steps=steps, init_scale=1e-4),
            runs.sel(solver=solver, problem=0),
        )
        np.testing.assert_allclose(mine.half_time, ms.half_times(single) * eta, rtol=1e-12)
        for level in race.LEVELS:
            above = single.time.values[
                single.excess_mm.values > level * single.excess_mm.values[0]
            ].max()
            assert mine.settling_time.sel(level=level).item() == pytest.approx(
                above, abs=2 * eta * steps / race.ROWS
            )
        worst = single.excess_uni.max("modality")
        for comparison, end in (
            ("equal step size", budget),
            ("matched", budget / (1 + method.lam)),
        ):
            expected = np.interp(end, single.time, worst / worst[0])
            assert mine.worst_gap.sel(comparison=comparison).item() == pytest.approx(
                expected, abs=0.02
            )  # records are 1/1024 of the run apart


def test_a_vanishing_penalty_gains_nothing() -> None:
    found = race.gains(race.compute([race.ratio_pair(2.0, 1.5, 0.2)], ms.MIMO(lam=1e-6, mu=0.1)))
    for name in ("learning_gain", "balance_gain", "loss_gain"):
        np.testing.assert_allclose(found[name], 1, atol=1e-4)


def test_a_problem_that_needs_too_many_steps_stays_unknown() -> None:
    runs = race.compute(
        [race.ratio_pair(2.0, 1.5, 0.2), race.ratio_pair(5.0, 0.3, 0.5)], MIMO, max_steps=8192
    )
    assert (runs.steps <= 8192).values.tolist() == [True, False]
    assert np.isfinite(runs.half_time.isel(problem=0)).all()
    assert np.isnan(race.gains(runs).learning_gain.values[1])


@pytest.fixture(scope="module")
def ratio_data() -> xr.Dataset:
    return maps.compute_ratios((1.5, 2.5, 4.0), (0.8, 2.0), mu=0.1)


@pytest.fixture(scope="module")
def correlation_data() -> xr.Dataset:
    return maps.compute_correlations((1.5, 4.0), (-0.6, 0.0, 0.5), mu=0.1)


@pytest.fixture(scope="module")
def penalty_data() -> xr.Dataset:
    return maps.compute_penalties((0.5, 8.0), (0.05, 0.5))


@pytest.fixture(scope="module")
def zls_data() -> xr.Dataset:
    return zls.compute((1.0, 1.5, 3.0), (-0.9, -0.45, 0.0, 0.45), seeds=2, steps=20_000)


@pytest.fixture(scope="module")
def scatter_data() -> xr.Dataset:
    return scatter.compute(20, (2, 2), steps=20_000)


@pytest.fixture(scope="module")
def score_data() -> xr.Dataset:
    return score.compute(20, relative_mu=0.3)


def test_every_point_of_a_map_is_the_race_at_its_labels(
    ratio_data: xr.Dataset, correlation_data: xr.Dataset, penalty_data: xr.Dataset
) -> None:
    default = penalty_data.attrs["problem"]
    for data, at, problem, method in (
        (
            ratio_data,
            {"explained_ratio": 2.0, "correlation_ratio": 4.0},
            race.ratio_pair(4.0, 2.0, 0.5),
            ms.MIMO(10.0, 0.1),
        ),
        (
            correlation_data,
            {"correlation_ratio": 4.0, "rho": -0.6},
            race.ratio_pair(4.0, 16 / 9, -0.6),
            ms.MIMO(10.0, 0.1),
        ),
        (
            penalty_data,
            {"heads": "plain", "mu": 0.5, "lam": 0.5},
            ms.LateFusionProblem.from_json(default),
            ms.MIMO(0.5, 0.5, heads="plain"),
        ),
    ):
        runs, point = race.compute([problem], method).isel(problem=0), data.sel(at)
        for name in ("half_time", "settling_time", "worst_gap", "steps", "penalty"):
            np.testing.assert_array_equal(point[name].transpose(*runs[name].dims), runs[name])
        np.testing.assert_array_equal(point.learning_gain, race.gains(runs).learning_gain)


def test_the_closed_form_of_the_gain_finds_where_mimo_helps(ratio_data: xr.Dataset) -> None:
    found = maps.summarise(ratio_data)
    assert found["matched"]["both learned"]["helps"] > 0
    assert found["matched"]["both learned"]["costs"] > 0
    assert found["equal step size"]["both learned"]["helps"] == 1
    assert found["predicted_gain"]["right_side_where_not_neutral"] == 1
    assert found["predicted_gain"]["median_relative_error"] < 1 / math.log(
        1 / ratio_data.attrs["init_scale"]
    )  # its order


def test_the_order_threshold_separates_who_is_learned_first(penalty_data: xr.Dataset) -> None:
    limit = math.sqrt(2.25**2 - 1)  # for mu -> 0, above it otherwise
    assert limit < penalty_data.order_threshold.sel(heads="gradient", mu=0.05).item() < 1.01 * limit
    assert maps.summarise_penalties(penalty_data)["order_as_predicted"] == {
        "gradient": 1.0,
        "plain": 1.0,
    }
    order = penalty_data.half_time.sel(solver="mimo", heads="gradient", mu=0.05)
    assert (order.sel(modality="A") < order.sel(modality="B")).values.tolist() == [True, False]


# ------------------------------------------------------------------------------------------ reproductions and score


def test_zls_repeats_single_runs_and_meets_theory(zls_data: xr.Dataset) -> None:
    point = zls_data.sel(sigma_ratio=3.0, rho=0.45)
    problem = ms.generators.scalar_pair(3.0, 0.45)
    end = (
        1.3 * theory.learning_times(problem, 1e-9).max()
        + 3 / np.linalg.eigvalsh(problem.input_moment)[0]
    )
    single = ms.simulate(
        problem,
        ms.Vanilla(),
        step_size=end / 20_000,
        steps=20_000,
        init_scale=1e-9,
        seed=1,
        record_maps=True,
    )
    half = ms.half_times(single).values
    assert point.time_ratio.sel(seed=1).item() == half[1] / half[0]
    alone = single.joint_map.sel(step=int(half.mean())).values[0, 0]
    assert point.misattribution.sel(seed=1).item() == pytest.approx(alone - 1, abs=1e-6)

    assert zls_data.hidden.values.tolist() == [
        [False] * 4,
        [True, False, False, False],
        [False] * 4,
    ]
    summary = zls.summarise(zls_data)
    assert summary["largest_error_finite_u0"] < 1 / math.log(
        1e9
    )  # the order of what the prediction leaves out
    assert summary["largest_error_misattribution"] < 1e-3
    assert np.isnan(zls_data.misattribution.sel(sigma_ratio=1.0)).all()


def test_random_problems_wait_as_predicted(scatter_data: xr.Dataset) -> None:
    found = scatter.summarise(scatter_data)
    assert found["finite_u0"]["correlation"] > 0.99
    assert found["finite_u0"]["median_relative_error"] < 1 / math.log(1e9)
    assert np.ptp(scatter_data.time_ratio.values) > 1


def test_scores_before_training(score_data: xr.Dataset) -> None:
    assert score_data.sizes == {
        "problem": 20,
        "solver": 2,
        "modality": 2,
        "level": 2,
        "comparison": 2,
        "score": 7,
    }
    problem = race.ratio_pair(3.0, 2.0, 0.5)
    found = score.scores(problem, 10.0, 1e-6)
    assert found["predicted gain"] == race.predicted_gain(problem, 10.0)
    np.testing.assert_allclose([found["correlation ratio"], found["explained ratio"]], [3, 2])
    assert found["order threshold"] == pytest.approx(math.sqrt(8))
    known = np.isfinite(score_data.learning_gain.values)
    assert known.sum() >= 15
    assert (
        _statistics.rank_correlation(
            score_data.scores.sel(score="predicted gain").values[known],
            score_data.learning_gain.values[known],
        )
        > 0.5
    )


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: race.ratio_pair(0.0, 1.0, 0.0), "`correlation_ratio` must be finite and > 0"),
    (lambda: race.ratio_pair(1.0, -1.0, 0.0), "`explained_ratio` must be finite and > 0"),
    (lambda: race.ratio_pair(1.0, 1.0, 1.0), r"`rho` must lie in \(-1, 1\)"),
    (lambda: zls.compute(seeds=0), "`seeds` must be >= 1"),
    (lambda: zls.compute((0.5,)), "`sigma_ratios` must be >= 1"),
    (lambda: scatter.compute(2), "`problems` must be >= 3"),
    (lambda: score.compute(5), "`problems` must be >= 20"),
    (
        lambda: race.compute([race.ratio_pair()] * 2, [MIMO]),
        "`methods` must be one MIMO or one per problem",
    ),
    (
        lambda: race.compute([race.ratio_pair()], ms.Vanilla()),  # type: ignore[arg-type]
        "`methods` must be one MIMO.* Got Vanilla",
    ),
    (lambda: race.compute([], MIMO), "`problems` must be one or more problems of two modalities"),
    (
        lambda: race.compute([ms.generators.random_problem((1, 1, 1), seed=0)], MIMO),
        "`problems` must be .* of two modalities with scalar targets",
    ),
    (
        lambda: race.compute([ms.generators.random_problem((1, 1), seed=0, output_dim=2)], MIMO),
        "with scalar targets",
    ),
    (
        lambda: race.compute([race.ratio_pair()], MIMO, stretch=math.nan),
        "`stretch` must be finite and > 1",
    ),
    (lambda: maps.compute_ratios((), (1.0,)), "`correlation_ratios` must have at least one value"),
    (lambda: zls.compute(()), "`sigma_ratios` must be >= 1"),
    (lambda: zls.compute((math.nan,)), "`sigma_ratios` must be >= 1"),
    (
        lambda: race.compute([race.ratio_pair()], MIMO, init_scale=1.0),
        r"`init_scale` must lie in \(0, 1\)",
    ),
]


@pytest.mark.parametrize(("call", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_refusals(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


# ------------------------------------------------------------------------------------------ figures and commands


@pytest.fixture(params=["zls", "scatter", "ratio", "correlation", "penalty", "score"])
def figure(request: pytest.FixtureRequest) -> Figure:
    data = request.getfixturevalue(f"{request.param}_data")
    draw: dict[str, Callable[[xr.Dataset], Figure]] = {
        "zls": plots.draw_zls,
        "scatter": plots.draw_scatter,
        "penalty": plots.draw_penalty,
        "score": lambda data: plots.draw_score(data, score.summarise(data, resamples=20)),
    }
    return draw.get(request.param, plots.draw_map)(data)


def test_figures_are_labelled_and_no_text_overlaps(figure: Figure) -> None:
    figure_checks.test_no_text_overlaps_other_text(figure)
    for ax in figure.axes:
        assert ax.get_xlabel() or ax.get_ylabel()


def run_here(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mimo-sim", "study", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return int(stopped.value.code or 0)


def test_the_command_writes_whole_files_that_its_summary_describes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run_here(
            monkeypatch,
            "zls",
            "--out",
            str(tmp_path),
            "--seeds",
            "1",
            "--steps",
            "5000",
            "--init-scale",
            "1e-4",
        )
        == 0
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"phase_zls.{suffix}" for suffix in ("json", "nc", "pdf", "png", "svg")
    ]
    summary, data = (
        json.loads((tmp_path / "phase_zls.json").read_text()),
        ms.load(tmp_path / "phase_zls.nc"),
    )
    assert summary.items() >= zls.summarise(data).items()
    assert summary["command"].startswith("mimo-sim study zls --out")
    assert "largest error of the predicted time ratio" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("phase", "--grid", "1"), "`--grid` must be >= 2"),
        (("score", "--problems", "3"), "`problems` must be"),
    ],
)
def test_the_commands_refuse_in_one_sentence(
    arguments: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_here(monkeypatch, *arguments, "--out", str(tmp_path)) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


STORED: dict[str, Callable[[xr.Dataset], dict[str, Any]]] = {
    "zls": zls.summarise,
    "scatter": scatter.summarise,
    "map": maps.summarise,
    "correlation": maps.summarise,
    "penalty": maps.summarise_penalties,
    "score": score.summarise,
}


@pytest.mark.parametrize("name", STORED)
def test_stored_summaries_describe_the_stored_numbers(name: str) -> None:
    summary = json.loads((FIGURES / f"phase_{name}.json").read_text())
    assert summary["package_version"] == ms.__version__
    assert summary["command"].startswith("mimo-sim study ")
    again = json.loads(json.dumps(STORED[name](ms.load(FIGURES / f"phase_{name}.nc"))))
    assert summary.items() >= again.items()


def test_stored_numbers_are_those_of_this_version() -> None:
    """One point of two figures, simulated again; half-times are whole steps, which rounding on another processor may move by one."""
    stored = ms.load(FIGURES / "phase_zls.nc").isel(sigma_ratio=[2], rho=[6], seed=[0])
    again = zls.compute(stored.sigma_ratio.values.tolist(), stored.rho.values.tolist(), seeds=1)
    np.testing.assert_allclose(again.time_ratio, stored.time_ratio, rtol=1e-3)
    stored = ms.load(FIGURES / "phase_map.nc").isel(explained_ratio=[20], correlation_ratio=[12])
    again = maps.compute_ratios(
        stored.correlation_ratio.values.tolist(), stored.explained_ratio.values.tolist()
    )
    for name in ("learning_gain", "balance_gain", "predicted_gain"):
        np.testing.assert_allclose(again[name], stored[name], rtol=1e-3)


def test_the_stored_score_finds_where_mimo_helps_before_training() -> None:
    found = json.loads((FIGURES / "phase_score.json").read_text())["learning_gain"]["scores"]
    best, naive = found["predicted gain"]["auc"], found["loss ratio"]["auc"]
    assert best["interval"][0] > 0.95
    assert best["interval"][0] > naive["interval"][1]
