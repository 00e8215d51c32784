"""Rules on the command line: simulate, theory, sweep and the study."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mimo_sim as ms
from mimo_sim import rules
from mimo_sim.commands import studies
from mimo_sim.dynamics.ensemble import step
from tests.commands.tool import run_here


def test_simulate_trains_by_a_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run.nc"
    words = "simulate --method mmpareto --set gamma=1 --momentum 0.5 --steps 500 --init-scale 0.1"
    assert run_here(monkeypatch, *words.split(), "--step-size", "0.01", "--out", str(out)) == 0
    told = capsys.readouterr().out
    assert "f_k - f_k*" in told
    run = ms.load(out)
    assert ms.rerun(run).identical(run)
    expected = ms.simulate(
        ms.generators.superficial_preference(),
        ms.MMPareto(gamma=1.0),
        steps=500,
        step_size=0.01,
        init_scale=0.1,
        momentum=0.5,
        record_every=10,
    )
    assert run.loss_mm.equals(expected.loss_mm)


@pytest.mark.parametrize("name", rules.available())
def test_theory_tells_the_growth_rates_of_every_rule(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(monkeypatch, "theory", "--method", name) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["growth_rates"]) == 2


@pytest.mark.slow
def test_sweep_runs_over_rules_and_their_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "GENERATED_SIZE", 0)  # nothing to compile
    out = tmp_path / "rules.nc"
    words = "sweep --method mgda --axis scope=network,encoder --axis rho=0,0.5 --steps 20"
    line = [*words.split(), "--step-size", "0.05", "--init-scale", "0.3", "--out", str(out), "-q"]
    assert run_here(monkeypatch, *line) == 0
    found = ms.load(out)
    assert found.loss_mm.dims == ("scope", "rho", "seed")
    for scope in ("network", "encoder"):
        alone = ms.simulate(
            ms.generators.scalar_pair(rho=0.5),
            ms.MGDA(scope=scope),
            steps=20,
            step_size=0.05,
            init_scale=0.3,
        )
        one = found.loss_mm.sel(scope=scope, rho=0.5).item()
        assert abs(one - float(alone.loss_mm[-1])) < 1e-12


@pytest.mark.slow
def test_a_sweep_compares_methods_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "GENERATED_SIZE", 0)
    axes = {"method": ["vanilla", "mimo", "pcgrad", ms.MMPareto(2.0)]}
    found = ms.sweep("scalar-pair", axes, steps=20, step_size=0.02, init_scale=0.3)
    assert found.method.values.tolist() == ["vanilla", "mimo", "pcgrad", "MMPareto(gamma=2.0)"]
    assert len(set(found.loss_mm.values.ravel().tolist())) == 4


def test_a_parameter_of_a_problem_gives_way_to_one_of_a_rule() -> None:
    def pair(alpha: float = 0.5) -> ms.LateFusionProblem:
        return ms.generators.scalar_pair(rho=alpha)

    plain = ms.sweep(pair, {"alpha": [0.0, 0.5]}, steps=2, step_size=0.02)
    assert plain.loss_mm.dims == ("alpha", "seed")
    with_rule = ms.sweep(pair, {"problem_alpha": [0.0, 0.5]}, method="ogm", steps=2, step_size=0.02)
    assert with_rule.loss_mm.dims == ("problem_alpha", "seed")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("simulate --method mgd", "Did you mean 'mgda'?"),
        ("simulate --method mgda --set scop=encoder", "hyper-parameters ('scope',)"),
        ("simulate --method mgda --set scope=all", "`scope` must be one of"),
        ("simulate --method mgda --lam 3", "`--lam` belongs to MIMO"),
        ("simulate --method mgda --heads plain", "every rule trains the heads"),
        ("simulate --method mimo --set gamma=1", "`--set` is for hyper-parameters of rules"),
        ("simulate --momentum 1", "`momentum` must be in [0, 1)"),
        ("study rules --grid 1", "`--grid` must be >= 2"),
        ("study rules --init-scale 2", "`init_scale` must lie in (0, 1)"),
    ],
)
def test_refusals_are_one_sentence(
    words: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(monkeypatch, *words.split()) == 2
    told = capsys.readouterr().err.strip()
    assert said in told
    assert "\n" not in told


def test_the_study_writes_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mimo_sim.studies import rules as study

    monkeypatch.setattr(step, "GENERATED_SIZE", 0)
    monkeypatch.setattr(study, "ROWS", 64)
    chosen = {name: study.RULES[name] for name in ("joint training", "OGM")}
    monkeypatch.setattr(study, "RULES", chosen)
    studies.rules(tmp_path, grid=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"phase_rules.{suffix}" for suffix in ("json", "nc", "pdf", "png", "svg")
    ]
    summary = json.loads((tmp_path / "phase_rules.json").read_text())
    assert summary.items() >= study.summarise(ms.load(tmp_path / "phase_rules.nc")).items()
    assert "OGM: equalises the wait on 100% of problems" in capsys.readouterr().out
