"""Machine code on disk: used while its sources are the same, and never after an edit of one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import pytest

import mimo_sim as ms
from mimo_sim.dynamics import _compile
from mimo_sim.dynamics._compile import StampedFiles, fingerprint
from mimo_sim.dynamics.engines import gram

# One run of a network with one input, which needs little compiling. `view` inlines `gram.evaluate`.
ENSEMBLE = """
import json
import mimo_sim as ms
from mimo_sim.dynamics.ensemble import cpu
problem = ms.LateFusionProblem([[1.0]], [1.0], 1.0)
run = ms.simulate_ensemble(problem, ms.Vanilla(), step_size=0.1, steps=1, width=1)
stats = cpu._view.stats
print(json.dumps({
    "file": ms.__file__,
    "excess": float(run.excess_mm[0]),
    "loaded": sum(stats.cache_hits.values()),
    "compiled": sum(stats.cache_misses.values()),
}))
"""
# Modules `inner` and `outer`, of which the second uses the first as kernels do.
MODULES = {
    "constants": "SIZE, UNUSED = 3, 4\n",
    "inner": "def f(x): return x\n",
    "outer": """
from mimo_sim import fake_inner
from mimo_sim.fake_constants import SIZE, UNUSED
from mimo_sim.fake_inner import f
def calls(x): return f(x)
def calls_by_module(x): return fake_inner.f(x)
def reads(x): return x + SIZE
def nested(x): return [i for i in range(x) if i < SIZE]
def attribute(x): return x.SIZE
""",
}


class Copy:
    """A copy of the package in a folder of its own, with a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.package, self.cache = folder / "mimo_sim", folder / "cache"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(ms.__file__).parent, self.package, ignore=ignored)
        self.environment = os.environ | {
            "PYTHONPATH": str(folder),
            "NUMBA_CACHE_DIR": str(self.cache),
        }

    def run(self, code: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.package.parent,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.package / name
        source = path.read_text()
        assert source.count(old) == 1
        path.write_text(source.replace(old, new))

    def files(self) -> dict[str, int]:
        """The files of machine code, and when they were written."""
        return {path.name: path.stat().st_mtime_ns for path in self.cache.rglob("*.nbc")}


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


@pytest.mark.slow
def test_an_edit_of_an_inlined_function_is_seen_and_nothing_else_compiles_again(copy: Copy) -> None:
    first = copy.run(ENSEMBLE)
    assert first["file"] == str(copy.package / "__init__.py")
    assert (first["loaded"], first["compiled"]) == (0, 1)
    written = copy.files()
    assert any(name.startswith("cpu._view.") for name in written)

    again = copy.run(ENSEMBLE)
    assert (again["loaded"], again["compiled"]) == (1, 0)
    assert again["excess"] == first["excess"] > 0
    assert copy.files() == written

    copy.edit(
        "dynamics/engines/gram.py", "    return excess_mm, top", "    return 2.0 * excess_mm, top"
    )
    edited = copy.run(ENSEMBLE)
    assert (edited["loaded"], edited["compiled"]) == (0, 1)
    assert edited["excess"] == 2.0 * first["excess"]
    assert copy.files().keys() == written.keys()  # the new machine code has replaced the old


def test_files_of_machine_code_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes that store at the same time, an old version, and files that say nothing."""
    one, other = (StampedFiles(gram.evaluate.py_func, tmp_path) for _ in range(2))
    keys = [("int64", "x86", "bytecode"), ("float64", "x86", "bytecode")]
    assert one.load(keys[0]) is None
    one.save(keys[0], "first")
    other.save(keys[1], "second")
    assert [one.load(key) for key in keys] == [other.load(key) for key in keys]
    assert [one.load(key) for key in keys] == ["first", "second"]
    assert one.load(("int64", "x86", "other bytecode")) is None

    monkeypatch.setattr(numba, "__version__", "another")
    later = StampedFiles(gram.evaluate.py_func, tmp_path)
    assert later.load(keys[0]) is None
    later.save(keys[0], "new")
    assert later.load(keys[0]) == "new"
    assert one.load(keys[0]) is None
    assert len(list(tmp_path.iterdir())) == 2  # the new one has replaced the old one
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-5])
    assert [later.load(keys[0]), one.load(keys[1])] == [None, None]
    later.flush()
    assert list(tmp_path.iterdir()) == []


def fingerprints(folder: Path, monkeypatch: pytest.MonkeyPatch, **edited: str) -> dict[str, str]:
    """Of the functions of `outer`, as a new process sees them that has imported these modules."""
    _compile.file_digest.cache_clear()
    for name, source in (MODULES | edited).items():
        module = ModuleType(f"mimo_sim.fake_{name}")
        module.__file__ = str(folder / f"{name}.py")
        Path(module.__file__).write_text(source)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(ms, f"fake_{name}", module, raising=False)
        exec(compile(source, module.__file__, "exec"), vars(module))
    outer = vars(sys.modules["mimo_sim.fake_outer"])
    names = ("calls", "calls_by_module", "reads", "nested", "attribute")
    return {name: fingerprint(outer[name]) for name in names}


@pytest.mark.parametrize(
    ("edited", "changed"),
    [
        ({}, set()),
        ({"inner": "def f(x): return 2 * x\n"}, {"calls", "calls_by_module"}),
        ({"constants": "SIZE, UNUSED = 5, 4\n"}, {"reads", "nested"}),
        ({"constants": "SIZE, UNUSED = 3, 5\n"}, set()),
        (
            {"outer": MODULES["outer"] + "# more\n"},
            {"calls", "calls_by_module", "reads", "nested", "attribute"},
        ),
    ],
    ids=["nothing", "a function", "a constant", "an unused constant", "the module itself"],
)
def test_a_fingerprint_follows_what_a_function_reads_and_nothing_else(
    edited: dict[str, str], changed: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprints(tmp_path, monkeypatch)
    after = fingerprints(tmp_path, monkeypatch, **edited)
    assert {name for name in before if before[name] != after[name]} == changed


def test_a_file_that_is_edited_after_the_import_does_not_count(tmp_path: Path) -> None:
    """The machine code is that of the version which was imported."""
    path = tmp_path / "module.py"
    path.write_text("old")
    first = _compile.file_digest(str(path))
    path.write_text("new")
    assert _compile.file_digest(str(path)) == first


def test_where_nothing_can_be_written_functions_are_compiled_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiler = numba.njit

    def njit(*function: Any, cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return compiler(*function, **options)

    monkeypatch.setattr(numba, "njit", njit)

    @_compile.jit(nogil=True)
    def double(x: int) -> int:
        return 2 * x

    assert double(3) == 6
    assert double.stats.cache_path is None
