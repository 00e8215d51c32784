"""The list of methods is read from the source, and says what the classes say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mimo_sim import methods
from mimo_sim.methods import _catalogue

METHOD = """
class {cls}(Method):
    name: ClassVar[str] = "{name}"
    family = "objective"
    about: ClassVar[str] = "{cls} on trial"

    def __init__(self, lam: float = {lam}, *, window=(0, 50)) -> None:
        raise RuntimeError("nobody runs this")
"""
BASE = """
class Method(nn.Module):
    name = ""
    title = ""
    family = "reference"
    about = ""
    needs = "encoders"
    waits = ""
    uses_heads = False
    needs_classes = False
    min_modalities = 1
    max_modalities: ClassVar[int | None] = None
"""


def test_the_catalogue_says_what_the_classes_say() -> None:
    found = _catalogue.read(methods.__path__)  # raises where the source does not suffice
    assert methods.catalogue() == found
    assert tuple(found) == methods.available()
    for name, entry in found.items():
        cls = methods.get(name)
        for key in (*_catalogue.TEXTS, *_catalogue.OTHERS):
            assert getattr(entry, key) == getattr(cls, key)
        assert entry.requirements()
        assert entry.hyper == methods.create(name).hyper


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        ({}, "encoders that do not look at each other"),
        ({"uses_heads": True, "needs_classes": True}, "other, heads on the encoders, classes"),
        ({"min_modalities": 2}, "2 or more modalities"),
        ({"max_modalities": 2}, "at most 2 modalities"),
        ({"needs": "gates", "min_modalities": 2, "max_modalities": 2}, "mmtm), 2 modalities"),
    ],
)
def test_what_a_method_needs_is_said_in_words(needs: dict[str, Any], words: str) -> None:
    entry = _catalogue.Entry("one", "", "objective", "One on trial", **needs)
    assert entry.requirements().endswith(words)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "_base.py").write_text(BASE)
    (tmp_path / "_helper.py").write_text('class Half(Method):\n    family = "gradient"\n')
    (tmp_path / "one.py").write_text(METHOD.format(cls="One", name="one", lam="-1.5"))
    return tmp_path


def test_new_files_and_what_they_inherit_are_found(folder: Path) -> None:
    two = 'class Mixin:\n    about = "mixed in"\n\nclass Two(Mixin, One):\n    name = "two"\n'
    (folder / "two.py").write_text(two)
    (folder / "three.py").write_text('class Three(Half):\n    name = "three"\n    about = "3"\n')
    (folder / "four.py").write_text('class Four(nn.Module):\n    other = "no method"\n')
    found = _catalogue.read([str(folder)])
    assert list(found) == ["one", "three", "two"]
    hyper = {"lam": -1.5, "window": (0, 50)}
    assert found["one"] == _catalogue.Entry("one", "", "objective", "One on trial", hyper=hyper)
    assert found["two"] == _catalogue.Entry("two", "", "objective", "mixed in", hyper=hyper)
    assert found["three"] == _catalogue.Entry("three", "", "gradient", "3")


@pytest.mark.parametrize(
    "source",
    [
        METHOD.format(cls="Two", name="two", lam="DEFAULT"),
        METHOD.format(cls="Two", name="one", lam="1"),
        METHOD.format(cls="One", name="two", lam="1"),
        METHOD.format(cls="Two", name="two", lam="1").replace(" = 1,", ","),
        'class Two(Method):\n    name = "a" + str(2)\n',
        "class Two(Two):\n    pass\n",
        'class Two(Theirs):\n    name = "two"\n',
        "class Two(",
    ],
)
def test_what_takes_more_than_reading_is_left_to_the_import(source: str, folder: Path) -> None:
    (folder / "two.py").write_text(source)
    with pytest.raises((ValueError, SyntaxError)):
        _catalogue.read([str(folder)])


def test_where_the_source_does_not_suffice_the_modules_are_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = methods.catalogue()

    def refuse(folders: object) -> None:
        raise ValueError("not a literal")

    monkeypatch.setattr(_catalogue, "read", refuse)
    assert methods.catalogue() == expected
