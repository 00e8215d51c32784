"""figure1, convergence, simulate and theory as a user meets them: real processes, real files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

import mimo_sim as ms
from tests.commands.tool import TOOL, run, run_here

SUFFIXES = (".png", ".pdf", ".svg", ".nc", ".json")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("small")
    assert run("figure1", "--out", str(out), "--quiet", "--seeds", "2").returncode == 0
    return out


@pytest.fixture(scope="module")
def figure1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("figures")
    done = run("figure1", "--out", str(out), "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return out


def test_figure1_writes_its_five_files_and_nothing_else(figure1: Path) -> None:
    assert sorted(path.name for path in figure1.iterdir()) == sorted(
        f"figure1{suffix}" for suffix in SUFFIXES
    )
    assert (figure1 / "figure1.png").read_bytes().startswith(b"\x89PNG")
    assert (figure1 / "figure1.pdf").read_bytes().startswith(b"%PDF")
    assert "<svg" in (figure1 / "figure1.svg").read_text()


def test_figure1_summary_has_the_promised_keys(figure1: Path) -> None:
    summary = json.loads((figure1 / "figure1.json").read_text())
    measured = {
        "half_time",
        "ratio",
        "final_encoder_norm",
        "predicted_final_encoder_norm",
        "final_loss_mm",
    }
    assert set(summary) == {"seeds", "conditions", "vanilla", "mimo", "package_version", "command"}
    assert set(summary["conditions"]) == {"holds", "first_learned", "most_explaining"}
    assert set(summary["vanilla"]) == measured | {"predicted_ratio", "predicted_ratio_this_u0"}
    assert set(summary["mimo"]) == measured | {
        "lam",
        "mu",
        "order_threshold",
        "predicted_emergence_ratio",
    }
    assert summary["seeds"] == 20
    assert summary["package_version"] == ms.__version__


def test_figure1_shows_what_the_paper_says(figure1: Path) -> None:
    summary = json.loads((figure1 / "figure1.json").read_text())
    data = ms.load(figure1 / "figure1.nc")
    assert summary["conditions"] == {"holds": True, "first_learned": 0, "most_explaining": 1}
    vanilla, mimo = summary["vanilla"], summary["mimo"]
    assert vanilla["half_time"][0] < vanilla["half_time"][1]
    assert vanilla["ratio"] == pytest.approx(
        vanilla["predicted_ratio"], rel=0.10
    )  # the limit u0 -> 0; the error falls like 1/ln(1/u0)
    assert vanilla["ratio"] == pytest.approx(vanilla["predicted_ratio_this_u0"], rel=0.01)
    assert 1 < mimo["ratio"] < mimo["predicted_emergence_ratio"]  # half-times lie closer together
    predicted = data.predicted_half_time.sel(solver="vanilla").values
    assert vanilla["half_time"] == pytest.approx(
        predicted, rel=0.05
    )  # finite u0: order-one terms are left, of 20 e-folds
    assert mimo["ratio"] <= 1.15
    for name, solver in (("vanilla", vanilla), ("mimo", mimo)):
        assert solver["final_loss_mm"] < 1e-6 * float(data.initial_loss_mm.sel(solver=name).max())
        assert solver["final_encoder_norm"] == pytest.approx(
            solver["predicted_final_encoder_norm"], rel=0.05
        )
    assert mimo["order_threshold"] < mimo["lam"]


def test_the_summary_is_measured_from_the_stored_data(figure1: Path) -> None:
    summary, data = (
        json.loads((figure1 / "figure1.json").read_text()),
        ms.load(figure1 / "figure1.nc"),
    )
    for name in ("vanilla", "mimo"):
        half = data.half_time.sel(solver=name).median("seed").values
        assert summary[name]["half_time"] == half.tolist()
        assert summary[name]["ratio"] == half.max() / half.min()
        squared = (
            (data.encoder_norm.sel(solver=name) ** 2).transpose("seed", "step", "modality").values
        )
        crossing = data.step.values[
            (squared >= squared[:, -1:] / 2).argmax(axis=1)
        ]  # on the thinned steps
        spacing = np.diff(data.step.values).max()
        assert np.abs(crossing - data.half_time.sel(solver=name).values).max() <= spacing


def test_the_recorded_command_makes_the_same_bytes(small: Path, tmp_path: Path) -> None:
    command = json.loads((small / "figure1.json").read_text())["command"].split()
    assert command[0] == "mimo-sim"
    assert run(*command[1:], cwd=tmp_path).returncode == 0
    for suffix in SUFFIXES:
        assert (small / f"figure1{suffix}").read_bytes() == (
            tmp_path / command[3] / f"figure1{suffix}"
        ).read_bytes(), suffix


def test_other_parameters_reach_the_runs(tmp_path: Path) -> None:
    """And the table says which theory predicts which ratio."""
    done = run(
        "figure1",
        "--out",
        str(tmp_path),
        "--seeds",
        "2",
        "--lam",
        "1",
        "--mu",
        "0.1",
        "--init-scale",
        "1e-4",
    )
    assert done.returncode == 0
    assert "figure1.json" in done.stdout
    header, vanilla, mimo = done.stdout.splitlines()[1:4]
    assert "predicted  predicted, u0 -> 0" in header
    assert "2.4" in vanilla  # at u0 = 1e-4
    assert "2.250" in vanilla
    assert "(emergence)" in mimo
    summary = json.loads((tmp_path / "figure1.json").read_text())
    assert (summary["seeds"], summary["mimo"]["lam"], summary["mimo"]["mu"]) == (2, 1.0, 0.1)
    assert summary["mimo"]["ratio"] > 1.15  # lam below its threshold leaves the imbalance


@pytest.mark.parametrize(
    ("how", "moment"),
    [
        pytest.param(signal.SIGKILL, ".png", marks=pytest.mark.slow),
        (signal.SIGKILL, ".pdf"),
        pytest.param(signal.SIGTERM, ".pdf", marks=pytest.mark.slow),
    ],
)
def test_a_killed_figure1_leaves_no_half_file(
    tmp_path: Path, how: signal.Signals, moment: str
) -> None:
    """Kill while a file of this suffix is written: others follow, so the run cannot have ended."""
    with subprocess.Popen(
        [*TOOL, "figure1", "--out", str(tmp_path), "--quiet", "--seeds", "2"],
        env=os.environ | {"MPLBACKEND": "Agg"},
    ) as process:
        while process.poll() is None and not list(tmp_path.glob(f".figure1.*{moment}")):
            time.sleep(0.002)
        process.send_signal(how)
    assert process.returncode != 0
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    if how == signal.SIGTERM:
        assert not list(
            tmp_path.glob(".figure1.*")
        )  # a polite kill also takes its temporary files away


def test_convergence_writes_its_four_files(tmp_path: Path) -> None:
    assert run("convergence", "--out", str(tmp_path), "--quiet").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"convergence{suffix}" for suffix in SUFFIXES[:-1]
    )
    data = ms.load(tmp_path / "convergence.nc")
    assert list(data["run"].values) == ["vanilla", "MIMO, λ = 1", "MIMO, λ = 10", "MIMO, λ = 100"]
    assert (data.grad_norm_sq <= data.bound).all()  # Theorem 1
    assert (data.excess_mm.isel(step=-1) < 1e-6 * data.excess_mm.isel(step=0)).all()
    assert (
        data.excess_objective.diff("step") <= 1e-12 * data.excess_objective.isel(step=0)
    ).all()  # monotone up to round-off


def test_simulate_stores_the_run_it_prints(tmp_path: Path) -> None:
    out = tmp_path / "run.nc"
    options = (
        "--problem scalar-pair --method vanilla --steps 3000 --step-size 0.01 --init-scale 1e-4"
        " --seed 3 --record-every 7 --width inf --weight-decay 0.001"
    )
    done = run("simulate", *options.split(), "--out", str(out))
    assert done.returncode == 0, done.stderr
    stored = ms.load(out)
    expected = ms.simulate(
        ms.generators.scalar_pair(),
        ms.Vanilla(),
        steps=3000,
        step_size=0.01,
        init_scale=1e-4,
        seed=3,
        record_every=7,
        width=np.inf,
        weight_decay=0.001,
    )
    assert stored.equals(expected)
    assert f"{ms.half_times(stored).values[1]:,.0f}" in done.stdout


def test_simulate_on_mini_batches_of_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run.nc"
    options = (
        "--lam 2 --mu 0.1 --f-star running_minimum --decay 0.5 --samples 60 --batch-size 7"
        " --batch-seed 2 --replace --steps 200 --step-size 0.01 --quiet"
    )
    assert run_here(monkeypatch, "simulate", *options.split(), "--out", str(out)) == 0
    problem = ms.generators.superficial_preference()
    drawn = ms.Batches(*problem.sample(60, 2), size=7, seed=2, replace=True, names=problem.names)
    method = ms.MIMO(2.0, 0.1, f_star="running_minimum")
    expected = ms.simulate(
        drawn.problem,
        method,
        batches=drawn,
        decay=0.5,
        steps=200,
        step_size=0.01,
        record_every=10,
    )
    assert ms.load(out).equals(expected)
    whole = "--method vanilla --samples 60 --batch-seed 2 --steps 50 --quiet"
    assert run_here(monkeypatch, "simulate", *whole.split(), "--out", str(out)) == 0
    assert "batch_loss_mm" not in ms.load(out)
    assert ms.load(out).attrs["problem"] == drawn.problem.to_json()


def test_a_problem_file_and_a_trajectory_file_are_problems(tmp_path: Path) -> None:
    problem = ms.generators.random_problem((2, 3), seed=4)
    problem.save(tmp_path / "p.json")
    ms.save(ms.simulate(problem, ms.Vanilla(), steps=2), tmp_path / "run.nc")
    answers = [run("theory", "--problem", str(tmp_path / name)) for name in ("p.json", "run.nc")]
    assert answers[0].stdout == answers[1].stdout
    assert json.loads(answers[0].stdout)["unimodal_optima"] == problem.unimodal_optima.tolist()


def test_theory_of_the_figure_1_problem() -> None:
    told = json.loads(run("theory").stdout)
    assert told["superficial_preference"] == {
        "holds": True,
        "first_learned": 0,
        "most_explaining": 1,
    }
    assert told["time_ratio"] == pytest.approx(2.25)
    assert told["order_threshold"] == pytest.approx(np.sqrt(2.25**2 - 1))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("figure1 --seeds 0", "`seeds` must be >= 1. Got seeds=0."),
        ("figure1 --mu 0", "`mu` must be finite and > 0. Got mu=0.0."),
        ("figure1 --lam -1", "`lam` must be finite and >= 0. Got lam=-1.0."),
        ("figure1 --lam nan", "`lam` must be finite and >= 0. Got lam=nan."),
        ("figure1 --init-scale 2", "`init_scale` must lie in (0, 1). Got init_scale=2.0."),
        ("figure1 --width 0", "`width` must be >= 1. Got width=0."),
        ("figure1 --width 2.5", "`width` must be an integer. Got width=2.5."),
        ("figure1 --step-size 100", "`step_size` must be at most"),
        ("simulate --step-size 100", "Training diverged at step"),
        ("figure1 --seeds many", "Invalid value for '--seeds'"),
        ("figure1 --colour red", "No such option"),
        ("figure2", "No such command 'figure2'"),
        ("simulate --method mgd", "`--method` must be one of"),
        (
            "simulate --problem nowhere",
            "`--problem` must be one of ('superficial', 'scalar-pair', 'random')",
        ),
        (
            "simulate --engine jax",
            "`engine` must be one of ('gram', 'autograd', 'flow'). Got engine='jax'.",
        ),
        ("simulate --f-star best", "`f_star` must be one of"),
        ("simulate --f-star 1,2,3", "`f_star` must hold one number per modality (2)."),
        ("simulate --heads loose", "`heads` must be one of"),
        (
            "simulate --method vanilla --lam 5 --mu -3",
            "`--lam` and `--mu` belong to MIMO: leave them out, or choose --method mimo."
            " Got --method vanilla --lam 5 --mu -3.",
        ),
        (
            "simulate --method vanilla --f-star exact",
            "`--f-star` belongs to MIMO: leave it out, or choose --method mimo."
            " Got --method vanilla --f-star exact.",
        ),
        ("theory --method vanilla --lam 10", "`--lam` belongs to MIMO: leave it out, or"),
        ("simulate --method vanila", "Got 'vanila'. Did you mean 'vanilla'?"),
        ("simulate --engine grams", "Got engine='grams'. Did you mean 'gram'?"),
        ("simulate --problem superficail", "Got 'superficail'. Did you mean 'superficial'?"),
        ("study scater", "No such command 'scater'. Did you mean 'scatter'?"),
        ("simulate --batch-size 5", "`--batch-size` and `--replace` need `--samples`."),
        ("simulate --samples 9 --batch-size 10 --step-size 0.1", "`batch_size` must be <= 9."),
        ("simulate --samples 9 --batch-size 3", "`step_size` must be given with `batches`"),
        ("simulate --samples 0 --batch-size 1", "`--samples` must be >= 1. Got --samples=0."),
        ("simulate --decay 0.5", "`decay` smooths the losses of mini-batches"),
        ("simulate --steps 0", "`steps` must be >= 1. Got steps=0."),
        ("simulate --out run.txt", "`--out` must end in .nc. Got 'run.txt'."),
    ],
)
def test_bad_input_is_one_sentence_on_stderr_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_here(monkeypatch, *arguments.split()) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_threshold_that_no_penalty_reaches_is_the_word_inf(tmp_path: Path) -> None:
    """With so large a mu no penalty turns the order: the threshold is infinite, as JSON has none.

    At so large a u0 the first modality counts as learned from the start.
    """
    words = "figure1 --seeds 1 --mu 10 --init-scale 0.9 --quiet --step-size 1e-3"
    done = run(*words.split(), "--out", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads((tmp_path / "figure1.json").read_text(), parse_constant=pytest.fail)
    assert found["mimo"]["order_threshold"] == "inf"
    assert found["vanilla"]["predicted_ratio_this_u0"] == "inf"
    told = json.loads(run("theory", "--mu", "10").stdout, parse_constant=pytest.fail)
    assert told["order_threshold"] == "inf"


def test_a_run_that_stops_too_early_says_so() -> None:
    done = run("simulate", "--method", "vanilla", "--steps", "2500", "--step-size", "0.001")
    assert done.returncode == 0
    assert done.stderr.startswith("mimo-sim: warning: The run was still moving when it stopped")


def test_the_help_of_figure1_says_that_its_problem_is_a_stand_in() -> None:
    said = " ".join(run("figure1", "--help").stdout.split())
    assert "The full paper was not at hand" in said
    assert "our stand-in: the standard example of the same effect" in said
    assert "`mimo_sim.generators.superficial_preference`" in said


def test_a_damaged_problem_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('{"dims": [1]')
    done = run("theory", "--problem", str(tmp_path / "p.json"))
    assert done.returncode == 2
    assert "p.json" in done.stderr
