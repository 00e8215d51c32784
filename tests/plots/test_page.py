"""The page of a comparison: what it says, and how it behaves in a real browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from mimo_sim import benchmark, datasets, plots
from mimo_sim.benchmark.remade import command_of
from mimo_sim.datasets._record import Published
from tests.benchmark.runs import command, small_plan

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.usefixtures("tiny_data")


@pytest.fixture(scope="module")
def written(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the nine finished runs."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    with pytest.MonkeyPatch.context() as patch:
        assert command(patch, f"compare {results} --quiet --html", path) == 0
    return path


def test_the_page_has_words_numbers_intervals_pictures_and_commands(
    written: Path, results: Path
) -> None:
    page = written.read_text(encoding="utf-8")
    runs = benchmark.read(results)
    for words in ("joint training", "MIMO", "MMCosine", "accuracy − joint training"):
        assert words in page
    for title, header, cells in benchmark.comparison_tables(benchmark.summary(runs)):
        assert title in page
        assert len(re.findall(r'<tr data-family="', page)) == len(cells)
        assert all(text in page for line in cells for text in line[1:])
        assert "accuracy" in header
    assert page.count("<svg") == 2  # each but the baseline has its interval drawn
    assert page.count('src="data:image/png;base64,') == 3
    assert "a1b2c3d4e5f6" in page  # the origin
    assert command_of([run for run in runs if run.method == "mimo"]) in page
    assert f"bench compare {results} --html {written}" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "@import" not in page


def test_the_command_of_a_row_trains_the_same_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = small_plan("mimo", seeds=2, hyper={"normalise": True, "f_star": "zero"})
    runs = [
        benchmark.FinishedRun("digits", job.place.parts[1], seed, {"config": job.config}, Path())
        for seed in (0, 1, 5)
        for job in jobs[:1]
    ]
    lines = command_of(runs).splitlines()
    assert len(lines) == 2  # seeds 0 and 1, and seed 5
    assert lines[0].endswith("--seeds 2")
    assert lines[1].endswith("--seeds 1 --first-seed 5")
    planned: list[benchmark.Job] = []

    def plan_only(todo: list[benchmark.Job], *_: object) -> list[object]:
        planned.extend(todo)
        return []

    monkeypatch.setattr(benchmark, "execute", plan_only)
    monkeypatch.setattr("mimo_sim.commands.bench_run.refuse_other_runs", lambda *_: None)
    with pytest.MonkeyPatch.context() as patch:
        words = lines[0].removeprefix("mimo-sim bench ")
        command(patch, f"{words} --quiet")
    assert [job.config for job in planned] == [job.config for job in jobs]
    assert [job.place for job in planned] == [job.place for job in jobs]


def test_published_numbers_stand_beside_ours(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    record = datasets.get("digits")
    numbers = [
        Published(None, "vanilla", "accuracy", 61.7, "late <fusion>", "Somebody 1999", "unlike"),
        Published(None, "umt", "accuracy", 62.0, "teacher", "Somebody 1999"),
        Published("Z", "vanilla", "accuracy", 63.0, "other setting", "Somebody 1999"),
    ]
    monkeypatch.setattr(datasets, "get", lambda _: replace(record, published=numbers))
    runs = benchmark.read(results)
    rows = benchmark.summary(runs)
    page = plots.comparison_page(runs, rows, "vanilla", "mimo-sim bench compare")
    ours = next(row for row in rows if (row.method, row.metric) == ("vanilla", "accuracy"))
    assert "late &lt;fusion&gt;</td><td>61.7</td><td>" in page
    assert "<td class=text>joint training</td><td class=text>accuracy</td>" in page
    assert f"<td>61.7</td><td>{100 * ours.mean:.1f} ± {100 * ours.half_width:.1f}</td>" in page
    assert "<td>62.0</td><td>not run</td>" in page
    assert "other setting" not in page


@pytest.fixture
def opened(written: Path) -> Iterator[Page]:
    """The page, open; at the end the console must be empty and nothing may have been asked for."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.goto(written.as_uri())
        yield page
        browser.close()
    assert complaints == []


def names(page: Page) -> list[str]:
    found = page.locator(".main tbody tr:visible td:first-child").all_inner_texts()
    return [str(name) for name in found]


def test_a_table_is_sorted_and_filtered_and_fits_a_phone(opened: Page) -> None:
    assert names(opened)[0] == "joint training"
    opened.get_by_role("button", name="method").click()
    assert names(opened) == ["joint training", "MIMO", "MMCosine"]
    opened.get_by_role("button", name="accuracy", exact=True).click()
    column = opened.locator(".main tbody tr td:nth-child(3)").all_inner_texts()
    falling = [float(text.split()[0]) for text in column]
    assert falling == sorted(falling, reverse=True)
    opened.get_by_role("button", name="accuracy", exact=True).click()
    column = opened.locator(".main tbody tr td:nth-child(3)").all_inner_texts()
    assert [float(text.split()[0]) for text in column] == falling[::-1]
    opened.get_by_label("Search methods").fill("mmcos")
    assert names(opened) == ["MMCosine"]
    assert opened.locator("output").inner_text() == "1 row shown"
    opened.get_by_label("Search methods").fill("")
    opened.get_by_label("Family of methods").select_option("reference")
    assert names(opened) == ["joint training"]
    opened.get_by_label("digits").uncheck()
    assert opened.get_by_text("No method matches.").is_visible()
    opened.get_by_label("digits").check()
    opened.get_by_text("show", exact=True).first.click()
    assert opened.locator("pre:visible").inner_text().startswith("mimo-sim bench run")
    opened.set_viewport_size({"width": 390, "height": 844})
    assert opened.evaluate("document.documentElement.scrollWidth") == 390
