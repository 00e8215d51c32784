"""What a sweep refuses: another sweep's files, points without a problem, bad arguments."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import mimo_sim as ms
from mimo_sim.errors import GenerationError
from mimo_sim.generators import random_problem, scalar_pair
from mimo_sim.sweeps import _backends, sweep
from mimo_sim.sweeps._recipe import compute
from tests.sweeps.designs import GRID, SETTINGS, interrupted


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


def test_a_kill_while_an_old_sweep_is_removed_leaves_a_folder_of_chunks(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(stored, tmp_path, dirs_exist_ok=True)
    again = partial(sweep, "scalar-pair", {"rho": [0.0]}, **SETTINGS, overwrite=True)
    removed: list[Path] = []

    def kill(path: Path, *_: Any, **__: Any) -> None:
        if removed:
            raise KeyboardInterrupt
        removed.append(path)
        os.unlink(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", kill)
        with pytest.raises(KeyboardInterrupt):
            again(out=tmp_path / "unfinished.nc")
    assert removed
    assert (tmp_path / "unfinished.nc.chunks/design.json").is_file()
    result = again(out=tmp_path / "unfinished.nc")
    assert ms.load(tmp_path / "unfinished.nc").identical(result)
    assert not (tmp_path / "unfinished.nc.chunks").exists()


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


def test_a_point_without_a_problem_is_named_or_left_out(reference: xr.Dataset) -> None:
    axes = {"rho": [-1.0, 0.5, 1.0], "lam": 0.5}
    with pytest.raises(ValueError, match=r"no problem at rho=-1\.0\. `rho` must lie in \(-1, 1\)"):
        sweep("scalar-pair", axes, **SETTINGS)
    data = sweep("scalar-pair", axes, **SETTINGS, on_error="nan", chunk=2)
    assert data.status.values.tolist() == [[-1, -1], [0, 0], [-1, -1]]
    assert np.isnan(data.half_time.sel(rho=[-1.0, 1.0])).all()
    there, same = data.sel(rho=0.5), reference.sel(rho=0.5, sigma_ratio=2.0, lam=0.5)
    np.testing.assert_array_equal(there.encoder_norm.values, same.encoder_norm.values)
    both = {"rho": [-1.0, 0.5], "sigma_ratio": [0.0, 2.0]}  # only the last of four points exists
    found = sweep("scalar-pair", both, **SETTINGS, on_error="nan")
    assert found.status.values[..., 0].tolist() == [[-1, -1], [-1, 0]]
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
        r"Axis 'tau' is not a parameter of this problem.*"
        "Known here: sigma_ratio, rho, noise_variance, lam",
    ),
    ({"axes": {"lam": [1.0]}, "method": "vanilla"}, "Axis 'lam' is not a parameter"),
    ({"axes": {"train_size": 50, "batch_size": [None, 10]}}, "`batch_size` must be whole numbers"),
    ({"axes": {"train_size": 50, "batch_size": None}}, r"`batch_size` must .*Got batch_size=None"),
    (
        {"axes": {"problem_seed": ("int", 0.2, 0.7)}, "problem": "random", "samples": 5},
        "whole bounds for 'int'",
    ),
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
    ({"axes": {"heads": ["gradient", "bald"]}}, "`heads` must be one of"),
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

    monkeypatch.setattr(_backends, "compute", elsewhere)
    with pytest.raises(RuntimeError, match=r"A worker has mimo_sim 0\.0\.0"):
        sweep("scalar-pair", {"rho": [0.0]}, **SETTINGS)


def test_problems_with_other_modalities_are_refused() -> None:
    def named(name: str) -> ms.LateFusionProblem:
        return ms.LateFusionProblem([[1]], [0.5], 1.0, names=[name])

    with pytest.raises(ValueError, match="must have the same modalities"):
        sweep(named, {"name": ["sound", "image"]}, steps=1, step_size=1e-3)
