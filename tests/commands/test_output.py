"""The command line that records store, and options that several commands share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import typer
import xarray as xr
from typer.testing import CliRunner

from mimo_sim.commands._options import expand, whole_width
from mimo_sim.commands._output import command_line, report, same_on_all_machines


@pytest.mark.parametrize(
    ("words", "options", "expected"),
    [
        (("check",), {"claim": ["a", "b"], "thorough": True}, "--claim a --claim b --thorough"),
        (("check",), {"claim": None, "out": None, "thorough": False}, ""),
        (("figure1",), {"init_scale": 1e-9, "width": 100.0}, "--init-scale 1e-09 --width 100"),
        (
            ("figure1",),
            {"init_scale": 0.0123456789, "mu": 0.1},
            "--init-scale 0.0123456789 --mu 0.1",
        ),
        (("study", "zls"), {"out": Path("my figures"), "seeds": 0}, "--out 'my figures' --seeds 0"),
    ],
)
def test_the_command_for_the_record(
    words: tuple[str, ...], options: dict[str, Any], expected: str
) -> None:
    assert command_line(*words, **options) == " ".join(["mimo-sim", *words, expected]).strip()


@pytest.mark.parametrize(
    ("width", "whole"), [(100, 100), (100.0, 100), (2.5, 2.5), (float("inf"), float("inf"))]
)
def test_a_whole_width_is_an_integer(width: float, whole: float) -> None:
    found = whole_width(width)
    assert (found, type(found)) == (whole, type(whole))


def test_names_and_values_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    report([("[/]", "x[a]"), ("[link=http://x]y[/link]", "[red]1")], ("[b]", "c[1]"), "t[2]")
    said = capsys.readouterr().out
    for text in ("[/]", "x[a]", "[link=http://x]y[/link]", "[red]1", "[b]", "c[1]", "t[2]"):
        assert text in said


@dataclass(frozen=True)
class Cake:
    layers: Annotated[int, typer.Option(help="Number of layers.")] = 2
    cream: Annotated[bool, typer.Option("--cream", help="With cream.")] = False


def test_a_command_shows_the_fields_of_its_dataclasses_as_options() -> None:
    given: list[Any] = []
    app = typer.Typer()

    @app.command()
    @expand
    def bake(*, name: Annotated[str, typer.Option()], cake: Cake, ovens: int = 1) -> None:
        """Bake a cake."""
        given.append((name, cake, ovens))

    for words in (["--name", "a"], ["--name", "b", "--layers", "3", "--cream", "--ovens", "2"]):
        assert CliRunner().invoke(app, words).exit_code == 0
    assert given == [("a", Cake(), 1), ("b", Cake(3, cream=True), 2)]
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120", "NO_COLOR": "1"}).stdout
    assert "Bake a cake." in shown
    assert shown.index("--name") < shown.index("Number of layers.") < shown.index("--ovens")


def test_last_digits_of_another_processor_do_not_show() -> None:
    values = np.array([1.0 / 3.0, -2e-23, 1.5, 0.0, math.inf, math.nan])
    data = xr.Dataset({"norm": ("step", values), "count": ("step", np.arange(6))})
    moved = np.concatenate([np.nextafter(values[:3], 9.0), values[3:]])
    assert (moved[:3] != values[:3]).all()
    stored = same_on_all_machines(data)
    assert stored.identical(same_on_all_machines(data.assign(norm=("step", moved))))
    np.testing.assert_allclose(stored.norm, values, rtol=1e-12)
    assert stored["count"].identical(data["count"])
