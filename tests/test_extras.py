"""What a user sees without an extra. Its packages are hidden, as in a core installation."""

from __future__ import annotations

import subprocess
import sys

import pytest

HIDE = """
import sys
class Hidden:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {hidden}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden)
"""


def run(code: str, *hidden: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", HIDE.format(hidden=set(hidden)) + code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


TRAIN = ("torch", "lightning_fabric", "sklearn", "pooch")


def test_the_toy_needs_no_extra() -> None:
    done = run(
        "import mimo_sim as ms\n"
        "problem = ms.generators.superficial_preference()\n"
        "run = ms.simulate(problem, ms.MIMO(), steps=10)\n"
        "runs = ms.simulate_ensemble([problem], ms.Vanilla(), steps=10)\n"
        "print(sorted({'torch', 'sklearn', 'pooch'} & set(sys.modules)))\n",
        *TRAIN,
        "transformers",
        "hypothesis",
        "joblib",
        "distributed",
    )
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize(
    ("code", "hidden", "extra"),
    [
        ("ms.MIMOLoss", "torch", "train"),
        ("ms.methods.available()", "torch", "train"),
        ("ms.methods.create('mimo')", "torch", "train"),
        ("ms.datasets.load('digits')", "torch", "train"),
        ("ms.training.train", "torch", "train"),
        ("ms.training.train", "lightning_fabric", "train"),
        ("ms.benchmark.execute", "torch", "train"),
        ("ms.dynamics.simulate_layered", "torch", "train"),
        (
            "from mimo_sim.plots.benchmark import bands; bands.draw_bands(*5 * [0])",
            "seaborn",
            "train",
        ),
        ("ms.benchmark.trials._study(ms.benchmark.Search(None, 1))", "optuna", "tune"),
        ("ms.testing.problems", "hypothesis", "testing"),
        (
            "ms.simulate(ms.generators.scalar_pair(), ms.MIMO(), engine='autograd')",
            "torch",
            "train",
        ),
        (
            "ms.sweep('scalar-pair', {'rho': [0.1]}, steps=5, backend='processes')",
            "joblib",
            "sweeps",
        ),
        (
            "ms.sweep('scalar-pair', {'rho': [0.1]}, steps=5, backend='dask', cluster='local')",
            "distributed",
            "sweeps",
        ),
        ("ms.networks.make_encoder((3, 224, 224), 'resnet18')", "transformers", "backbones"),
        ("ms.language.tiny_language_model(steps=0)", "transformers", "backbones"),
        ("ms.language.adapt", "torch", "train"),
        (
            "import os; os.environ.pop('MIMO_SIM_DATA', 0); ms.datasets.load('grid', seed=10**9)",
            "av",
            "media",
        ),
    ],
)
def test_a_missing_extra_is_one_sentence(code: str, hidden: str, extra: str) -> None:
    done = run(f"import mimo_sim as ms\n{code}", hidden)
    last = done.stderr.strip().splitlines()[-1]
    assert f"this needs {hidden}, which is not installed: pip install 'mimo_sim[{extra}]'" in last


@pytest.mark.parametrize(
    "command", ["bench run", "study fusion", "study all", "diagnose --dataset digits"]
)
def test_a_command_without_its_extra_says_so(command: str) -> None:
    done = run(
        f"sys.argv = ['mimo-sim', *{command.split()!r}]\nfrom mimo_sim.cli import main\nmain()\n",
        *TRAIN,
    )
    assert done.returncode == 2
    assert "pip install 'mimo_sim[train]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_methods_and_data_sets_are_listed_without_any_extra() -> None:
    code = "sys.argv = ['mimo-sim', 'bench', 'list']\nfrom mimo_sim.cli import main\nmain()\n"
    done = run(code, *TRAIN)
    assert done.returncode == 0, done.stderr
    assert "vanilla (reference): one joint loss" in done.stdout
    assert "digits: handwritten digits" in done.stdout


def test_fabric_is_imported_when_a_run_needs_it() -> None:
    done = run(
        "from mimo_sim import benchmark\n"
        "benchmark.plan('digits', ['vanilla'], [0], {'epochs': 1})\n"
        "benchmark.execute, benchmark.read\n"
        "print(sorted({'lightning_fabric', 'torch._dynamo', 'sklearn'} & set(sys.modules)))\n"
    )
    assert done.stdout == "[]\n", done.stderr
