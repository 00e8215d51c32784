"""Where a run comes from: named in its record, and asked for before it enters a table."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mimo_sim import __version__, benchmark
from mimo_sim.benchmark import provenance
from mimo_sim.training import origins, train
from mimo_sim.training.origins import Origin
from tests.benchmark.runs import command
from tests.networks import SETTINGS, tiny

Capture = pytest.CaptureFixture[str]


def made_by(revision: str | None, clean: bool | None = True, version: str = "0.3.1") -> Origin:
    return Origin(version, revision, clean)


def runs(**found: list[Origin]) -> Any:
    return [
        SimpleNamespace(dataset="digits", method=method, origin=origin)
        for method, ones in found.items()
        for origin in ones
    ]


def test_a_run_names_its_origin(tmp_path: Path) -> None:
    train("vanilla", tiny(), epochs=1, folder=tmp_path, **SETTINGS)
    result = json.loads((tmp_path / "result.json").read_text())
    assert set(result["origin"]) == {"version", "revision", "clean"}
    assert result["origin"]["version"] == __version__
    assert origins.of(result) == origins.here()
    assert "git" not in result


@pytest.mark.parametrize("later", ["a1", "b2"])
def test_a_run_that_other_code_continued_is_not_clean(
    later: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    monkeypatch.setattr(origins, "here", lambda: made_by("a1"))
    with pytest.raises(KeyboardInterrupt):
        train("vanilla", tiny(), epochs=2, folder=tmp_path, on_epoch=stop, **SETTINGS)
    monkeypatch.setattr(origins, "here", lambda: made_by(later))
    train("vanilla", tiny(), epochs=2, folder=tmp_path, **SETTINGS)
    found = origins.of(json.loads((tmp_path / "result.json").read_text()))
    assert found == made_by(later, clean=later == "a1")


def test_records_of_old_are_understood() -> None:
    old = {"versions": {"mimo_sim": "0.2.0"}}
    assert origins.of(old | {"git": "46582a3efb3d"}) == Origin("0.2.0", "46582a3efb3d", True)
    dirty = origins.of(old | {"git": "46582a3efb3d-dirty"})
    assert dirty == Origin("0.2.0", "46582a3efb3d", False)
    assert str(dirty) == "46582a3efb3d-dirty"
    unknown = origins.of(old | {"git": None})
    assert unknown == Origin("0.2.0", None, None)
    assert str(unknown) == "version 0.2.0"
    assert origins.of({}) == Origin(None, None, None)
    for bad in ({}, {"version": "1"}, "a1", None):
        with pytest.raises(ValueError, match="`origin` must have version, revision and clean"):
            origins.of({"origin": bad})


def test_rows_of_one_committed_code_are_accepted() -> None:
    found = runs(mimo=2 * [made_by("a1")], vanilla=2 * [made_by("b2")], ogm=[made_by(None, None)])
    provenance.refuse_doubtful(found)
    assert provenance.doubtful_rows(found) == []
    assert provenance.told_origins(found) == [
        "digits: code is not the same in all rows, it is a1 for mimo; b2 for vanilla; "
        "version 0.3.1 for ogm"
    ]
    assert provenance.told_origins(runs(mimo=[made_by("a1")], ogm=[made_by("a1")])) == [
        "digits: code of all rows is a1"
    ]


def test_mixed_and_changed_code_is_refused_row_by_row() -> None:
    found = runs(
        mimo=[made_by("b2"), made_by("a1")],
        vanilla=2 * [made_by("b2", False)],
        ogm=[made_by("c")],
        agm=[made_by(None, None), made_by(None, None, "0.2.0")],
    )
    with pytest.raises(ValueError, match="3 rows mix runs of different code") as caught:
        provenance.refuse_doubtful(found)
    said = str(caught.value)
    assert "digits/mimo (seeds from a1 and b2), digits/vanilla (made with uncomm" in said
    assert "digits/agm (seeds from version 0.2.0 and version 0.3.1)" in said
    assert "ogm" not in said
    assert "--mixed" in said


@pytest.fixture
def mixed(results: Path, tmp_path: Path) -> Path:
    """The finished runs, with one of other code among those of mimo."""
    folder = tmp_path / "runs"
    shutil.copytree(results, folder)
    for path in folder.glob("*/*/*/result.json"):
        content = json.loads(path.read_text())
        content["origin"] = {"version": "1", "revision": "a1", "clean": True}
        if path.parent == folder / "digits" / "mimo" / "seed1":
            content["origin"]["revision"] = "b2"
        path.write_text(json.dumps(content))
    return folder


def test_compare_refuses_before_it_writes_and_marks_where_told_to(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    out = tmp_path / "tables"
    assert command(monkeypatch, "compare", mixed, "--out", out) == 2
    said = capsys.readouterr()
    assert "1 row mixes runs of different code" in said.err
    assert "digits/mimo (seeds from a1 and b2)" in said.err
    assert said.out == ""
    assert not out.exists()
    assert command(monkeypatch, "compare --mixed", mixed, "--out", out) == 0
    shown = capsys.readouterr().out
    assert "mimo †" in shown
    assert "vanilla †" not in shown
    table = (out / "table.md").read_text()
    assert "(marked †: not of one committed code)" in table.splitlines()[0]
    assert "| a1 + b2 |" in table
    assert "code is not the same in all rows, it is a1 + b2 for mimo; a1 for" in table
    assert {row.mixed for row in benchmark.summary(benchmark.read(mixed)) if row.n} == {False, True}
    shutil.rmtree(mixed / "digits" / "mimo" / "seed1")
    assert command(monkeypatch, "compare", mixed, "--out", out) == 0
    assert "†" not in (out / "table.md").read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a package and something beside it."""
    for name in ("mimo_sim/code.py", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("first")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "mimo_sim"\n')
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    return tmp_path


def test_a_checkout_is_clean_until_its_package_changes(checkout: Path) -> None:
    revision, clean = origins._revision(checkout)
    assert (len(revision or ""), clean) == (12, True)
    (checkout / "notes.md").write_text("second")  # no run depends on it
    assert origins._revision(checkout) == (revision, True)
    (checkout / "mimo_sim" / "new.py").write_text("")  # found by a scan
    assert origins._revision(checkout) == (revision, False)
    (checkout / "mimo_sim" / "new.py").unlink()
    (checkout / "mimo_sim" / "code.py").write_text("second")
    assert origins._revision(checkout) == (revision, False)


def test_only_the_revision_of_this_project_counts(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = checkout / "vendored"  # a copy of this project inside somebody's repository
    inner.mkdir()
    shutil.copy(checkout / "pyproject.toml", inner)
    assert origins._revision(inner) == (None, None)
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as in a hook of another repository
    assert origins._revision(checkout) != (None, None)
    (checkout / "pyproject.toml").write_text('[project]\nname = "somebody_else"\n')
    assert origins._revision(checkout) == (None, None)
    (checkout / "pyproject.toml").unlink()
    assert origins._revision(checkout) == (None, None)
