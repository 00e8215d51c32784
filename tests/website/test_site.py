"""The built site in a real browser: links, look, keyboard, mathematics, search, accessibility."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.website.blocks import ROOT

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.slow
PAGES = (
    "index.html",
    "explore.html",
    "explorer.html",
    "slides.html",
    "notebooks/01_figure1.html",
    "notebooks/00_start_here.html",
    "notebooks/04_your_own_network.html",
    "docs/howto/own_loop.html",
    "docs/glossary.html",
    "docs/landscape.html",
    "docs/real_data.html",
    "docs/conformance.html",
    "paper_checks/ledger/ledger.html",
    "benchmarks/records/comparison.html",
    "methods.html",
    "api/mimo_sim.theory.html",
)
Opened = Callable[..., Page]


@pytest.fixture(scope="module")
def site() -> Path:
    """The site, built anew where something changed; the notebooks' outputs are cached."""
    pytest.importorskip("myst_nb", reason="the extra docs is not installed (make site)")
    out = ROOT / "build" / "site"
    command = [sys.executable, "-m", "website", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d+ pages in \d+ s, 0 broken links", done.stdout)
    return out


def test_what_a_server_and_a_chat_look_for_is_there(site: Path) -> None:
    for name in ("index.html", "search.html", "explorer.html", "card.png", "objects.inv"):
        assert (site / name).stat().st_size > 0, name
    start = (site / "index.html").read_text(encoding="utf-8")
    assert re.search(r'property="og:image" content="[^"]*card\.png"', start)
    assert (site / "card.png").read_bytes()[16:24] == b"".join(
        size.to_bytes(4, "big") for size in (1200, 630)
    )


def test_every_executed_cell_has_its_output(site: Path) -> None:
    pages = sorted((site / "notebooks").glob("*.html"))
    assert len(pages) == len(list((ROOT / "notebooks").glob("[0-9]*.ipynb")))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert 'class="cell_output' in text, page.name
        assert "Traceback (most recent call last)" not in text


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Browser, site: Path) -> Iterator[Opened]:
    """Opens a page from the disk; nothing may complain, and nothing may be asked of a network."""
    complaints: list[str] = []
    contexts = []

    def open_page(name: str, **options: Any) -> Page:
        contexts.append(
            browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        )
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(("file:", "data:", "blob:"))
                else complaints.append(request.url)
            ),
        )
        path, _, rest = name.partition("#")
        page.goto((site / path).as_uri() + (f"#{rest}" if rest else ""))
        page.wait_for_load_state("load")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def serious(page: Page) -> list[str]:
    """What axe-core calls serious or critical, each with the first place."""
    from axe_playwright_python.sync_playwright import Axe

    # neither asks for files by script, which a page from the disk may not
    options = {"preload": False, "iframes": False}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{each['id']} ({len(each['nodes'])}): {each['nodes'][0]['html'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_sound(opened: Opened, name: str, width: int, scheme: str) -> None:
    page = opened(name, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert serious(page) == []


@pytest.mark.parametrize(
    ("clicks", "there"),
    [
        (["Figure 1"], "make figure1"),
        (["Why one modality waits"], "import mimo_sim as ms"),
        (["your own loop"], "ms.MIMOLoss("),
        (["how-to pages", "Lightning"], "pl.LightningModule"),
        (["the ledger"], "order-threshold"),
    ],
)
def test_the_start_page_leads_there_in_two_clicks(
    opened: Opened, clicks: list[str], there: str
) -> None:
    page = opened("index.html")
    for words in clicks:
        page.get_by_role("main").get_by_role("link", name=words, exact=True).first.click()
        page.wait_for_load_state("load")
    assert there in page.get_by_role("main").inner_text()


def test_mathematics_is_typeset_without_a_network(opened: Opened) -> None:
    page = opened("notebooks/01_figure1.html")
    page.wait_for_selector("mjx-container")
    page.wait_for_function("document.querySelectorAll('mjx-container svg').length > 20")
    assert page.locator("[data-mjx-error]").count() == 0
    assert not re.search(r"\\(lambda|mu|tfrac)", page.get_by_role("main").inner_text())


@pytest.mark.parametrize(
    ("words", "wanted"),
    [("chattering", "glossary"), ("plateau", "ledger"), ("sigma_weights", "objective")],
)
def test_full_text_search_finds_pages(opened: Opened, words: str, wanted: str) -> None:
    page = opened("index.html")
    page.get_by_role("textbox", name="Search").fill(words)
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a")
    page.wait_for_function("/found|matching/.test(document.body.innerText)")
    links = page.locator("#search-results li a").evaluate_all("all => all.map(a => a.href)")
    assert any(wanted in link for link in links), links


def shown(page: Page) -> int:
    return int(page.locator(".embedded output").inner_text().split()[0])


def test_the_ledger_is_searched_and_filtered(opened: Opened) -> None:
    page = opened("paper_checks/ledger/ledger.html")
    everything = shown(page)
    assert everything == page.locator("article[data-verdict]").count() > 50
    page.get_by_role("searchbox", name="Search claims").fill("plateau")
    assert 0 < shown(page) < everything
    page.get_by_role("searchbox", name="Search claims").fill("")
    page.get_by_role("checkbox", name=re.compile("holds \\(")).press("Space")
    assert 0 < shown(page) < everything
    assert page.locator("article:visible[data-verdict='holds']").count() == 0
    aimed = opened("paper_checks/ledger/ledger.html#order-threshold")
    assert aimed.locator("#order-threshold details").get_attribute("open") is not None


def test_the_benchmark_page_is_searched_and_sorted(opened: Opened) -> None:
    page = opened("benchmarks/records/comparison.html")
    everything = shown(page)
    page.get_by_role("searchbox", name="Search methods").fill("umt")
    assert 0 < shown(page) < everything
    page.get_by_role("searchbox", name="Search methods").fill("")
    page.get_by_role("button", name="accuracy", exact=True).first.press("Enter")
    cells = page.locator(".wide.main").first.locator("tbody tr td:nth-child(3)").all_inner_texts()
    numbers = [float(cell.split()[0]) for cell in cells]
    assert numbers == sorted(numbers, reverse=True)


def test_the_explorer_in_the_frame_answers(opened: Opened) -> None:
    page = opened("explore.html")
    frame = page.frame_locator("iframe.whole")
    before = frame.locator("#mimo-verdict").inner_text()
    frame.get_by_role("button", name="Too little penalty").click()
    page.wait_for_timeout(1500)
    assert frame.locator("#mimo-verdict").inner_text() != before
