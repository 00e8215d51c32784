"""The repository keeps its own promises: floors, pins, versions, examples."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import math
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mimo_sim as ms
from mimo_sim import _moved
from tests import house

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMPORTS = house.graph()


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


WITH_EXAMPLES = [
    name for name, path in house.modules().items() if ">>> " in path.read_text() and "|" not in name
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_in_docstrings_are_true(name: str) -> None:
    module = importlib.import_module(name)
    globals_ = {key: value for key, value in vars(module).items() if not key.startswith("__")}
    results = doctest.testmod(module, globs=globals_ | {"ms": ms})
    assert results.failed == 0
    assert results.attempted > 0


def test_there_are_examples() -> None:
    assert len(WITH_EXAMPLES) >= 10


@pytest.mark.parametrize("name", [name for name in ms.__all__ if callable(getattr(ms, name))])
def test_public_names_are_documented(name: str) -> None:
    assert inspect.getdoc(getattr(ms, name))


def test_public_names_resolve_and_unknown_ones_do_not() -> None:
    assert set(ms.__all__) <= set(dir(ms))
    with pytest.raises(AttributeError, match="module 'mimo_sim' has no attribute 'simulat'"):
        ms.simulat  # type: ignore[attr-defined]  # noqa: B018


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text()


def run_code(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_first_example_of_the_readme_says_what_its_comments_say(readme: str) -> None:
    code = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)[0]
    printed = run_code(code)
    assert re.search(r"^2\.326", printed, flags=re.MULTILINE)
    assert re.search(r"^2\.01|^2\.02", printed, flags=re.MULTILINE)
    assert re.search(r"^vanilla \[", printed, flags=re.MULTILINE)
    assert re.search(r"^mimo \[", printed, flags=re.MULTILINE)


def test_the_loop_of_the_readme_learns_all_three_modalities(readme: str) -> None:
    code = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)[1]
    joint, alone = run_code(code).split(" ", 1)
    losses = ast.literal_eval(alone)
    assert len(losses) == 3
    assert float(joint) < min(losses) < max(losses) < math.log(4)
    (said,) = re.findall(r"# near ([\d.]+) (\[.*?\])", code)
    assert float(joint) == pytest.approx(float(said[0]), abs=0.05)
    assert losses == pytest.approx(ast.literal_eval(said[1]), abs=0.05)


def test_the_readme_is_read_in_five_minutes(readme: str) -> None:
    assert len(readme.splitlines()) <= 150
    assert len(readme.split()) <= 1100


def targets(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)#:]+)\)", page.read_text())


@pytest.mark.parametrize(
    "page", [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))], ids=lambda p: p.name
)
def test_what_the_pages_point_at_exists(page: Path) -> None:
    for target in targets(page):
        assert (page.parent / target).exists(), target
    made = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for name in re.findall(r"`make ([a-z0-9-]+)", page.read_text()):
        assert name in made, name


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


def test_the_pages_count_the_verdicts_of_the_stored_ledger(readme: str) -> None:
    import json

    counts = json.loads((ROOT / "paper_checks" / "ledger" / "ledger.json").read_text())["counts"]
    sentence = (
        f"Of {sum(counts.values())} claims {counts['holds']} hold, "
        f"{counts['holds under conditions']} hold under conditions, "
        f"{counts['refuted']} are refuted and {counts['needs data']} need data."
    )
    assert sentence in (ROOT / "docs" / "claims.md").read_text()
    assert sentence.replace("claims", "claims**", 1) in readme


def test_the_stored_summary_is_what_the_figures_were_made_from() -> None:
    import json

    summary = json.loads((ROOT / "figures" / "figure1.json").read_text())
    data = ms.load(ROOT / "figures" / "figure1.nc")
    assert summary["package_version"] == ms.__version__
    assert (
        summary["vanilla"]["half_time"]
        == data.half_time.sel(solver="vanilla").median("seed").values.tolist()
    )


def test_the_changelog_maps_every_name_that_moved() -> None:
    rows = re.findall(
        r"^\| `([\w.]+)` \| `([\w.]+)` \|$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE
    )
    assert dict(rows) == _moved.MOVED


@pytest.mark.parametrize("old", _moved.MOVED)
def test_an_old_name_is_gone_and_says_the_new_one(old: str) -> None:
    code = f"import mimo_sim.{old}"
    with pytest.raises(ImportError):
        exec(code)
    assert _moved.sentence(f"mimo_sim.{old}") == (
        f"`mimo_sim.{old}` of 0.2 is now `mimo_sim.{_moved.MOVED[old]}`; "
        "CHANGELOG.md has the whole map."
    )


@pytest.mark.parametrize("new", sorted(set(_moved.MOVED.values())))
def test_the_new_name_is_there(new: str) -> None:
    try:
        importlib.import_module(f"mimo_sim.{new}")
    except ModuleNotFoundError:
        module, _, name = f"mimo_sim.{new}".rpartition(".")
        assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize(
    "use",
    ["ms.phase", "ms.objective.MIMO", "ms.sweeps.FAMILIES", "ms.trajectory", "ms.fusion.train"],
)
def test_using_an_old_name_names_the_new_one(use: str) -> None:
    with pytest.raises(AttributeError, match=r"of 0\.2 is now `mimo_sim"):
        eval(use)


CONTRACT = """
LateFusionProblem LateFusionProblem.from_samples LateFusionProblem.from_linear_model
generators.superficial_preference generators.scalar_pair generators.random_problem
theory.superficial_preference theory.time_ratio theory.growth_rates theory.order_threshold
theory.final_encoder_norms theory.mimo_learning_times
simulate half_times simulate_ensemble sweep Vanilla MIMO MIMOLoss methods.MIMO
methods.available datasets.available datasets.load datasets.from_arrays
training.train DivergenceError
"""


@pytest.mark.parametrize("name", CONTRACT.split())
def test_the_public_contract(name: str) -> None:
    value: object = ms
    for part in name.split("."):
        value = getattr(value, part)
    assert callable(value)
