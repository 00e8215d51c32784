"""`mimo-sim explore` writes one page and opens it."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest

from mimo_sim import explorer
from tests.commands.tool import run_here


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    addresses: list[str] = []

    def note(address: str) -> bool:
        addresses.append(address)
        return False

    monkeypatch.setattr(webbrowser, "open", note)
    return addresses


def test_it_writes_the_page_and_opens_it(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    opened: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_here(monkeypatch, "explore") == 0
    page = tmp_path / "mimo_explorer.html"
    assert [path.name for path in tmp_path.iterdir()] == [page.name]
    assert page.read_text(encoding="utf-8") == explorer.page()
    assert opened == [page.as_uri()]
    said = capsys.readouterr().out
    assert said == "wrote mimo_explorer.html\nno browser was found here: open the file yourself\n"


def test_it_can_leave_the_browser_alone(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    opened: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = tmp_path / "made" / "page.html"
    assert run_here(monkeypatch, "explore", "--no-open", "--quiet", "--out", str(page)) == 0
    assert page.is_file()
    assert opened == []
    assert capsys.readouterr().out == ""


def test_another_suffix_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(monkeypatch, "explore", "--out", str(tmp_path / "page.pdf")) == 2
    assert "`--out` must end in .html. Got" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
