"""The problem sheet: each problem has a solution, and every number of it is computed."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
SHEET = (DOCS / "problem_sheet.md").read_text()
SOLUTIONS = (DOCS / "problem_sheet_solutions.md").read_text()
TITLE = re.compile(r"^### (Problem \d+\. .+)$", re.MULTILINE)


def parts(text: str) -> dict[str, str]:
    """Title of a problem -> what stands below it."""
    pieces = TITLE.split(text)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def outputs(solution: str) -> str:
    """What the Python of a solution should print, by its text."""
    return " ".join(example.want for example in doctest.DocTestParser().get_examples(solution))


def numbers(text: str) -> set[float]:
    return {float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text)}


def test_every_problem_has_its_solution() -> None:
    assert list(parts(SHEET)) == list(parts(SOLUTIONS))
    assert [int(title.split()[1][:-1]) for title in parts(SHEET)] == list(range(1, 12))


def test_the_python_of_the_solutions_prints_what_stands_there() -> None:
    found = doctest.testfile(str(DOCS / "problem_sheet_solutions.md"), module_relative=False)
    assert found.failed == 0
    assert found.attempted > 30


@pytest.mark.parametrize("title", parts(SOLUTIONS))
def test_every_bold_number_is_printed_by_the_python_below_it(title: str) -> None:
    solution = parts(SOLUTIONS)[title]
    bold = [number for text in re.findall(r"\*\*([^*]+)\*\*", solution) for number in numbers(text)]
    printed = numbers(outputs(solution))
    assert printed, "a solution computes something"
    assert set(bold) <= printed
    assert bold or title.startswith("Problem 11")


def test_the_slides_ask_the_problems_of_the_class() -> None:
    slides = (DOCS.parent / "notebooks" / "slides.ipynb").read_text()
    assert "problems 1 to 3" in slides
    before, _, at_home = SHEET.partition("## At home")
    assert list(parts(before)) == list(parts(SHEET))[:3]
    assert list(parts(at_home)) == list(parts(SHEET))[3:]
