"""The page in a real browser: keyboard, link, prediction, animation, files, width, errors."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

import mimo_sim as ms
from mimo_sim import explorer
from tests.explorer import v8

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"
)
Opened = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("explorer") / "page.html"
    explorer.write(path)
    return path.as_uri()


@pytest.fixture
def opened(browser: Browser, address: str) -> Iterator[Opened]:
    """Opens the page; at the end the console must be empty and nothing may have been asked for."""
    complaints: list[str] = []
    contexts = []

    def open_page(link: str = "", **options: Any) -> Page:
        contexts.append(
            browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        )
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.goto(address + link)
        wait(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def wait(page: Page) -> None:
    """Until the picture and the words are those of the settings."""
    for _ in range(200):
        if page.evaluate("page.runs.length > 0 && !waiting && speaking === null"):
            return
        page.wait_for_timeout(50)
    raise TimeoutError("the page is still busy after 10 s")


def settings(page: Page) -> dict[str, Any]:
    return dict(page.evaluate("page.settings"))


def cells(page: Page, row: str) -> list[list[float]]:
    """The numbers of A and B in this row of the table of each training."""
    rows = page.locator("#tables tr", has=page.locator(f"th:text-is('{row}')"))
    return [
        [float(text.replace(",", "")) for text in rows.nth(i).locator("td").all_inner_texts()]
        for i in range(rows.count())
    ]


def curves(page: Page) -> list[str]:
    found = page.locator(".picture path").evaluate_all("all => all.map(each => each.outerHTML)")
    return [str(each) for each in found]


def python_run(chosen: dict[str, Any], solver: Any, every: int) -> Any:
    return ms.simulate(
        v8.problem(chosen),
        solver,
        step_size=chosen["eta"],
        steps=chosen["steps"],
        init_scale=chosen["scale"],
        width=float("inf"),
        record_every=every,
    )


def test_a_slider_moved_by_keyboard_changes_numbers_and_curves_as_python_has_them(
    opened: Opened,
) -> None:
    page = opened()
    before, words = curves(page), page.locator("#mimo-verdict").inner_text()
    page.get_by_role("slider", name="Penalty of MIMO").focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    wait(page)
    chosen = settings(page)
    assert 2 < chosen["lam"] < 4
    assert curves(page) != before
    assert page.locator("#mimo-verdict").inner_text() != words
    solvers = (ms.Vanilla(heads="plain"), v8.solver(chosen))
    for solver, learned in zip(solvers, cells(page, "Learned at step"), strict=True):
        run = python_run(chosen, solver, 50)
        assert learned == ms.half_times(run).values.tolist()
        drawn = page.evaluate(
            f"Array.from(page.runs.find(r => r.solver.name === '{solver.name}').lossMm)"
        )
        np.testing.assert_allclose(drawn, run.loss_mm, atol=1e-9)
    norms = ms.theory.final_encoder_norms(v8.problem(chosen), v8.solver(chosen))
    assert cells(page, "Predicted final norm")[1] == [float(f"{norm:.3g}") for norm in norms]
    assert float(page.locator("#lam-number").input_value()) == chosen["lam"]
    assert page.locator("#lam").get_attribute("aria-valuetext") == f"{chosen['lam']:g}"


def test_the_address_is_a_link_to_what_is_shown(opened: Opened) -> None:
    page = opened()
    page.get_by_role("button", name="Too little penalty").click()
    page.locator("#rho-number").fill("-0.25")
    page.locator("#rule").select_option("constant")
    page.locator("#fA-number").fill("0.6")
    wait(page)
    link = page.url.partition("#")[2]
    assert link == "rho=-0.25&lam=1&rule=constant&fA=0.6"
    other = opened(f"#{link}")
    assert settings(other) == settings(page)
    assert curves(other) == curves(page)
    assert other.locator("#rule").input_value() == "constant"
    other.evaluate("location.hash = 'lam=3&mu=-1'")
    wait(other)
    assert settings(other)["lam"] == 3
    assert "mu=-1, which is not allowed" in other.locator("#complaints").inner_text()


def test_a_wrong_number_is_said_at_its_field_and_changes_nothing(opened: Opened) -> None:
    page = opened()
    before = curves(page)
    page.locator("#lam-number").fill("-3")
    wait(page)
    assert page.locator("#lam-wrong").inner_text() == "Enter a number from 0.01 to 1,000."
    assert page.locator("#lam-number").get_attribute("aria-invalid") == "true"
    assert curves(page) == before


def test_a_diverging_setting_says_so_and_offers_a_safe_step(opened: Opened) -> None:
    page = opened()
    page.get_by_role("button", name="Too much penalty").click()
    wait(page)
    assert re.match(r"MIMO blows up at step \d+\.", page.locator("#mimo-verdict").inner_text())
    assert "1e-5 is safe" in page.locator("#step-verdict").inner_text()
    page.get_by_role("button", name="Use the safe step size").click()
    wait(page)
    assert settings(page)["eta"] == 1e-5
    assert "1e-5 is safe" in page.locator("#step-verdict").inner_text()
    assert page.locator("#mimo-verdict").inner_text().startswith("MIMO learns both inputs")


def test_predict_first_hides_the_second_curve_until_the_guess_is_made(opened: Opened) -> None:
    page = opened()
    dashed = page.locator("#vanilla svg path[stroke-dasharray='7 3']")
    shown = dashed.count()
    page.get_by_label("hide the second curve").press("Space")
    wait(page)
    assert (shown, dashed.count()) == (4, 0)  # two curves of B, each drawn twice
    assert "?" in page.locator("#tables").inner_text()
    assert "19,300" not in page.locator("main").inner_text()
    page.locator("h1").scroll_into_view_if_needed()
    box = page.locator("#vanilla svg").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 60, box["y"] + 90)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 90)
    page.mouse.up()
    page.get_by_label("MIMO, my guess").press("Home")
    page.get_by_role("button", name="Show what happens").press("Enter")
    assert dashed.count() == 4
    said = page.locator("#judgement").inner_text()
    left, right = (page.evaluate(f"MARGIN.{side}") for side in ("left", "right"))
    part = (box["width"] / 2 - left) / (box["width"] - left - right)
    guess = float(
        re.findall(r"you said step ([\d,]+); B gets there at step 19,300", said)[0].replace(",", "")
    )
    assert guess == pytest.approx(part * 30_000, abs=30)  # a place of the slider
    assert "MIMO: you said step 0; A gets there at step 2,650, 2,650 steps later." in said


def test_play_moves_and_pause_holds(opened: Opened) -> None:
    page = opened()
    page.get_by_role("button", name="Play").press("Enter")
    page.wait_for_timeout(400)
    page.get_by_role("button", name="Pause").press("Enter")
    held = float(page.locator("#shown").input_value())
    assert 0 < held < 1000
    page.wait_for_timeout(200)
    assert float(page.locator("#shown").input_value()) == held
    page.get_by_label("Step shown").press("Home")
    assert cells(page, "Encoder norm at step 0") == [[1e-9, 1e-9], [1e-9, 1e-9]]


FILES = {
    "Picture (PNG)": b"\x89PNG",
    "Picture (SVG)": b"<svg xmlns",
    "Data (CSV)": b"method,step,",
    "Python lines": b"import matplotlib",
}


def test_files_are_saved(opened: Opened) -> None:
    page = opened()
    for button, start in FILES.items():
        with page.expect_download() as waiting:
            page.get_by_role("button", name=button).click()
        assert Path(waiting.value.path()).read_bytes().startswith(start)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(opened: Opened, scheme: str) -> None:
    page = opened(viewport={"width": 320, "height": 640}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 24, 28)"}[scheme]
    page.locator("#scale").scroll_into_view_if_needed()
    assert page.locator("#vanilla svg").evaluate("each => each.getBoundingClientRect().top") >= 0


@pytest.mark.parametrize("width", [1280, 390])
def test_everything_that_can_be_used_has_a_name(opened: Opened, width: int) -> None:
    page = opened(viewport={"width": width, "height": 900})
    page.get_by_label("hide the second curve").check()
    seen = page.locator("main").aria_snapshot()
    used = re.findall(
        r"^ *- '?(button|checkbox|combobox|img|slider|spinbutton)( \".+\")?", seen, re.M
    )
    assert {role for role, _ in used} == {
        *("button", "checkbox", "combobox", "img", "slider", "spinbutton")
    }
    assert [role for role, name in used if not name] == []
