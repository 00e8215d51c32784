"""Sweeps: every run is where its labels say, and nothing about how it was computed can be seen in the result."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim.dynamics.ensemble.driver import simulate_ensemble
from mimo_sim.errors import GenerationError
from mimo_sim.generators import random_problem, scalar_pair, scalar_pairs
from mimo_sim.sweeps import backends, sweep
from mimo_sim.sweeps.recipe import compute

GRID: dict[str, Any] = {
    "lam": [0.5, 5.0],
    "sigma_ratio": [2.0, 3.0],
    "rho": [-0.5, 0.0, 0.5],
}  # lam first: not the order in which runs are numbered
SETTINGS: dict[str, Any] = {"steps": 60, "step_size": 1e-2, "init_scale": 0.1, "seeds": 2}


@pytest.fixture(scope="module")
def reference() -> xr.Dataset:
    return sweep("scalar-pair", GRID, **SETTINGS)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the chunks that this process computes."""
    numbers: list[int] = []

    def counted(recipe: Any, index: int, *arguments: Any) -> Any:
        numbers.append(index)
        return compute(recipe, index, *arguments)

    monkeypatch.setattr(backends, "compute", counted)
    return numbers


def stopping(after: int, error: BaseException) -> Callable[..., Any]:
    """`compute` that fails after so many chunks."""
    calls = itertools.count()

    def chunk(*arguments: Any) -> Any:
        if next(calls) == after:
            raise error
        return compute(*arguments)

    return chunk


# ---------------------------------------------------------------- labels

AXES: dict[str, st.SearchStrategy[list[Any]]] = {
    "sigma_ratio": st.lists(st.floats(1.1, 3), min_size=1, max_size=2, unique=True),
    "rho": st.lists(st.floats(-0.8, 0.8), min_size=1, max_size=3, unique=True),
    "lam": st.lists(st.floats(0, 5), min_size=1, max_size=2, unique=True),
    "heads": st.permutations(["gradient", "plain"]),
    "init_scale": st.lists(st.floats(1e-3, 0.3), min_size=1, max_size=2, unique=True),
    "width": st.permutations([7, 100]),
}


@settings(max_examples=12)
@given(st.data())
def test_every_run_is_where_its_labels_say(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(list(AXES)), unique=True, max_size=3))
    axes = {name: data.draw(AXES[name]) for name in names}
    seeds = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=2, unique=True))
    result = sweep(
        "scalar-pair",
        axes,
        seeds=seeds,
        steps=3,
        step_size=0.01,
        chunk=data.draw(st.integers(1, 9)),
    )
    assert result.loss_mm.dims == (*names, "seed")
    assert result.encoder_norm.dims == (*names, "seed", "modality")
    for place in itertools.product(*map(range, result.loss_mm.shape)):
        found = result.isel(dict(zip(result.loss_mm.dims, place, strict=True)))
        point = {name: axes[name][i] for name, i in zip(names, place, strict=False)}
        assert all(
            str(found[name].item()) == str(value) or found[name].item() == value
            for name, value in point.items()
        )
        problem = scalar_pair(
            **{name: point[name] for name in ("sigma_ratio", "rho") if name in point}
        )
        method = ms.MIMO(**{name: point[name] for name in ("lam", "heads") if name in point})
        own: dict[str, Any] = {
            name: point[name] for name in ("init_scale", "width") if name in point
        }
        alone = simulate_ensemble(
            problem, method, steps=3, step_size=0.01, seed=seeds[place[-1]], **own
        ).isel(run=0)
        for name in ("loss_mm", "objective", "encoder_norm", "gap", "sigma", "status"):
            np.testing.assert_array_equal(found[name].values, alone[name].values, err_msg=name)


def test_it_measures_what_simulate_measures() -> None:
    result = sweep(
        "scalar-pair",
        {"rho": [0.0, 0.5]},
        method="vanilla",
        steps=3000,
        step_size=5e-3,
        init_scale=1e-4,
        seeds=2,
    )
    for rho, seed in itertools.product((0.0, 0.5), (0, 1)):
        run = ms.simulate(
            scalar_pair(rho=rho),
            ms.Vanilla(),
            steps=3000,
            step_size=5e-3,
            init_scale=1e-4,
            seed=seed,
        )
        assert (
            result.half_time.sel(rho=rho, seed=seed).values.tolist()
            == ms.half_times(run).values.tolist()
        )


