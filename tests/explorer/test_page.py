"""The page as a file: whole, without addresses, with words, links and exports that are true."""

from __future__ import annotations

import csv
import io
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mimo_sim as ms
from mimo_sim import explorer
from mimo_sim.explorer import _page
from tests.explorer import v8

PAGE = explorer.page()
NAMESPACE = "http://www.w3.org/2000/svg"  # a name that SVG demands, no address to load from


def test_the_page_is_whole() -> None:
    assert PAGE.startswith("<!doctype html>")
    assert PAGE.rstrip().endswith("</html>")
    assert "function run(state, constants, steps, every, out)" in PAGE
    assert f"mimo_sim {ms.__version__}." in PAGE
    for rest in ("/* STYLE */", "/* SCRIPT */", "VERSION"):
        assert rest not in PAGE
    for name in _page.SCRIPTS:
        assert (_page.HERE / f"{name}.js").read_text() in PAGE
    assert PAGE.count("</script>") == 1  # no file ends the script before its end


def test_the_page_holds_no_address_and_may_load_nothing() -> None:
    rest = PAGE.replace(NAMESPACE, "")
    assert not re.search(r"https?:|//[a-z]+\.|@import|\bfetch\(|XMLHttpRequest|<script src", rest)
    assert set(re.findall(r'(?:src|href)="([^"]*)"', rest)) == {"data:,"}
    assert "default-src 'none'" in PAGE


@pytest.mark.parametrize("path", sorted(_page.HERE.iterdir()), ids=lambda path: path.name)
def test_no_file_of_the_room_says_too_much(path: Path) -> None:
    if path.is_file():
        assert path.read_text().count("\n") <= 400


def test_the_defaults_of_the_page_are_those_of_figure_1() -> None:
    assert v8.call("decode", "") == {"settings": v8.FIGURE_1, "complaints": []}
    problem, figure1 = v8.problem(v8.FIGURE_1), ms.generators.superficial_preference()
    np.testing.assert_allclose(problem.input_moment, figure1.input_moment, rtol=1e-14)
    np.testing.assert_allclose(problem.cross_moment, figure1.cross_moment, rtol=1e-14)
    largest = min(
        ms.theory.default_step_size(figure1, solver) for solver in (ms.Vanilla(), ms.MIMO())
    )
    assert 0.99 * largest < v8.FIGURE_1["eta"] < largest


# ------------------------ links


def test_a_link_keeps_every_setting_to_the_last_bit() -> None:
    for settings in v8.random_settings(20, seed=2):
        del settings["vanilla"]
        settings |= {"heads": "plain", "steps": 12_345, "axis": "own"}
        assert v8.call("decode", "#" + v8.call("encode", settings)) == {
            "settings": settings,
            "complaints": [],
        }


@pytest.mark.parametrize(
    "wrong", ["lam=-1", "lam=", "lam=many", "steps=10.5", "rule=magic", "unknown=1", "rho=1"]
)
def test_what_a_link_may_not_say_is_named_and_left_out(wrong: str) -> None:
    found = v8.call("decode", f"#mu=0.5&{wrong}")
    assert found["settings"] == v8.FIGURE_1 | {"mu": 0.5}
    assert found["complaints"] == [f"The link says {wrong}, which is not allowed; it is left out."]


def test_every_place_of_a_slider_is_an_allowed_value_that_leads_back_to_it() -> None:
    v8.context().eval("""function places() {
      return SLIDERS.flatMap((control) => Array.from({ length: 201 }, (_, i) => {
        const value = valueAt(control, 5 * i);
        return [allowed(control, value) === value, Math.abs(placeOf(control, value) - 5 * i)];
      }));
    }""")
    found = np.array(v8.call("places"), dtype=float)
    assert found[:, 0].all()
    assert found[:, 1].max() <= 3  # values are rounded to three digits


# ------------------------ words and pictures


