"""What the site is made of, before Sphinx: gathered pages, links, the side bar, the reference."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

import mimo_sim as ms
from mimo_sim import benchmark
from paper_checks.ledger_values import SYMBOLS
from website import api, catalogue, embedded, links, navigation, stage


def test_links_are_those_of_the_place_on_the_site() -> None:
    noted: list[str] = []
    text = "[a](../README.md) [b](toy.md#x) ![c](../figures/figure1.png) [d](https://a.b) [e](#f)"
    moved = stage.relinked(text, "docs/claims.md", noted.append)
    assert moved == (
        "[a](../index.md) [b](toy.md#x) ![c](../figures/figure1.png) [d](https://a.b) [e](#f)"
    )
    assert noted == ["README.md", "docs/toy.md", "figures/figure1.png"]
    start = stage.relinked("[t](toy.md) [r](../README.md)", stage.START, noted.append)
    assert start == "[t](docs/toy.md) [r](index.md)"
    for target in ("ledger.md", "ledger.html"):
        link = f"[l](../paper_checks/ledger/{target})"
        assert stage.relinked(link, "docs/toy.md", noted.append) == (
            "[l](../paper_checks/ledger/ledger.md)"
        )


def test_the_way_back_to_the_readme_is_left_out() -> None:
    for page in sorted((stage.ROOT / "docs").glob("*.md")):
        source = f"docs/{page.name}"
        text = stage.page(page.read_text(), source, lambda _: None)
        assert "Back to the" not in text
        assert text.startswith("# ")


@pytest.fixture(scope="module")
def tree() -> dict[str, stage.Content]:
    return stage.gather()


def test_every_page_is_there_and_stands_in_the_side_bar_once(
    tree: dict[str, stage.Content],
) -> None:
    wanted = {
        stage.moved(path.relative_to(stage.ROOT).as_posix())
        for pattern in ("docs/**/*.md", "notebooks/*.ipynb")
        for path in stage.ROOT.glob(pattern)
    }
    assert wanted <= set(tree)
    bars = re.findall(r"^\S+$", str(tree["index.md"]).partition("```{toctree}")[2], re.MULTILINE)
    for place in wanted - {"index.md"}:
        assert bars.count(place.rpartition(".")[0]) == 1, place


def test_a_new_page_finds_its_section() -> None:
    pages = ["docs/new", "docs/howto/new", "notebooks/09_new", "docs/conformance", "explore"]
    assert navigation.sections(pages) == {
        "Start": ["explore"],
        "Course": ["notebooks/09_new"],
        "How to": ["docs/howto/new"],
        "Results": ["docs/conformance"],
        "More": ["docs/new"],
    }


def test_a_second_gathering_touches_nothing_and_removes_what_is_gone(tmp_path: Path) -> None:
    stage.write({"a/b.md": "one", "c.md": "two"}, tmp_path)
    before = (tmp_path / "c.md").stat().st_mtime_ns
    stage.write({"c.md": "two"}, tmp_path)
    assert (tmp_path / "c.md").stat().st_mtime_ns == before
    assert not (tmp_path / "a").exists()


def test_pages_of_an_earlier_build_are_removed(tmp_path: Path) -> None:
    for name in ("a/old.html", "a/new.html", "search.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    stage.clear({"a/new.md": ""}, tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*.html")) == ["new.html", "search.html"]


def test_every_public_name_is_in_the_reference(tree: dict[str, stage.Content]) -> None:
    rooms = {"": ms} | {name: getattr(ms, name) for name in api.rooms()}
    assert len(rooms) > 15
    missing = []
    for room, module in rooms.items():
        page = str(tree[f"api/mimo_sim.{room}.rst" if room else "api/index.rst"])
        for name in api.public(module):
            path = ".".join(filter(None, ("mimo_sim", room, name)))
            shown = isinstance(getattr(module, name), ModuleType) or name == "__version__"
            if not re.search(rf":: {re.escape(path)}$|``{name}``: see", page, re.M) and not (
                shown and path in page
            ):
                missing.append(path)
    assert missing == []


def test_every_entry_of_the_reference_has_a_docstring_and_is_the_only_one(
    tree: dict[str, stage.Content],
) -> None:
    seen: dict[int, str] = {}
    for place, page in tree.items():
        for path, again in re.findall(r":: (mimo_sim[\w.]+)\n( *:no-index:)?", str(page)):
            value: object = ms
            for part in path.split(".")[1:]:
                value = getattr(value, part)
            if callable(value):
                assert inspect.getdoc(value), f"{path} in {place}"
                assert again or seen.setdefault(id(value), path) == path, f"{path} in {place}"
    assert len(seen) > 100


def test_the_page_of_methods_has_every_method() -> None:
    page = catalogue.pages()["methods.rst"]
    for name, entry in ms.methods.catalogue().items():
        assert f".. _method-{name}:" in page
        assert page.count(f":ref:`{entry.title} <method-{name}>`") == 1
    classes = re.findall(r"autoclass:: mimo_sim\.methods\.(\w+)", page)
    assert {getattr(ms.methods, each).name for each in classes} == set(ms.methods.available())


def test_the_glossary_has_every_symbol_of_the_ledger() -> None:
    glossary = (stage.ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]*(?:\\\|[^|]*)*) \|", glossary, re.MULTILINE)
    named = " ".join(row.replace("\\", "").replace("`", "") for row in rows)
    for symbols in SYMBOLS:
        for symbol in symbols.split(", "):
            assert symbol in named, symbol


def rows_wanted(source: str, text: str) -> int:
    """One for each claim, or for each method on each data set of the file that was compared."""
    if "ledger" in source:
        return len(json.loads((stage.ROOT / source).with_suffix(".json").read_text())["claims"])
    (file,) = re.findall(r"bench compare (\S+\.csv\.gz)", text)
    return len({(run.dataset, run.method) for run in benchmark.read(stage.ROOT / file)})


@pytest.mark.parametrize("source", embedded.STANDING)
def test_standing_pages_are_embedded_whole(source: str) -> None:
    stored = (stage.ROOT / source).read_text(encoding="utf-8")
    page = embedded.page(source)
    rows = re.findall(r'<article id="[^"]+"|<tr data-family="', stored)
    assert len(rows) == rows_wanted(source, stored)
    assert re.findall(r'<article id="[^"]+"|<tr data-family="', page) == rows
    assert "$" not in page.partition("<div")[0].replace("$\n", "")
    assert not re.search(r"^(body|:root|main)\{", page, re.MULTILINE)


FAULTY = {
    "index.html": '<a href="a/b.html#there">x</a><a href="https://x.y">y</a><img src="p.png">',
    "a/b.html": '<h1 id="there">b</h1><a href="../index.html">up</a><a href="#there">here</a>',
}
FAULTS = {
    '<a href="c.html">x</a>': "is not there",
    '<a href="a/b.html#gone">x</a>': "has no such anchor",
    '<a href="#gone">x</a>': "has no such anchor",
    '<a href="/a/b.html">x</a>': "starts at the root of the server",
    '<a href="../other.html">x</a>': "lies outside the site",
    '<a href="a/">x</a>': "is a folder",
    '<img src="q.png">': "is not there",
}


def site(folder: Path, more: str = "") -> Path:
    for name, text in FAULTY.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + (more if name == "index.html" else ""))
    (folder / "p.png").touch()
    return folder


def test_a_sound_site_has_no_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert links.main([str(site(tmp_path))]) == 0
    assert "leads somewhere" in capsys.readouterr().out


@pytest.mark.parametrize(("more", "words"), FAULTS.items())
def test_a_dead_link_is_named(more: str, words: str, tmp_path: Path) -> None:
    (found,) = links.faults(site(tmp_path, more))
    assert found.startswith("index.html: ")
    assert words in found


def test_every_workflow_calls_targets_that_there_are() -> None:
    made = set(re.findall(r"^([a-z0-9-]+):", (stage.ROOT / "Makefile").read_text(), re.MULTILINE))
    flows = sorted((stage.ROOT / ".github" / "workflows").glob("*.yml"))
    called = {each.name: re.findall(r"\bmake ([a-z0-9-]+)", each.read_text()) for each in flows}
    assert called["site.yml"] == ["site", "site"]
    assert {target for targets in called.values() for target in targets} <= made