def test_methods_are_an_axis_and_a_single_value_is_none() -> None:
    axes = {"method": ["vanilla", "mimo", ms.MIMO(lam=1.0)], "rho": 0.25}
    result = sweep(
        "scalar-pair", axes, method=ms.MIMO(lam=3.0), steps=40, step_size=0.01, init_scale=0.3
    )
    assert result.method.values.tolist() == ["vanilla", "mimo", repr(ms.MIMO(lam=1.0))]
    methods: list[ms.solvers.Solver] = [
        ms.Vanilla(),
        ms.MIMO(lam=3.0),
        ms.MIMO(lam=1.0),
    ]  # "mimo" is the one that was given
    expected = simulate_ensemble(
        scalar_pair(rho=0.25), methods, steps=40, step_size=0.01, init_scale=0.3
    )
    assert result.objective.dims == ("method", "seed")
    np.testing.assert_array_equal(result.objective.values[:, 0], expected.objective.values)
    assert len(set(result.objective.values.ravel())) == 3


def test_problems_come_from_functions_and_from_themselves() -> None:
    make = partial(random_problem, dims=(1, 2))
    result = sweep(make, {"problem_seed": [4, 7], "noise_variance": 0.5}, steps=5, step_size=1e-3)
    for seed in (4, 7):
        problem = random_problem((1, 2), seed, noise_variance=0.5)
        expected = simulate_ensemble(problem, ms.MIMO(), steps=5, step_size=1e-3).loss_mm.item()
        assert result.loss_mm.sel(problem_seed=seed).item() == expected
        assert sweep(problem, {}, steps=5, step_size=1e-3).loss_mm.item() == expected
    sizes = sweep(make, {"dims": [(1, 1), (1, 2)]}, steps=5, step_size=1e-3, chunk=1)
    assert sizes["dims"].values.tolist() == ["(1, 1)", "(1, 2)"]
    for size in ((1, 1), (1, 2)):
        alone = simulate_ensemble(random_problem(size), ms.MIMO(), steps=5, step_size=1e-3)
        np.testing.assert_array_equal(
            sizes.encoder_norm.sel(dims=str(size)).values, alone.encoder_norm.values
        )


def test_the_default_step_size_is_each_runs_own() -> None:
    result = sweep("scalar-pair", {"lam": [1.0, 10.0]}, steps=5, init_scale=1e-2)
    assert result.step_size.dims == ("lam", "seed")
    for lam in (1.0, 10.0):
        run = ms.simulate(scalar_pair(), ms.MIMO(lam=lam), steps=5, init_scale=1e-2)
        assert result.step_size.sel(lam=lam).item() == run.attrs["step_size"]


NUMBERS = st.floats(-2, 2) | st.integers(-2, 2)


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "sigma_ratio": NUMBERS | st.floats(1e-4, 1e4),
                "rho": NUMBERS,
                "noise_variance": NUMBERS,
            },
        ),
        max_size=5,
    )
)
def test_many_scalar_pairs_are_the_same_bit_by_bit(points: list[dict[str, float]]) -> None:
    for point, problem in zip(points, scalar_pairs(points), strict=True):
        if problem is None:  # left to scalar_pair, which refuses it or takes more care
            assert (
                not 1e-3 <= point.get("sigma_ratio", 2.0) <= 1e3
                or not abs(point.get("rho", 0.5)) < 0.999
                or point.get("noise_variance", 0.0) < 0
            )
            continue
        expected = scalar_pair(**point)
        assert (problem, problem.names, problem.joint_optimum) == (
            expected,
            expected.names,
            expected.joint_optimum,
        )
        for found, wanted in zip(
            (problem.joint_map, *problem.unimodal_maps),
            (expected.joint_map, *expected.unimodal_maps),
            strict=True,
        ):
            assert found.tolist() == wanted.tolist()
            assert not found.flags.writeable
        assert problem.unimodal_optima.tolist() == expected.unimodal_optima.tolist()
        assert {name: str(vars(expected)[name]) for name in vars(problem)} == {
            name: str(value) for name, value in vars(problem).items()
        }
        with pytest.raises(AttributeError, match="immutable"):
            problem.dims = (1, 2)


# ---------------------------------------------------------------- random designs