def test_no_setting_of_the_sliders_breaks_words_or_pictures() -> None:
    v8.context().eval("""function shownTexts(settings) {
      const theory = predict(makeProblem(settings), settings);
      const runs = bothRuns(settings);
      const predicted = [theory.vanilla, theory.mimo];
      const largest = largestValues(runs, predicted);
      const end = (run) => lastStep(run, settings.steps, settings.axis === "own");
      const size = { colors: LIGHT, width: 400, height: 400, largest, guess: 20 };
      const views = runs.map((run, i) => ({ run, theory: predicted[i], end: end(run), ...size }));
      return [wholeSvg(views, ["title"]), ...runs.map(raceVerdict), ...conditions(settings, theory),
        stepVerdict(settings, theory, runs), pythonLines(settings, runs)];
    }""")
    v8.context().eval("""function corner(place) {
      const end = ({ min, max }, i) => ((place >> i) & 1 ? max : min);
      return Object.fromEntries(SLIDERS.map((control, i) => [control.key, end(control, i)]));
    }""")
    rng = np.random.default_rng(0)
    for place in rng.permutation(256)[:60].tolist():
        found = v8.call("corner", place) | {"steps": 200}
        found |= {"rule": v8.RULES[place % 4], "heads": ("gradient", "plain")[place // 4 % 2]}
        texts = v8.call(
            "shownTexts", v8.FIGURE_1 | found | {"axis": ("same", "own")[place // 8 % 2]}
        )
        for text in texts:
            assert not re.search(r"NaN|undefined|null|Infinity", text), (found, text[:2000])


def words(change: dict[str, Any]) -> dict[str, Any]:
    settings = v8.FIGURE_1 | change
    v8.context().eval("""function spoken(settings) {
      const theory = predict(makeProblem(settings), settings);
      const runs = bothRuns(settings);
      return { races: runs.map(raceVerdict), conditions: conditions(settings, theory),
               step: stepVerdict(settings, theory, runs), safe: theory.safeStep };
    }""")
    return dict(v8.call("spoken", settings))


def test_figure_1_in_words() -> None:
    found = words({})
    assert found["races"] == [
        "Joint training learns A at step 8,300 and B at step 19,300, 2.33 times as late.",
        "MIMO learns both inputs together, at step 2,600.",
    ]
    assert found["conditions"] == [
        "A correlates 2.25 times as strongly with the target as B, "
        "so joint training learns A first.",
        "B alone explains 1.78 times as much of the target as A.",
        "This is a superficial preference: A comes first, although B explains more.",
        "MIMO turns the order round above the penalty lam* = 2.02. "
        "Here lam = 10, above: B grows first.",
    ]
    assert found["step"].startswith("The step size 0.00097 is safe")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lam": 1000.0}, "The step size 0.00097 is too large; 1e-5 is safe."),
        ({"lam": 30.0, "mu": 0.001}, "The weights sigma chatter: they jump to and fro"),
        ({"lam": 20.0}, "The step size 0.00097 works here, but only 0.00050 is safe for certain."),
    ],
)
def test_a_step_that_is_too_large_is_said_with_a_safe_one(
    change: dict[str, Any], said: str
) -> None:
    settings = v8.FIGURE_1 | change
    found = words(change)
    assert found["step"].startswith(said.replace("0.00050", "0.0005"))
    problem = v8.problem(settings)
    safe = float(re.findall(r"([\d.e-]+) is safe", found["step"])[0])
    largest = ms.theory.default_step_size(
        problem, v8.solver(settings), init_norm_squared=3 * settings["scale"] ** 2
    )
    assert 0.9 * largest < safe <= largest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 3000}, "Joint training learns neither input in 3,000 steps. It was still"),
        ({"steps": 14000}, "Joint training learns only A, at step 8,"),
        ({"contrast": 1.0, "explained": 1.0}, "Joint training learns both inputs together"),
    ],
)
def test_a_race_in_words(change: dict[str, Any], said: str) -> None:
    assert words(change)["races"][0].startswith(said)


# ------------------------ exports


def python_export(settings: dict[str, Any]) -> dict[str, Any]:
    v8.context().eval(
        "function exported(settings) { return pythonLines(settings, bothRuns(settings)); }"
    )
    scope: dict[str, Any] = {}
    exec(v8.call("exported", settings), scope)
    return scope


@pytest.mark.parametrize(
    "change", [{}, {"rule": "constant", "fA": 0.0, "heads": "plain", "rho": -0.3}]
)
def test_the_python_lines_reproduce_the_picture(
    change: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = v8.FIGURE_1 | change
    runs = python_export(settings)["runs"]
    assert (tmp_path / "mimo_explorer.png").is_file()
    for page, run in zip(v8.call("bothRuns", settings), runs.values(), strict=True):
        assert len(page["step"]) == len(run.step)
        np.testing.assert_allclose(
            v8.numbers(page["encoderNorm"]).T, run.encoder_norm, rtol=1e-8, atol=1e-9
        )


def test_the_python_lines_of_a_diverging_run_stop_where_it_blows_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = v8.FIGURE_1 | {"lam": 1000.0, "steps": 500}
    run = python_export(settings)["runs"]["MIMO"]
    assert run.step[-1] + 1 == v8.call("bothRuns", settings)[1]["divergedAt"]


def test_the_table_holds_what_was_computed() -> None:
    v8.context().eval("function tabled(settings) { return csv(bothRuns(settings)); }")
    with warnings.catch_warnings():
        rows = list(csv.DictReader(io.StringIO(v8.call("tabled", v8.FIGURE_1))))
    runs = v8.call("bothRuns", v8.FIGURE_1)
    for method, page in zip(("vanilla", "mimo"), runs, strict=True):
        own = [row for row in rows if row["method"] == method]
        assert [float(row["step"]) for row in own] == page["step"]
        assert [float(row["loss_mm"]) for row in own] == page["lossMm"]
        assert [float(row["encoder_norm_B"]) for row in own] == page["encoderNorm"][1]
    assert rows[0]["sigma_A"] == ""
    assert float(rows[-1]["sigma_A"]) == runs[1]["sigma"][0][-1]
