"""Mini-batches in the exact engine: against autograd, against full batches, and their order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim import rules
from mimo_sim.dynamics.engines import batches as engine
from mimo_sim.dynamics.records import Options, recorded_steps
from mimo_sim.dynamics.start import random_weights
from mimo_sim.rules import Rule
from mimo_sim.solvers import AnySolver
from mimo_sim.testing import initial_weights, methods
from tests.dynamics.comparisons import METHODS, assert_identical, assert_same

pytestmark = pytest.mark.usefixtures("dynamic_sizes")

NOISY = ms.generators.superficial_preference(noise_variance=0.1)
SAMPLES = NOISY.sample(96, 1)
EVERY: list[AnySolver] = [*METHODS, *(rules.create(name) for name in rules.available())]
EVERY += [ms.MGDA(scope="encoder"), ms.PCGrad(scope="encoder")]


def batches(size: int = 16, **settings: Any) -> ms.Batches:
    return ms.Batches(*SAMPLES, size=size, **settings)


# ------------------------ against autograd on the whole network


@pytest.mark.parametrize("method", EVERY, ids=repr)
@pytest.mark.parametrize("replace", [False, True])
def test_sgd_is_that_of_the_whole_network(method: AnySolver, replace: bool) -> None:
    drawn = batches(replace=replace, seed=3)
    scale = method.weight_sum(2) if isinstance(method, Rule) else 1 + method.lam
    run_settings: dict[str, Any] = {
        "batches": drawn,
        "steps": 220,
        "step_size": 0.05 / scale,
        "init_scale": 0.1,
        "width": 20,
        "seed": 1,
        "record_maps": True,
    }
    exact = ms.simulate(drawn.problem, method, **run_settings)
    assert exact.loss_mm[-1] < 0.8 * exact.loss_mm[0]
    assert (
        np.ptp((exact.batch_loss_mm - exact.loss_mm).values) > 0.05
    )  # batches differ from all data
    assert_same(exact, ms.simulate(drawn.problem, method, engine="autograd", **run_settings))


@pytest.mark.parametrize(
    "method", [ms.MIMO(2.0, 0.1, f_star="running_minimum", heads="plain"), ms.Vanilla()], ids=repr
)
def test_with_momentum_decay_and_averages(method: AnySolver) -> None:
    drawn = batches(replace=True)
    run_settings: dict[str, Any] = {
        "batches": drawn,
        "steps": 220,
        "step_size": 0.01,
        "init_scale": 0.1,
        "width": 20,
        "weight_decay": 0.02,
        "momentum": 0.6,
        "decay": 0.9 if isinstance(method, ms.MIMO) else 0.0,
        "record_every": 7,
    }
    exact = ms.simulate(drawn.problem, method, **run_settings)
    assert_same(exact, ms.simulate(drawn.problem, method, engine="autograd", **run_settings))


@settings(max_examples=20)
@given(st.data())
def test_sgd_for_any_sizes(data: st.DataObject) -> None:
    dims = data.draw(st.lists(st.integers(1, 3), min_size=2, max_size=3))
    m, n = data.draw(st.integers(1, 2)), data.draw(st.integers(2, 9))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    inputs, y = [rng.standard_normal((n, d)) for d in dims], rng.standard_normal((n, m))
    drawn = ms.Batches(
        inputs,
        y,
        size=data.draw(st.integers(1, n)),
        seed=data.draw(st.integers(0, 9)),
        replace=data.draw(st.booleans()),
    )
    method = data.draw(
        st.one_of(
            methods(num_modalities=len(dims)),
            st.sampled_from([ms.LinearScalarization(), ms.OGM(), ms.STCH()]),
        )
    )
    weights = data.draw(
        initial_weights(drawn.problem, width=st.sampled_from((2, 1, 9)), scale=0.375)
    )
    lam = 1.0 if isinstance(method, Rule) else method.lam
    run_settings: dict[str, Any] = {
        "batches": drawn,
        "initial": weights,
        "step_size": 0.02 / (1 + lam),
        "steps": 20,
        "record_every": data.draw(st.sampled_from((1, 7))),
        "record_maps": data.draw(st.booleans()),
    }
    assert_same(
        ms.simulate(drawn.problem, method, **run_settings),
        ms.simulate(drawn.problem, method, engine="autograd", **run_settings),
    )


@pytest.mark.slow
def test_the_loop_for_exact_sizes_is_the_loop_for_any(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, method = batches(), ms.MIMO(2.0, 0.1, f_star="running_minimum")
    run_settings: dict[str, Any] = {"batches": drawn, "steps": 100, "step_size": 0.02}
    any_size = ms.simulate(drawn.problem, method, **run_settings)
    monkeypatch.setattr("mimo_sim.dynamics.engines.gram.STATIC_SIZE", 400)
    assert_same(any_size, ms.simulate(drawn.problem, method, **run_settings))


# ------------------------ against full batches, and by definition


@pytest.mark.parametrize("method", [ms.MIMO(2.0, 0.1, f_star="running_minimum"), ms.MMPareto()])
def test_one_batch_of_all_samples_is_the_full_batch(method: AnySolver) -> None:
    drawn = batches(size=96)
    run_settings: dict[str, Any] = {"steps": 200, "step_size": 0.02, "init_scale": 0.1}
    whole = ms.simulate(drawn.problem, method, **run_settings)
    sgd = ms.simulate(drawn.problem, method, batches=drawn, **run_settings)
    np.testing.assert_allclose(sgd.batch_loss_mm, sgd.loss_mm, rtol=1e-12)
    np.testing.assert_allclose(sgd.batch_loss_uni, sgd.loss_uni, rtol=1e-12)
    common = [name for name in whole.data_vars if name not in ("weight_mm", "weight_uni")]
    assert_same(whole[common], sgd[common])


def test_sigma_follows_averages_of_the_batch_losses() -> None:
    drawn, method = batches(), ms.MIMO(2.0, 0.1, f_star="running_minimum")
    run = ms.simulate(drawn.problem, method, batches=drawn, steps=60, step_size=0.02, decay=0.8)
    average = run.batch_loss_uni.values.copy()
    for t in range(1, len(average)):
        average[t] = 0.8 * average[t - 1] + 0.2 * average[t]
    gap = average - np.minimum.accumulate(average)
    np.testing.assert_allclose(run.gap, gap, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(run.sigma, ms.objective.sigma_weights(gap, 0.1), rtol=1e-9)


def test_batch_losses_are_those_of_the_drawn_samples() -> None:
    drawn = batches(size=7, replace=True, seed=2)
    run = ms.simulate(
        drawn.problem, ms.Vanilla(), batches=drawn, steps=30, step_size=0.05, record_maps=True
    )
    for t, rows in enumerate(drawn.rows(31)):
        missing = drawn.target[rows] - drawn.inputs[rows] @ run.joint_map.values[t].T
        assert float(run.batch_loss_mm[t]) == pytest.approx(0.5 * np.mean(missing**2), rel=1e-12)


def test_the_width_and_directions_without_data_do_not_matter() -> None:
    """Six samples in twelve dimensions: what the encoder does elsewhere stays as it is."""
    rng = np.random.default_rng(0)
    inputs, y = [rng.standard_normal((6, 12)), rng.standard_normal((6, 2))], rng.standard_normal(6)
    drawn = ms.Batches(inputs, y, size=2)
    first = [rng.standard_normal(shape) / 4 for shape in ((1, 8), (1, 8), (8, 12))]
    second = [rng.standard_normal(shape) / 4 for shape in ((1, 8), (1, 8), (8, 2))]
    basis = np.linalg.svd(inputs[0])[2]
    outside = basis[6:].T @ basis[6:]
    run_settings: dict[str, Any] = {"batches": drawn, "steps": 80, "step_size": 0.02}
    run = ms.simulate(
        drawn.problem, ms.LinearScalarization(), initial=[first, second], **run_settings
    )
    changed = [first[0], first[1], first[2] + rng.standard_normal((8, 12)) @ outside]
    other = ms.simulate(
        drawn.problem, ms.LinearScalarization(), initial=[changed, second], **run_settings
    )
    assert float(np.abs(run.loss_mm - other.loss_mm).max()) < 1e-12
    grown = other.encoder_norm[:, 0] ** 2 - run.encoder_norm[:, 0] ** 2
    np.testing.assert_allclose(grown, grown[0], rtol=1e-10)


@pytest.mark.parametrize(
    ("dims", "m", "width"), [((1,), 1, 3), ((2,), 1, 4), ((1, 1), 1, 3), ((2, 2), 1, 2)]
)
def test_no_smaller_state_would_do(dims: tuple[int, ...], m: int, width: int) -> None:
    """Losses along several orders of batches tell every Gram matrix from its neighbours.

    So the rank of their derivative by all weights is the dimension of the Gram matrices.
    """
    torch.manual_seed(0)
    n, eta, rows = 8, 0.1, [2 * m + d for d in dims]
    x = [torch.randn(n, d, dtype=torch.float64) for d in dims]
    y = torch.randn(n, m, dtype=torch.float64)
    orders = torch.randint(n, (7, 5, 2))

    def losses(flat: torch.Tensor) -> torch.Tensor:
        seen = []
        for order in orders:
            pieces = torch.split(flat, [count * width for count in rows])
            Z = [piece.reshape(count, width) for piece, count in zip(pieces, rows, strict=True)]
            for chosen in order:
                split = [torch.split(z, [m, m, len(z) - 2 * m]) for z in Z]
                inputs = [each[chosen] for each in x]
                pairs = list(zip(inputs, split, strict=True))
                joint = y[chosen] - sum(each @ (w @ v.T) for each, (v, _, w) in pairs)
                alone = [y[chosen] - each @ (w @ u.T) for each, (_, u, w) in pairs]
                seen += [(e**2).sum() for e in (joint, *alone)]
                Z = []
                for (each, (v, u, w)), own in zip(pairs, alone, strict=True):
                    R, Q = joint.T @ each / 2, own.T @ each / 2
                    step = torch.cat([R @ w, Q @ w, R.T @ v + Q.T @ u])
                    Z.append(torch.cat([v, u, w]) + eta * step)
        return torch.stack(seen)

    start = 0.4 * torch.randn(sum(rows) * width, dtype=torch.float64)
    jacobian: Any = torch.autograd.functional.jacobian
    slopes = jacobian(losses, start)
    rank = int(torch.linalg.matrix_rank(slopes, rtol=1e-11))
    ranks = [min(width, count) for count in rows]
    assert rank == sum(count * r - r * (r - 1) // 2 for count, r in zip(rows, ranks, strict=True))


# ------------------------ the order of samples


@pytest.mark.parametrize("replace", [False, True])
@given(
    n=st.integers(1, 30),
    size=st.integers(1, 30),
    count=st.integers(1, 40),
    chunk=st.integers(1, 11),
)
def test_rows(replace: bool, n: int, size: int, count: int, chunk: int) -> None:
    drawn = ms.Batches([np.arange(n)], np.ones(n), size=min(size, n), seed=5, replace=replace)
    rows = drawn.rows(count)
    assert rows.shape == (count, drawn.size)
    assert rows.min() >= 0
    assert rows.max() < n
    np.testing.assert_array_equal(np.concatenate(list(drawn.chunks(count, chunk))), rows)
    np.testing.assert_array_equal(drawn.rows(2 * count)[:count], rows)
    if not replace:
        for first in range(0, count, drawn.per_pass):
            one_pass = rows[first : first + drawn.per_pass].ravel()
            assert len(np.unique(one_pass)) == one_pass.size


@pytest.mark.parametrize("replace", [False, True])
def test_every_sample_comes_equally_often_at_every_place(replace: bool) -> None:
    drawn = ms.Batches([np.arange(6)], np.ones(6), size=3, replace=replace)
    rows = drawn.rows(60_000)
    share = np.array([(rows == i).mean(axis=0) for i in range(6)])
    # 60,000 draws each: a standard deviation of 0.0015; five of them
    assert np.abs(share - 1 / 6).max() < 0.008


def test_seeds() -> None:
    assert (batches(seed=1).rows(20) == batches(seed=1).rows(20)).all()
    assert (batches(seed=1).rows(20) != batches(seed=2).rows(20)).any()
    assert batches(seed=1) == batches(seed=1) != batches(seed=2)
    assert len({batches(seed=1), batches(seed=1), batches(seed=2)}) == 2
    assert "96 samples, dims=(1, 1), output_dim=1, size=16" in repr(batches())


# ------------------------ records and refusals


def test_a_run_is_repeated_from_what_it_holds(tmp_path: Path) -> None:
    drawn = ms.Batches(*SAMPLES, size=5, seed=3, replace=True, names=["left", "right"])
    run = ms.simulate(drawn.problem, ms.MIMO(), batches=drawn, steps=30, step_size=0.002, decay=0.5)
    ms.save(run, tmp_path / "run.nc")
    stored = ms.load(tmp_path / "run.nc")
    assert_identical(run, ms.rerun(stored))
    assert (ms.rerun(stored, decay=0.0).sigma != run.sigma).any()
    whole = ms.rerun(stored, batches=None, decay=0.0)
    assert "batch_loss_mm" not in whole


def test_a_diverging_run_says_when() -> None:
    drawn = batches()
    with pytest.raises(ms.DivergenceError, match="a batch may be steeper") as caught:
        ms.simulate(
            drawn.problem, ms.MIMO(), batches=drawn, steps=500, step_size=2.0, init_scale=0.5
        )
    with pytest.raises(ms.DivergenceError) as same:
        ms.simulate(
            drawn.problem,
            ms.MIMO(),
            batches=drawn,
            steps=500,
            step_size=2.0,
            init_scale=0.5,
            engine="autograd",
        )
    assert caught.value.step == same.value.step > 0


def test_renew_takes_the_place_of_f_star() -> None:
    """The engine's hook, which the study of f* uses, against constants."""
    drawn = batches()
    run_settings: dict[str, Any] = {"batches": drawn, "steps": 30, "step_size": 0.02}
    plain = ms.simulate(drawn.problem, ms.MIMO(2.0, 0.5, f_star="exact"), **run_settings)
    seen = []

    def renew(t: int, records: Any) -> None:
        seen.append((t, records.batch_excess[t - 1].copy()))

    options = Options(0.02, 0.0, recorded_steps(30, 1), False, False, batches=drawn)
    weights = random_weights(drawn.problem, 100, 1e-3, 0)
    engine.train(drawn.problem, ms.MIMO(2.0, 0.5), weights, 1e-3, options, renew)
    assert [t for t, _ in seen] == [6, 12, 18, 24, 30]
    for t, excess in seen:
        loss = drawn.problem.joint_optimum + excess[0]
        assert loss == pytest.approx(float(plain.batch_loss_mm[t - 1]), rel=1e-12)
    moved = engine.train(
        drawn.problem,
        ms.MIMO(2.0, 0.5),
        weights,
        1e-3,
        options,
        lambda t, records: np.array([0.3, 0.0]) if t == 12 else None,
    )
    assert (moved.f_star_excess[:12] == 0).all()
    assert (moved.f_star_excess[12:] == [0.3, 0.0]).all()


