"""Slides in a real browser, without network: they can be seen and obey the keys."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from mimo_sim.course import slides

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"
)


def small() -> Any:
    """Three slides, the second with a formula and a note."""
    texts = (
        ("# First", "slide"),
        ("## Second\n\n$$F = f_{mm} + \\lambda\\, g$$", "slide"),
        ("say this", "notes"),
        ("## Third", "slide"),
    )
    cells = []
    for text, kind in texts:
        cell = new_markdown_cell(text)  # type: ignore[no-untyped-call]
        cell.metadata["slideshow"] = {"slide_type": kind}
        cells.append(cell)
    return new_notebook(cells=cells)  # type: ignore[no-untyped-call]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Any, list[str]]]:
    """The page with the slides, and what went wrong with it."""
    from playwright.sync_api import sync_playwright

    path = tmp_path / "slides.html"
    path.write_text(slides.page(small(), "Slides"), encoding="utf-8")
    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1000, "height": 650}, offline=True)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("requestfailed", lambda request: wrong.append(request.url))
        page.goto(path.as_uri())
        yield page, wrong
        browser.close()


def test_slides_are_seen_and_obey_the_keys(opened: tuple[Any, list[str]]) -> None:
    page, wrong = opened
    first = page.get_by_role("heading", name="First")
    first.wait_for(state="visible")
    frame, words = page.locator(".reveal").bounding_box(), first.bounding_box()
    assert frame["height"] == 650  # the whole window: a slide in a frame without height is blank
    assert 0 <= words["y"] < words["y"] + words["height"] < 650
    page.keyboard.press("ArrowRight")
    page.get_by_role("heading", name="Second").wait_for(state="visible")
    formula = page.locator("math")
    assert formula.is_visible()
    assert formula.bounding_box()["width"] > 50
    assert not page.get_by_text("say this").is_visible()
    page.keyboard.press("Space")
    page.get_by_role("heading", name="Third").wait_for(state="visible")
    assert page.evaluate("Reveal.getTotalSlides()") == 3
    number = "getComputedStyle(document.querySelector('.slide-number'))"
    assert page.evaluate(f"{number}.backgroundColor") == "rgb(51, 51, 51)"  # dark behind white
    assert page.evaluate(f"{number}.color") == "rgb(255, 255, 255)"
    assert wrong == []
