"""The one progress bar: on stderr, from where an earlier attempt stopped, with a speed if asked."""

from __future__ import annotations

import pytest

from mimo_sim._progress import on_terminal, progress_bar


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")


def test_a_bar_that_is_not_wanted_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(3, False) as advance:
        advance()
        advance(2)
    assert capsys.readouterr() == ("", "")


def test_a_bar_goes_on_from_where_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(10, True, "resuming", done=4, unit="runs", rate=(100, "steps/s")) as advance:
        advance()
        advance(5)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "resuming" in shown.err
    assert "10/10" in shown.err
    assert "runs" in shown.err
    assert "steps/s" in shown.err


def test_a_plain_bar_tells_no_speed(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(2, True) as advance:
        advance(2)
    shown = capsys.readouterr().err
    assert "training" in shown
    assert "2/2" in shown
    assert "/s" not in shown


def test_a_quiet_command_and_a_pipe_show_no_bar() -> None:
    assert not on_terminal(quiet=True)
    assert not on_terminal(quiet=False)  # under pytest, stderr is no terminal
