"""The repository keeps its own promises: floors, pins, versions, examples."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mimo_sim as ms
from tests import house

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMPORTS = house.graph()
MODULES = list(house.modules().values())


def test_nothing_imports_upwards() -> None:
    assert house.upward(IMPORTS, house.floors()) == []


def test_no_files_and_no_rooms_import_each_other_in_a_circle() -> None:
    assert house.circle(IMPORTS) == []
    assert house.circle(house.rooms(IMPORTS)) == []


def test_every_room_has_a_floor_and_every_floor_a_room() -> None:
    assert {house.room(name) for name in IMPORTS} == set(house.floors())


def test_no_file_says_too_much() -> None:
    assert house.long_files() == []


def test_the_graph_sees_every_kind_of_import(tmp_path: Path) -> None:
    package = tmp_path / "mimo_sim"
    (package / "low").mkdir(parents=True)
    sources = {
        "__init__.py": "import mimo_sim.low",
        "low/__init__.py": "",
        "low/a.py": "from mimo_sim import high",
        "low/b.py": "def f():\n    from mimo_sim.high import x",
        "low/c.py": "if TYPE_CHECKING:\n    import mimo_sim.high",
        "low/d.py": "ENGINE = 'mimo_sim.high'",
        "low/e.py": "from ..high import x",
        "low/f.py": "from . import a",
        "low/__init__.pyi": "from .f import g as g",
        "high.py": "from mimo_sim.low import a",
    }
    for name, source in sources.items():
        (package / name).write_text(source)
    (tmp_path / "CONTRIBUTING.md").write_text("| 0 | `low/` | x |\n| 1 | `high.py` | x |\n")
    graph = house.graph(tmp_path)
    assert all(graph[f"mimo_sim.low.{name}"] == {"mimo_sim.high"} for name in "abcde")
    assert graph["mimo_sim.low.f"] == {"mimo_sim.low.a"}
    assert graph["mimo_sim.low"] == {"mimo_sim.low.f"}
    assert len(house.upward(graph, house.floors(tmp_path))) == 5
    assert set(house.circle(graph)) == {"mimo_sim.high", "mimo_sim.low.a"}
    assert set(house.circle(house.rooms(graph))) == {"high", "low"}


@pytest.mark.parametrize(
    "name",
    [
        "objective",
        "problem",
        "generators",
        "theory",
        "dynamics.driver",
        "trajectory",
        "testing",
        "sweeps.driver",
        "dynamics.ensemble",
        "methods",
        "methods._curves",
        "methods._shapley",
        "methods.mimo",
        "datasets",
        "fusion",
    ],
)
def test_examples_in_docstrings_are_true(name: str) -> None:
    module = importlib.import_module(f"mimo_sim.{name}")
    globals_ = {key: value for key, value in vars(module).items() if not key.startswith("__")}
    results = doctest.testmod(module, globs=globals_ | {"ms": ms})
    assert results.failed == 0


def test_there_are_examples() -> None:
    text = "".join(path.read_text() for path in MODULES)
    assert text.count(">>> ") >= 5


@pytest.mark.parametrize("name", [name for name in ms.__all__ if callable(getattr(ms, name))])
def test_public_names_are_documented(name: str) -> None:
    assert inspect.getdoc(getattr(ms, name))


def test_public_names_resolve_and_unknown_ones_do_not() -> None:
    assert set(ms.__all__) <= set(dir(ms))
    with pytest.raises(AttributeError, match="module 'mimo_sim' has no attribute 'simulat'"):
        ms.simulat  # type: ignore[attr-defined]  # noqa: B018


def test_the_readme_example_runs_and_says_what_its_comments_say() -> None:
    readme = (ROOT / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert "2.25" in done.stdout
    assert re.search(r"^2\.01|^2\.02", done.stdout, flags=re.MULTILINE)
    assert re.search(r"^vanilla \[", done.stdout, flags=re.MULTILINE)
    assert re.search(r"^mimo \[", done.stdout, flags=re.MULTILINE)


def test_what_the_readme_points_at_exists() -> None:
    readme = (ROOT / "README.md").read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", readme):
        assert (ROOT / target).exists(), target
    targets = set(
        re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    )
    for name in re.findall(r"make ([a-z0-9-]+)", readme):
        assert name in targets, name


def test_every_dependency_is_pinned_within_its_range() -> None:
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    canonical = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins.items()}
    wanted = [
        *PROJECT["dependencies"],
        *(need for extra in PROJECT["optional-dependencies"].values() for need in extra),
    ]
    for need in wanted:
        name, _, floor = need.partition(">=")
        if name.startswith("mimo_sim"):
            continue
        version = canonical[re.sub(r"[-_.]+", "-", name).lower()]
        assert [int(part) for part in version.split(".")[:2]] >= [
            int(part) for part in floor.split(".")[:2]
        ], need


def test_one_version_everywhere() -> None:
    assert f"version: {ms.__version__}" in (ROOT / "CITATION.cff").read_text()
    assert re.search(
        rf"^## {re.escape(ms.__version__)} \(",
        (ROOT / "CHANGELOG.md").read_text(),
        flags=re.MULTILINE,
    )


def test_the_readme_counts_the_verdicts_of_the_stored_ledger() -> None:
    import json

    counts = json.loads((ROOT / "paper_checks" / "ledger" / "ledger.json").read_text())["counts"]
    sentence = f"Of {sum(counts.values())} claims {counts['holds']} hold, {counts['holds under conditions']} hold under conditions, "
    sentence += f"{counts['refuted']} is refuted and {counts['needs data']} need data."
    assert sentence in (ROOT / "README.md").read_text()


def test_the_stored_summary_is_what_the_figures_were_made_from() -> None:
    import json

    summary = json.loads((ROOT / "figures" / "figure1.json").read_text())
    data = ms.load(ROOT / "figures" / "figure1.nc")
    assert summary["package_version"] == ms.__version__
    assert (
        summary["vanilla"]["half_time"]
        == data.half_time.sel(solver="vanilla").median("seed").values.tolist()
    )
