"""The registry finds methods, also new ones, and names what is wrong with a new file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import mimo_sim as ms
from mimo_sim import methods
from mimo_sim.methods.mimo import MIMOLoss


def test_all_methods_are_found() -> None:
    assert len(methods.available()) == len(set(methods.available())) >= 38
    for name in methods.available():
        cls = methods.get(name)
        assert cls.name == name
        assert getattr(methods, cls.__name__) is cls  # by its class name too
        assert issubclass(cls, methods.Method)
        assert isinstance(methods.create(name), cls)


def test_the_criterion_is_the_method_mimo() -> None:
    assert ms.MIMOLoss is methods.MIMOLoss is methods.MIMO is methods.get("mimo")
    assert ms.MIMOLoss is MIMOLoss


def test_unknown_names_are_named() -> None:
    with pytest.raises(ValueError, match=r"`method` must be one of .*'mimo'.* Got 'mimosa'"):
        methods.get("mimosa")
    with pytest.raises(AttributeError, match=r"'mimo_sim\.methods' has no attribute 'Mimosa'"):
        methods.Mimosa  # noqa: B018


@pytest.mark.parametrize("name", methods.available())
def test_lines_for_lists_are_short_and_say_the_source(name: str) -> None:
    cls = methods.get(name)
    assert cls.about
    assert len(cls.about) <= 75
    assert cls.about[0].islower() or cls.about[:2].isupper()
    assert not cls.about.endswith(".")


# ---------------------------------------------------------------------------- a method of your own

BASE = "from mimo_sim.methods._base import Method\n"
VANILLA = "from mimo_sim.methods.vanilla import Vanilla\n"


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        (
            "class Mine(:",
            ImportError,
            r"the methods in mimo_sim\.methods\.mine_a0 cannot be imported: SyntaxError",
        ),
        (
            "import nothing_of_this_name",
            ImportError,
            r"mimo_sim\.methods\.mine_a1 cannot be imported: "
            "ModuleNotFoundError: No module named 'nothing_of_this_name'",
        ),
        (
            VANILLA + "class Mine(Vanilla): pass",
            ImportError,
            "two methods are called 'vanilla', in .*mine_a2.*set `name` in the class",
        ),
        (
            VANILLA + "class Mine(Vanilla):\n    name = 'mine'\n"
            "    def __init__(self, alpha): super().__init__()",
            ImportError,
            "method 'mine' in .*mine_a3: give alpha a default value",
        ),
        (
            BASE + "class Mine(Method):\n    name = 'mine'\n"
            "    def __init__(self, alpha=1.0): super().__init__()",
            TypeError,
            r"method 'mine' in .*mine_a4 must hand all hyper-parameters to super\(\).__init__. "
            "Missing: alpha",
        ),
        (
            BASE + "class Mine(Method):\n    name = 'mine'\n"
            "    def __init__(self, alpha=1.0): pass",
            TypeError,
            r"method 'mine' in .*mine_a5 must call super\(\).__init__",
        ),
    ],
)
def test_faults_of_a_new_file_are_named(
    source: str,
    error: type[Exception],
    words: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    number = request.node.callspec.indices["source"]
    (tmp_path / f"mine_a{number}.py").write_text(source)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    methods._registry.cache_clear()
    try:
        with pytest.raises(error, match=words):
            methods.create("mine")
    finally:
        sys.modules.pop(f"mimo_sim.methods.mine_a{number}", None)
        methods._registry.cache_clear()
