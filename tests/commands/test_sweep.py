"""`mimo-sim sweep` as a user meets it, kills included."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mimo_sim as ms
from mimo_sim.solvers import Solver
from mimo_sim.sweeps import _backends, sweep
from mimo_sim.sweeps._recipe import compute
from tests.commands.tool import run_here

CHUNKS = 40
LONG = [
    "--axis",
    "rho=-0.8:0.8:40",
    "--seeds",
    "3",
    "--method",
    "vanilla",
    "--steps",
    "4000",
    "--step-size",
    "1e-3",
    "--chunk",
    "3",
    "--workers",
    "1",
]


def test_a_killed_sweep_loses_no_finished_chunk_and_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, folder = tmp_path / "sweep.nc", tmp_path / "sweep.nc.chunks"
    with subprocess.Popen(
        [sys.executable, "-m", "mimo_sim", "sweep", *LONG, "--out", str(out), "--quiet"],
        env=os.environ,
    ) as process:
        while process.poll() is None and len(list(folder.glob("[0-9]*.chunk"))) < 3:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    kept = {int(path.stem) for path in folder.glob("[0-9]*.chunk")}
    assert 3 <= len(kept) < CHUNKS
    assert not out.exists()

    computed: list[int] = []

    def counted(recipe: Any, index: int, *arguments: Any) -> Any:
        computed.append(index)
        return compute(recipe, index, *arguments)

    monkeypatch.setattr(_backends, "compute", counted)
    assert run_here(monkeypatch, "sweep", *LONG, "--out", str(out), "--quiet") == 0
    assert sorted(computed) == sorted(
        set(range(CHUNKS)) - kept
    )  # the one in progress at the kill, at most, was computed twice
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.nc"]
    assert (
        run_here(monkeypatch, "sweep", *LONG, "--out", str(tmp_path / "whole.nc"), "--quiet") == 0
    )
    assert out.read_bytes() == (tmp_path / "whole.nc").read_bytes()


def test_ctrl_c_says_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(recipe: Any, index: int, *arguments: Any) -> Any:
        if index == 2:
            raise KeyboardInterrupt
        return compute(recipe, index, *arguments)

    monkeypatch.setattr(_backends, "compute", stopped)
    assert run_here(monkeypatch, "sweep", *LONG, "--out", str(tmp_path / "sweep.nc")) == 130
    assert (
        f"2 of {CHUNKS} chunks are kept in {tmp_path / 'sweep.nc'}.chunks;"
        " the same call continues from there." in capsys.readouterr().err
    )


def test_a_grid_from_the_command_line_is_the_one_from_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    axes = [
        "--axis",
        "sigma-ratio=1.5,2",
        "--axis",
        "lam=log:0.1:10:3",
        "--axis",
        "width=10:30:3",
        "--set",
        "noise_variance=0.25",
        "--axis",
        "heads=plain",
    ]
    own = [
        "--seeds",
        "2",
        "--mu",
        "0.1",
        "--steps",
        "30",
        "--step-size",
        "0.01",
        "--init-scale",
        "0.1",
    ]
    assert run_here(monkeypatch, "sweep", *axes, *own, "--out", str(tmp_path / "sweep.nc")) == 0
    said = capsys.readouterr()
    assert (
        "36 runs (sigma_ratio 2 x lam 3 x width 3 x heads 1 x seed 2): 36 used all steps"
        in said.out
    )
    assert f"wrote {tmp_path / 'sweep.nc'}" in said.out
    assert said.err == ""
    assert run_here(monkeypatch, "sweep", *axes, *own, "--out", str(tmp_path / "sweep.nc")) == 0
    assert f"{tmp_path / 'sweep.nc'} was there already" in capsys.readouterr().out
    grid = {
        "sigma_ratio": [1.5, 2],
        "lam": np.geomspace(0.1, 10, 3),
        "width": [10, 20, 30],
        "heads": ["plain"],
        "noise_variance": 0.25,
    }
    expected = sweep(
        "scalar-pair",
        grid,
        method=ms.MIMO(mu=0.1),
        seeds=2,
        steps=30,
        step_size=0.01,
        init_scale=0.1,
    )
    assert ms.load(tmp_path / "sweep.nc").identical(expected)


def test_random_designs_and_files_of_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laws = [
        "--samples",
        "4",
        "--design-seed",
        "3",
        "--random",
        "problem_seed=int:0:99",
        "--random",
        "lam=log:0.1:10",
        "--random",
        "mu=0.1:0.2",
    ]
    own = ["--quiet", "--steps", "5", "--step-size", "0.001"]
    assert (
        run_here(
            monkeypatch,
            "sweep",
            "--problem",
            "random",
            "--axis",
            "dims=1x1",
            *laws,
            *own,
            "--out",
            str(tmp_path / "random.nc"),
        )
        == 0
    )
    axes = {
        "dims": [(1, 1)],
        "problem_seed": ("int", 0, 99),
        "lam": ("log", 0.1, 10),
        "mu": (0.1, 0.2),
    }
    found = ms.load(tmp_path / "random.nc")
    assert found.sizes["sample"] == 4
    assert found.identical(
        sweep("random", axes, samples=4, design_seed=3, steps=5, step_size=0.001)
    )
    problem = ms.generators.scalar_pair(2.5, 0.25)
    problem.save(tmp_path / "problem.json")
    assert (
        run_here(
            monkeypatch,
            "sweep",
            "--problem",
            str(tmp_path / "problem.json"),
            "--axis",
            "lam=1,2",
            *own,
            "--out",
            str(tmp_path / "file.nc"),
        )
        == 0
    )
    expected = sweep(
        "scalar-pair", {"sigma_ratio": 2.5, "rho": 0.25, "lam": [1, 2]}, steps=5, step_size=0.001
    )
    np.testing.assert_array_equal(
        ms.load(tmp_path / "file.nc").loss_mm.values, expected.loss_mm.values
    )


def test_an_option_of_mimo_is_for_those_runs_that_are_trained_by_mimo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "--axis method=vanilla,mimo --lam 3 --steps 2 --step-size 0.001 --quiet"
    out = tmp_path / "both.nc"
    assert run_here(monkeypatch, "sweep", *words.split(), "--out", str(out)) == 0
    solvers: list[Solver] = [ms.Vanilla(), ms.MIMO(lam=3.0)]
    problem = ms.generators.scalar_pair()
    expected = ms.simulate_ensemble(problem, solvers, steps=2, step_size=0.001)
    np.testing.assert_array_equal(ms.load(out).objective.squeeze("seed"), expected.objective)


def test_none_is_a_word_in_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "--problem random --axis dims=1x1 --axis problem-seed=0:5:6 --set require=none"
    own = ["--quiet", "--steps", "2", "--step-size", "0.001", "--out", str(tmp_path / "a.nc")]
    assert run_here(monkeypatch, "sweep", *words.split(), *own) == 0
    axes = {"dims": [(1, 1)], "problem_seed": range(6), "require": "none"}
    expected = sweep("random", axes, steps=2, step_size=0.001)
    np.testing.assert_array_equal(ms.load(tmp_path / "a.nc").loss_mm, expected.loss_mm)


REFUSALS = [
    (["--axis", "rho"], "`--axis` must look like name=1,2,3 or name=low:high:count"),
    (
        ["--axis", "rho=0:1"],
        "name=log:low:high:count. Got 'rho=0:1'",
    ),
    (["--axis", "rho=0:1:2.5"], "the count must be whole and >= 1"),
    (["--axis", "rho=log:0:1:3"], "low and high > 0"),
    (
        ["--axis", "rho=0,0.5", "--set", "rho=0.1"],
        "Every name may be given once. Got 'rho' twice",
    ),
    (["--axis", "tau=1,2"], "Axis 'tau' is not a parameter"),
    (["--axis", "rho=0,1"], "There is no problem at rho=1. `rho` must lie in (-1, 1)"),
    (["--random", "rho=0:0.5"], "needs `samples`"),
    (["--random", "rho=log:0.5", "--samples", "2"], "`--random` must look like name=low:high"),
    (
        ["--set", "dims=1x1"],
        "`--set` must look like name=value with one number or word. Got 'dims=1x1'",
    ),
    (["--problem", "nowhere.json"], "`--problem` must be one of"),
    (["--axis", "lam=1,2", "--method", "vanilla"], "Axis 'lam' is not a parameter"),
    (["--axis", "lamb=1,2"], "Did you mean 'lam'?"),
    (["--problem", "scalar-pairs"], "Did you mean 'scalar-pair'?"),
    (
        ["--method", "vanilla", "--lam", "3"],
        "`--lam` belongs to MIMO: leave it out, or choose --method mimo."
        " Got --method vanilla --lam 3.",
    ),
    (["--set", "method=vanilla", "--mu", "0.1"], "Got --method vanilla --mu 0.1."),
    (["--axis", "method=vanilla", "--f-star", "zero"], "Got --method vanilla --f-star zero."),
    (
        ["--axis", "lam=1,2", "--lam", "3"],
        "`--lam` must be given once, as an option or as a parameter of the sweep."
        " Got 3.0 and [1, 2].",
    ),
    (
        ["--axis", "method=vanilla,mgda", "--heads", "plain"],
        "`--heads` belongs to `--method` (mimo)",
    ),
    (["--set", "method=stch", "--mu", "0.5"], "Got --method stch --mu 0.5."),
    (
        ["--problem", "random", "--random", "problem_seed=int:0.5:3.5", "--samples", "2"],
        "whole bounds for 'int'",
    ),
    (["--axis", "method=mimmo"], "Got 'mimmo'. Did you mean 'mimo'?"),
    (["--cluster", "local"], "go together"),
    (["--backend", "dask", "--cluster", "local:many"], "`cluster` must be"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSALS)
def test_bad_input_ends_with_one_sentence(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_here(monkeypatch, "sweep", *arguments, "--out", str(tmp_path / "sweep.nc")) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("mimo-sim: error: ")
    assert words in said.err
    assert said.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_help_shows_examples(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(monkeypatch, "sweep", "--help") == 0
    shown = capsys.readouterr().out
    assert "mimo-sim sweep --axis sigma_ratio=1,1.5,2,3" in shown
    assert "--overwrite" in shown
