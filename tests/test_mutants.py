"""What counts as a mutant, and what is told of those that nobody notices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.mutable import RULES, LeftAlone

STORED = json.loads((Path(__file__).parent / "mutants.json").read_text())

# In each text the marked place (§ stands before it) is left alone, by the rule of this name.
EXCLUDED = [
    ("signature", "def f(x: Literal[§1]) -> int: ..."),
    ("signature", "def f(x: int, y: Literal[§1] = 2) -> int: ..."),
    ("signature", "def f(x: int) -> Literal[§1]: ..."),
    ("signature", "def f(x, §*, y=1): ..."),
    ("signature", "def f(x=1, §*, y): ..."),
    ("signature", "class A:\n    def f(self,\n          §*,\n          x): return 1"),
    ("annotation", "size: Literal[§1] = 1"),
    ("type alias", "Size: TypeAlias = Literal[§1]"),
    ("type alias", "Size = TypeVar('Size', bound=Literal[§1])"),
    ("if TYPE_CHECKING", "if TYPE_CHECKING:\n    size = §1"),
    ("message", "if x:\n    raise ValueError(f'at most {size §+ 1}, not {x}')"),
    ("message", "warnings.warn(f'± {size §+ 1}', stacklevel=2)"),
    ("zip(strict=True)", "pairs = zip(a, b, strict=§True)"),
    ("search = ...", "class A:\n    search: ClassVar[Search] = {'lam': ('log', §0.1, 10)}"),
    ("decorator", "@dataclass(frozen=§True)\nclass A: ..."),
    ("decorator", "@lru_cache(§1)\ndef f(): ..."),
]
COUNTED = [
    "def f(x: int = §1) -> int: ...",
    "def f(x, *, y=§1): ...",
    "def f(x: int = §1 + 1, *, y=2): ...",
    "def f(x): return x §* 2",
    "f = lambda x=§1: x",
    "size: int = §1",
    "def f() -> int: return §1",
    "class A:\n    lam: ClassVar[float] = §1.0",
    "if §not TYPE_CHECKING:\n    size = 1",
    "if not TYPE_CHECKING:\n    size = §1",
    "if TYPE_CHECKING:\n    pass\nelse:\n    size = §1",
    "if x §> 1:\n    raise ValueError(f'at most {size}, not {x}')",
    "raise ValueError(size §+ 1)",
    "text = f'{size §+ 1}'",
    "warnings.warn('words', stacklevel=§2)",
    "pairs = zip(a, b, strict=§False)",
    "pairs = zip(a[§1:], b, strict=True)",
    "rest = dict(a, strict=§True)",
    "word, x = '±', §1",  # characters, not bytes
]


def at_the_mark(text: str) -> tuple[str, tuple[int, int]]:
    before, _, after = text.partition("§")
    line = before.count("\n") + 1
    return before + after, (line, len(before) - (before.rfind("\n") + 1))


@pytest.mark.parametrize(("name", "text"), EXCLUDED)
def test_what_cannot_matter_is_left_alone(name: str, text: str) -> None:
    source, position = at_the_mark(text)
    assert LeftAlone(source).rule(position) == name
    line, column = position
    assert LeftAlone("\n" + source).rule((line + 1, column)) == name
    assert name in {rule.name for rule in RULES if rule.why}


@pytest.mark.parametrize("text", COUNTED)
def test_what_can_matter_counts(text: str) -> None:
    source, position = at_the_mark(text)
    assert LeftAlone(source).rule(position) is None


def test_every_rule_is_tried() -> None:
    assert {name for name, _ in EXCLUDED} == {rule.name for rule in RULES}


# ------------------------ the stored result


def test_every_survivor_is_explained() -> None:
    for one in STORED["survivors"]:
        assert one["verdict"] in ("equivalent", "open"), one
        assert len(one["why"]) > 15, one


def test_the_scores_follow_from_the_counts() -> None:
    drawn, alive = STORED["mutants"], len(STORED["survivors"])
    equivalent = sum(one["verdict"] == "equivalent" for one in STORED["survivors"])
    assert drawn == sum(STORED["sampled"].values()) >= 120
    assert (STORED["noticed"], STORED["equivalent"]) == (drawn - alive, equivalent)
    assert STORED["score"] == pytest.approx((drawn - alive) / drawn)
    assert STORED["score_without_equivalents"] == pytest.approx(
        (drawn - alive) / (drawn - equivalent)
    )


def test_nine_of_ten_mutants_that_are_not_equivalent_are_noticed() -> None:
    assert STORED["score_without_equivalents"] >= 0.9