def drawn(samples: int = 300, **more: Any) -> xr.Dataset:
    axes = {
        "rho": (-0.5, 0.5),
        "lam": ("log", 1e-2, 1e2),
        "width": ("int", 3, 5),
        "method": ["vanilla", "mimo"],
    } | more
    return sweep("scalar-pair", axes, samples=samples, steps=1, step_size=1e-3)


def test_draws_follow_their_laws_and_pair_the_other_axes() -> None:
    data = drawn()
    assert data.loss_mm.dims == ("sample", "method", "seed")
    error = 4 / np.sqrt(300)  # four standard errors of a mean, in standard deviations
    for values, low, high in ((data.rho, -0.5, 0.5), (np.log(data.lam), np.log(1e-2), np.log(1e2))):
        assert low <= values.min() < values.max() <= high
        assert abs(float(values.mean()) - (low + high) / 2) < error * (high - low) / np.sqrt(12)
        assert float(values.std()) == pytest.approx((high - low) / np.sqrt(12), rel=error)
    assert np.unique(data.width).tolist() == [
        3,
        4,
        5,
    ]  # not below 3: fewer columns would be compiled for
    assert abs(np.corrcoef(data.rho, np.log(data.lam))[0, 1]) < error


def test_draws_depend_on_name_law_and_seed_alone() -> None:
    data, longer, wider = drawn(5), drawn(8), drawn(5, sigma_ratio=(1.0, 2.0))
    for name in ("rho", "lam", "width"):
        assert (
            data[name].values.tolist()
            == longer[name].values[:5].tolist()
            == wider[name].values.tolist()
        )
    other = sweep(
        "scalar-pair", {"rho": (-0.5, 0.5)}, samples=5, design_seed=1, steps=1, step_size=1e-3
    )
    assert not set(other.rho.values) & set(data.rho.values)


# ---------------------------------------------------------------- chunks, backends


@pytest.mark.parametrize(("chunk", "workers"), [(1, 1), (5, 2), (7, 1), (24, 2), (100, None)])
def test_chunks_and_threads_leave_no_trace(
    reference: xr.Dataset, chunk: int, workers: int | None
) -> None:
    assert sweep("scalar-pair", GRID, **SETTINGS, chunk=chunk, workers=workers).identical(reference)


def test_processes_give_the_same(reference: xr.Dataset) -> None:
    assert sweep(
        "scalar-pair", GRID, **SETTINGS, chunk=5, backend="processes", workers=2
    ).identical(reference)


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_gives_the_same(
    reference: xr.Dataset, tmp_path: Path
) -> None:
    distributed = pytest.importorskip("distributed")
    out, killed = tmp_path / "sweep.nc", []

    def kill(pid: int) -> None:
        folder = tmp_path / "sweep.nc.chunks"
        while not list(folder.glob("[0-9]*.chunk")):
            time.sleep(0.001)
        os.kill(pid, signal.SIGKILL)
        killed.append(len(list(folder.glob("[0-9]*.chunk"))))

    axes, options = GRID | {"rho": np.linspace(-0.8, 0.8, 9)}, SETTINGS | {"steps": 5_000}
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs="CRITICAL"
    ) as cluster:
        victim = cluster.workers[0].pid
        killer = threading.Thread(target=kill, args=(victim,))
        killer.start()
        found = sweep(
            "scalar-pair",
            axes,
            **options,
            out=out,
            chunk=2,
            backend="dask",
            cluster=cluster.scheduler_address,
        )
        killer.join()
        assert victim not in [worker.pid for worker in cluster.workers.values()]
    assert 0 < killed[0] < 36  # midway
    assert found.identical(sweep("scalar-pair", axes, **options))
    assert ms.load(out).identical(found)


def test_a_lost_process_is_an_error_that_says_how_to_go_on(tmp_path: Path) -> None:
    axes = {"rho": [0.0, 0.1, 0.2], "parent": os.getpid()}
    with pytest.raises(ChildProcessError, match="ended unexpectedly") as raised:
        sweep(
            _suicidal,
            axes,
            steps=2,
            step_size=1e-3,
            backend="processes",
            workers=2,
            chunk=1,
            out=tmp_path / "sweep.nc",
        )
    assert "of 3 chunks are kept in" in raised.value.__notes__[0]


def _suicidal(rho: float, parent: int) -> ms.LateFusionProblem:
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return scalar_pair(rho=rho)