DATA: dict[str, Any] = {"inputs": SAMPLES[0], "y": SAMPLES[1], "size": 4}
BAD_BATCHES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"size": 97}, ValueError, "`size` must be <= 96"),
    ({"size": 0}, ValueError, "`size` must be >= 1"),
    ({"seed": -1}, ValueError, "`seed` must be >= 0"),
    ({"replace": 1}, TypeError, "`replace` must be True or False"),
    ({"y": np.ones(95)}, ValueError, r"`inputs\[0\]` must have shape \(n, d_k\) with n = 95"),
]
BAD_RUNS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"batches": 3}, TypeError, "`batches` must be mimo_sim.Batches. Got int"),
    ({"problem": NOISY}, ValueError, "`problem` must be `batches.problem`"),
    ({"engine": "flow"}, ValueError, "`batches` need discrete steps"),
    ({"step_size": None}, ValueError, "`step_size` must be given with `batches`"),
    ({"decay": 1.0}, ValueError, r"`decay` must be in \[0, 1\)"),
    ({"decay": 0.5, "method": ms.MGDA()}, ValueError, "`decay` smooths the losses"),
    ({"decay": 0.5, "batches": None}, ValueError, "`decay` smooths the losses"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD_BATCHES, ids=str)
def test_bad_batches_are_refused(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ms.Batches(**(DATA | change))


@pytest.mark.parametrize(("change", "error", "message"), BAD_RUNS, ids=str)
def test_bad_runs_are_refused(change: dict[str, Any], error: type[Exception], message: str) -> None:
    drawn = batches()
    arguments: dict[str, Any] = {"problem": drawn.problem, "method": ms.MIMO(), "batches": drawn}
    arguments |= {"step_size": 0.01, "steps": 1} | change
    with pytest.raises(error, match=message):
        ms.simulate(arguments.pop("problem"), arguments.pop("method"), **arguments)
