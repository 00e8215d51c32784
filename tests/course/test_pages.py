"""Notebooks as pages and slides: one file that loads nothing, formulas drawn by the browser."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mimo_sim._extras import MissingExtraError
from mimo_sim.course import badges, pages, slides

ROOT = Path(__file__).resolve().parent.parent.parent
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)


def loaded(text: str) -> list[str]:
    """What a page would fetch when it is opened."""
    found = re.findall(r"""<script[^>]*\ssrc=["']([^"']+)""", text)
    markup = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    found += re.findall(r"""<(?:link|img|iframe)[^>]*(?:src|href)=["'](?!data:)([^"']+)""", markup)
    return found + re.findall(r"@import[^;]*;|url\((?!['\"]?data:)[^)]*\)", markup)


@pytest.fixture
def notebook() -> Any:
    """An executed notebook in small: formulas, a picture, an exercise and a note."""
    picture = new_output("display_data", data={"image/png": PIXEL})  # type: ignore[no-untyped-call]
    hidden = {"tags": ["remove-input"]}
    cells = [
        new_markdown_cell("# A title\n\nSee [01](01_figure1.ipynb), $a < b$ & more."),  # type: ignore[no-untyped-call]
        new_markdown_cell("## How large is $\\lambda^*$?\n\n$$F = \\frac{1}{2} E|y|^2$$"),  # type: ignore[no-untyped-call]
        new_code_cell("draw()", outputs=[picture], metadata=hidden),  # type: ignore[no-untyped-call]
        new_markdown_cell("<details><summary>Solution</summary>\n\n$x^2$ is **it**.\n\n</details>"),  # type: ignore[no-untyped-call]
        new_markdown_cell("say this"),  # type: ignore[no-untyped-call]
    ]
    kinds = ("slide", "slide", "-", "fragment", "notes")
    for cell, kind in zip(cells, kinds, strict=True):
        cell.metadata["slideshow"] = {"slide_type": kind}
    return new_notebook(cells=cells)  # type: ignore[no-untyped-call]


def test_a_page_loads_nothing_and_has_its_formulas(notebook: Any) -> None:
    text = pages.page(notebook, pages.title_of(notebook))
    assert "<title>A title</title>" in text
    assert loaded(text) == []
    assert text.count("<math ") == 4
    assert "$" not in re.sub(r"<style.*?</style>|<script.*?</script>", "", text, flags=re.DOTALL)
    assert 'href="01_figure1.html"' in text
    assert 'id="how-large-is-λ"' in text
    assert re.search(r"<details><summary>Solution</summary>\s*<p><math .*<strong>it", text)
    assert 'alt="Figure: How large is \\lambda^*?. The text below describes it."' in text


def test_a_formula_says_its_latex_to_a_screen_reader() -> None:
    formula = pages.mathml('a < b"', display=False)
    assert 'aria-label="a &lt; b&quot;"' in formula
    assert 'display="inline"' in formula
    assert 'display="block"' in pages.mathml("a", display=True)


def test_slides_are_one_file_with_reveal_in_it(notebook: Any) -> None:
    text = slides.page(notebook, "Slides")
    assert loaded(text) == []
    assert slides.reveal()["script"][:200] in text
    assert text.count('<aside class="notes">') == 1
    assert text.count("<math ") == 4
    assert 'class="fragment"' in text
    assert "draw()" not in text  # hidden code
    assert f"data:image/png;base64,{PIXEL}" in text


def test_without_the_package_the_message_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mimo_sim\[notebooks\]'"):
        slides.reveal()


def test_the_slides_of_the_class_have_notes_and_end_with_what_to_remember() -> None:
    stored = nbformat.read(ROOT / "notebooks" / "slides.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    kinds = [cell.metadata.slideshow.slide_type for cell in stored.cells]
    assert set(kinds) <= {"slide", "subslide", "fragment", "notes", "skip", "-"}
    assert kinds[0] == "slide"
    assert kinds.count("notes") >= 10
    for cell in stored.cells:
        if cell.cell_type == "code":
            assert "remove-input" in cell.metadata.tags, cell.id


PLAN = (ROOT / "docs" / "teaching.md").read_text()


def test_the_plan_fills_ninety_minutes_and_shows_every_slide() -> None:
    rows = re.findall(r"^\| (\d+)–(\d+) \|([^|]*)\|", PLAN, re.MULTILINE)
    times = [(int(begin), int(end)) for begin, end, _ in rows]
    assert times[0][0] == 0
    assert times[-1][1] == 90
    assert all(end == begin for (_, end), (begin, _) in itertools.pairwise(times))
    named: list[int] = []
    for _, _, cell in rows:
        for first, last in re.findall(r"(\d+)(?:–(\d+))?", cell):
            named += range(int(first), int(last or first) + 1)
    stored = json.loads((ROOT / "notebooks" / "slides.ipynb").read_text())
    kinds = [cell["metadata"]["slideshow"]["slide_type"] for cell in stored["cells"]]
    assert named == list(range(1, 1 + kinds.count("slide") + kinds.count("subslide")))


def test_the_plan_names_sections_that_are_there() -> None:
    for lesson, section in re.findall(r"\b(0\d)\.(\d)\b", PLAN):
        (path,) = (ROOT / "notebooks").glob(f"{lesson}_*.ipynb")
        assert re.search(rf"## {section}\. ", path.read_text()), f"{lesson}.{section}"


PAGE = "https://github.com/somebody/mimo_sim"


def test_badges_lead_to_the_notebook_of_this_address() -> None:
    text = badges.badges(PAGE, "01_figure1.ipynb")
    assert (
        "https://colab.research.google.com/github/somebody/mimo_sim/blob/main/notebooks/01_figure1.ipynb"
        in text
    )
    assert (
        "https://mybinder.org/v2/gh/somebody/mimo_sim/main?labpath=notebooks%2F01_figure1.ipynb"
        in text
    )
    for page in ("https://example.org/a/b", "github.com/a/b", "https://github.com/a"):
        with pytest.raises(
            ValueError, match="`page` must be the address of a repository on GitHub"
        ):
            badges.badges(page, "x.ipynb")


def test_stamping_a_notebook_twice_is_stamping_it_once(tmp_path: Path) -> None:
    path = tmp_path / "01_figure1.ipynb"
    path.write_text((ROOT / "notebooks" / path.name).read_text())
    plain = json.loads(path.read_text())
    assert badges.main([str(path), "--page", PAGE]) == 0
    once = path.read_text()
    assert badges.main([str(path), "--page", PAGE]) == 0
    assert path.read_text() == once
    stamped = nbformat.reads(once, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(stamped)
    assert [cell.id for cell in stamped.cells[:3]] == ["title", "badges", "install"]
    assert f"git clone --quiet --depth 1 {PAGE} repository" in stamped.cells[2].source
    rest = [cell for cell in json.loads(once)["cells"] if cell["id"] not in ("badges", "install")]
    assert rest == plain["cells"]


def test_the_address_is_that_of_the_installed_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from email.message import Message

    about = Message()
    about["Project-URL"] = "Paper, https://arxiv.org/abs/2511.06686"
    monkeypatch.setattr("importlib.metadata.metadata", lambda name: about)
    assert badges.source_page() is None
    assert badges.main([str(tmp_path / "x.ipynb")]) == 2
    assert "--page" in capsys.readouterr().out
    about["Project-URL"] = f"Source, {PAGE}"
    assert badges.source_page() == PAGE


def test_stored_notebooks_have_no_badges_or_those_of_one_address() -> None:
    found = set()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        found |= set(
            re.findall(r"colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)", path.read_text())
        )
    assert len(found) <= 1