# ---------------------------------------------------------------- resuming


def interrupted(after: int, error: BaseException, **arguments: Any) -> BaseException:
    """A sweep that ends so after so many chunks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backends, "compute", stopping(after, error))
        with pytest.raises(type(error)) as stopped:
            sweep("scalar-pair", GRID, **SETTINGS, **arguments)
    return stopped.value


def test_an_interrupted_sweep_computes_only_what_is_missing(
    reference: xr.Dataset, tmp_path: Path, computed: list[int]
) -> None:
    out = tmp_path / "deep" / "sweep.nc"
    stopped = interrupted(2, KeyboardInterrupt(), out=out, chunk=5)
    assert stopped.__notes__ == [
        f"2 of 5 chunks are kept in {out}.chunks; the same call continues from there."
    ]
    assert not out.exists()
    result = sweep("scalar-pair", GRID, **SETTINGS, out=out, chunk=5)
    assert computed == [2, 3, 4]
    assert result.identical(reference)
    assert ms.load(out).identical(reference)
    assert [path.name for path in out.parent.iterdir()] == ["sweep.nc"]
    again = sweep("scalar-pair", GRID, **SETTINGS, out=out, chunk=5)
    assert computed == [2, 3, 4]  # a finished sweep is read, not computed
    assert again.identical(reference)


def test_the_file_is_the_same_whatever_happened(tmp_path: Path) -> None:
    sweep("scalar-pair", GRID, **SETTINGS, out=tmp_path / "whole.nc")
    for after in (0, 3):
        interrupted(after, OSError("No space left on device"), out=tmp_path / "parts.nc", chunk=4)
    sweep("scalar-pair", GRID, **SETTINGS, out=tmp_path / "parts.nc", chunk=4, workers=2)
    assert (tmp_path / "whole.nc").read_bytes() == (tmp_path / "parts.nc").read_bytes()


def _emptied(content: bytes) -> bytes:
    return b""


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("damage", [_emptied, _cut, _flipped])
def test_a_damaged_chunk_is_computed_again(
    reference: xr.Dataset, tmp_path: Path, computed: list[int], damage: Callable[[bytes], bytes]
) -> None:
    interrupted(3, KeyboardInterrupt(), out=tmp_path / "sweep.nc", chunk=6)
    chunk = tmp_path / "sweep.nc.chunks" / "1.chunk"
    chunk.write_bytes(damage(chunk.read_bytes()))
    assert sweep("scalar-pair", GRID, **SETTINGS, out=tmp_path / "sweep.nc", chunk=6).identical(
        reference
    )
    assert computed == [1, 3]


def test_a_sweep_killed_before_its_first_chunk_starts_again(
    reference: xr.Dataset, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep.nc.chunks"
    folder.mkdir()
    (folder / ".design.1.part.json").write_text('{"pro')
    assert sweep("scalar-pair", GRID, **SETTINGS, out=tmp_path / "sweep.nc").identical(reference)
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.nc"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished sweep and an unfinished one."""
    folder = tmp_path_factory.mktemp("stored")
    sweep("scalar-pair", GRID, **SETTINGS, out=folder / "finished.nc", chunk=8)
    interrupted(2, KeyboardInterrupt(), out=folder / "unfinished.nc", chunk=8)
    return folder


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("axes, fingerprint", {"axes": GRID | {"rho": [0.1]}}),
    ("init_scale", {"init_scale": 0.2}),
    ("seeds", {"seeds": 3}),
    ("steps", {"steps": 61}),
    ("axes, fingerprint, method", {"method": "vanilla", "axes": {"rho": [0.0]}}),
    ("method", {"method": ms.MIMO(mu=0.1)}),
    ("axes, fingerprint, problem", {"problem": "superficial", "axes": {"lam": [1.0]}}),
]


@pytest.mark.parametrize("name", ["finished", "unfinished"])
@pytest.mark.parametrize(("different", "changes"), CHANGES)
def test_another_sweep_in_the_same_place_is_refused(
    different: str, changes: dict[str, Any], name: str, stored: Path
) -> None:
    before = {path: path.read_bytes() for path in stored.rglob("*") if path.is_file()}
    arguments: dict[str, Any] = (
        {"problem": "scalar-pair", "axes": GRID, "chunk": 8} | SETTINGS | changes
    )
    with pytest.raises(
        ValueError, match=rf"holds another sweep \(different: {different}\).*overwrite"
    ):
        sweep(**arguments, out=stored / f"{name}.nc")
    assert {path: path.read_bytes() for path in stored.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["finished", "unfinished"])
