"""Where a run comes from: named in its record, and in a table that it enters."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mimo_sim.benchmark.comparison import doubtful_origins
from mimo_sim.training import records


def runs(**revisions: list[str | None]) -> Any:
    return [
        SimpleNamespace(dataset="digits", method=method, result={"git": revision})
        for method, found in revisions.items()
        for revision in found
    ]


def test_mixed_and_changed_revisions_are_named() -> None:
    assert doubtful_origins(runs(mimo=["a1", "a1"], vanilla=["b2", "b2"])) == []
    assert doubtful_origins(runs(mimo=["a1", "b2"], vanilla=["b2", "b2-dirty"], ogm=["c"])) == [
        "digits: seeds come from several revisions for mimo, vanilla",
        "digits: runs with uncommitted changes for vanilla",
    ]


@pytest.mark.parametrize(
    ("name", "known"), [("mimo_sim", True), ("somebody_else", False), (None, False)]
)
def test_only_the_revision_of_this_project_counts(
    name: str | None, known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "mimo_sim" / "training" / "records.py"
    place.parent.mkdir(parents=True)
    shutil.copy(records.__file__, place)
    if name is not None:
        (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n')
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(records, "__file__", str(place))
    clean = records._git_revision()
    place.write_text("changed")
    changed = records._git_revision()
    if known:
        assert len(cast(str, clean)) == 12
        assert changed == f"{clean}-dirty"
    else:
        assert clean is None
        assert changed is None