def test_overwriting_is_possible_when_asked_for(name: str, stored: Path, tmp_path: Path) -> None:
    shutil.copytree(stored, tmp_path, dirs_exist_ok=True)
    result = sweep(
        "scalar-pair", {"rho": [0.0, 0.1]}, **SETTINGS, out=tmp_path / f"{name}.nc", overwrite=True
    )
    assert ms.load(tmp_path / f"{name}.nc").identical(result)
    assert not (tmp_path / f"{name}.nc.chunks").exists()


def test_a_function_that_now_says_something_else_is_noticed(tmp_path: Path) -> None:
    def family(factor: float) -> Callable[..., ms.LateFusionProblem]:
        return lambda rho: scalar_pair(factor, rho)

    sweep(family(2.0), {"rho": [0.0]}, **SETTINGS, out=tmp_path / "sweep.nc")
    with pytest.raises(ValueError, match=r"different: fingerprint\)"):
        sweep(family(3.0), {"rho": [0.0]}, **SETTINGS, out=tmp_path / "sweep.nc")


@pytest.mark.parametrize(
    ("name", "overwrite"),
    [
        ("sweep.nc", False),
        ("sweep.nc.chunks/thesis.tex", False),
        ("sweep.nc.chunks/thesis.tex", True),
    ],
)
def test_files_of_others_are_not_touched(name: str, overwrite: bool, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match="is there already and is not a"):
        sweep("scalar-pair", GRID, **SETTINGS, out=tmp_path / "sweep.nc", overwrite=overwrite)
    assert (tmp_path / name).read_text() == "mine"


def test_the_progress_bar_says_how_fast(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")
    sweep("scalar-pair", GRID, **SETTINGS, chunk=6, progress=True)
    shown = capsys.readouterr()
    assert "run-steps/s" in shown.err
    assert "24/24" in shown.err
    assert shown.out == ""


# ---------------------------------------------------------------- refusals


def test_a_point_without_a_problem_is_named_or_left_out(reference: xr.Dataset) -> None:
    axes = {"rho": [-1.0, 0.5, 1.0], "lam": 0.5}
    with pytest.raises(ValueError, match=r"no problem at rho=-1\.0\. `rho` must lie in \(-1, 1\)"):
        sweep("scalar-pair", axes, **SETTINGS)
    data = sweep("scalar-pair", axes, **SETTINGS, on_error="nan", chunk=2)
    assert data.status.values.tolist() == [[-1, -1], [0, 0], [-1, -1]]
    assert np.isnan(data.half_time.sel(rho=[-1.0, 1.0])).all()
    there, same = data.sel(rho=0.5), reference.sel(rho=0.5, sigma_ratio=2.0, lam=0.5)
    np.testing.assert_array_equal(there.encoder_norm.values, same.encoder_norm.values)
    with pytest.raises(ValueError, match="every point is refused"):
        sweep("scalar-pair", {"rho": [1.0]}, **SETTINGS, on_error="nan")


def test_a_generator_that_gives_up_is_no_different() -> None:
    make = partial(random_problem, dims=(1, 1), require="superficial", max_tries=1)
    found = [seed for seed in range(8) if _superficial(seed)]
    assert 0 < len(found) < 8
    with pytest.raises(GenerationError, match="There is no problem at problem_seed="):
        sweep(make, {"problem_seed": range(8)}, steps=1, step_size=1e-3)
    data = sweep(make, {"problem_seed": range(8)}, steps=1, step_size=1e-3, on_error="nan")
    assert data.problem_seed[data.status[:, 0] >= 0].values.tolist() == found


def _superficial(seed: int) -> bool:
    return ms.theory.superficial_preference(random_problem((1, 1), seed)).holds


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"problem": "spiral"}, r"`problem` must be one of .*scalar-pair.* Got problem='spiral'"),
    (
        {"axes": {"tau": [1.0]}},
        r"Axis 'tau' is not a parameter of this problem.*Known here: sigma_ratio, rho, noise_variance, lam",
    ),
    ({"axes": {"lam": [1.0]}, "method": "vanilla"}, "Axis 'lam' is not a parameter"),
    ({"axes": {"seed": [1]}}, "Axis 'seed' is not a parameter"),
    ({"axes": ["rho"]}, "`axes` must be a mapping"),
    ({"axes": {"rho": []}}, "Axis `rho` must have at least one value"),
    ({"axes": {"rho": [0.1, 0.1]}}, "values of axis `rho` must differ"),
    ({"axes": {"rho": [0.1, 2.0]}}, r"no problem at rho=2\.0\. `rho` must lie in"),
    (
        {"axes": {"sigma_ratio": -1.0}},
        r"no problem at sigma_ratio=-1\.0\. `sigma_ratio` must be finite",
    ),
    ({"axes": {"lam": [1.0, -1.0]}}, r"`lam` must be finite and >= 0\. Got lam=-1"),
    ({"axes": {"mu": [0.0]}}, "`mu` must be finite and > 0"),
    ({"axes": {"heads": ["gradient", "bald"]}}, "`heads` of MIMO must be one of"),
    ({"axes": {"init_scale": [0.1, 0.0]}}, "`init_scale` must be finite and > 0"),
    ({"axes": {"width": [10, 0]}}, "`width` must be >= 1"),
    ({"axes": {"step_size": [-0.1]}}, "`step_size` must be finite and > 0"),
    ({"axes": {"method": ["mimo", "sgd"]}}, r"`method` must be one of .* Got 'sgd'"),
    ({"method": "sgd"}, r"`method` must be one of .* Got 'sgd'"),
    ({"axes": {"rho": ("log", 0.1, 1.0)}}, "A random design needs `samples`"),
    ({"axes": {"rho": [0.1]}, "samples": 3}, "`samples` needs an axis that is a distribution"),
    ({"axes": {"rho": (0.5, 0.1)}, "samples": 3}, "A tuple is a distribution"),
    ({"axes": {"lam": ("log", 0.0, 1.0)}, "samples": 3}, "low > 0"),
    ({"axes": {"rho": (0.1, 0.2, 0.3)}, "samples": 3}, "A tuple is a distribution"),
    ({"samples": 0}, "`samples` must be >= 1"),
    ({"seeds": 0}, "`seeds` must have at least one"),
    ({"seeds": [-1]}, "`seed` must be >= 0"),
    ({"seeds": [2**63]}, r"`seeds` must be below 2\*\*63"),
    ({"steps": 0}, "`steps` must be >= 1"),
    ({"chunk": 0}, "`chunk` must be >= 1"),
    ({"workers": 0}, "`workers` must be >= 1"),
    ({"tolerance": -1.0}, "`tolerance` must be finite and > 0"),
    ({"backend": "mpi"}, r"`backend` must be one of \('threads', 'processes', 'dask'\)"),
    ({"backend": "dask"}, "`cluster` and backend='dask' go together"),
    ({"cluster": "local"}, "`cluster` and backend='dask' go together"),
    ({"engine": "abacus"}, "`engine` must be one of"),
    ({"on_error": "ignore"}, "`on_error` must be one of"),
    ({"out": "sweep.zarr"}, r"`out` must end in \.nc"),
]


@pytest.mark.parametrize(("wrong", "words"), REFUSALS)
def test_refusals_come_before_any_work(
    wrong: dict[str, Any],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    computed: list[int],
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = (
        {"problem": "scalar-pair", "axes": {"rho": [0.0]}, "out": "sweep.nc"} | SETTINGS | wrong
    )
    with pytest.raises((ValueError, TypeError), match=words):
        sweep(**arguments)
    assert computed == []
    assert list(tmp_path.iterdir()) == []


def test_a_worker_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(*arguments: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ms, "__version__", "0.0.0")
            return compute(*arguments)

    monkeypatch.setattr(backends, "compute", elsewhere)
    with pytest.raises(RuntimeError, match=r"A worker has mimo_sim 0\.0\.0"):
        sweep("scalar-pair", {"rho": [0.0]}, **SETTINGS)


def test_problems_with_other_modalities_are_refused() -> None:
    def named(name: str) -> ms.LateFusionProblem:
        return ms.LateFusionProblem([[1]], [0.5], 1.0, names=[name])

    with pytest.raises(ValueError, match="must have the same modalities"):
        sweep(named, {"name": ["sound", "image"]}, steps=1, step_size=1e-3)
