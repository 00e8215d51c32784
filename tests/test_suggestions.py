"""The words of refusals: a close match of an unknown name is named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimo_sim import _checks, methods


@pytest.mark.parametrize(
    ("value", "allowed", "question"),
    [
        ("mimoo", ("mimo", "vanilla"), " Did you mean 'mimo'?"),
        ("MIMO", ("mimo", "vanilla"), " Did you mean 'mimo'?"),  # capital letters do not count
        ("pgrad", ("cagrad", "pcgrad"), " Did you mean 'pcgrad' or 'cagrad'?"),  # the closer first
        ("median", ("mimo", "vanilla"), ""),
        ("mimo", (), ""),
        (3, ("three", 3.0), ""),
        (None, (None, "none"), ""),
    ],
)
def test_a_close_match_is_named(value: Any, allowed: tuple[Any, ...], question: str) -> None:
    assert _checks.did_you_mean(value, allowed) == question


@given(st.text(), st.lists(st.text(max_size=8), max_size=8))
def test_only_what_is_allowed_is_suggested(value: str, allowed: list[str]) -> None:
    question = _checks.did_you_mean(value, allowed)
    assert not question or any(repr(name) in question for name in allowed)


def test_choices_name_what_was_meant() -> None:
    with pytest.raises(
        ValueError,
        match=r"^`heads` must be one of \('gradient', 'plain'\)\. Got heads='plane'\. "
        r"Did you mean 'plain'\?$",
    ):
        _checks.check_choice("heads", "plane", ("gradient", "plain"))
    with pytest.raises(ValueError, match=r"Got gap=7\.$"):
        _checks.check_choice("gap", 7, ("absolute", "relative"))


@pytest.mark.parametrize(
    ("name", "hyper", "error", "message"),
    [
        ("mimoo", {}, ValueError, r"`method` must .* Got 'mimoo'\. Did you mean 'mimo'"),
        ("OGM-GE", {}, ValueError, r"Got 'OGM-GE'\. Did you mean 'ogm_ge'"),
        ("gradient boosting", {}, ValueError, r"Got 'gradient boosting'\.$"),
        ("mimo", {"lamda": 1}, TypeError, r"takes \('lam', .* Got lamda\. Did you mean 'lam'\?$"),
        (
            "mimo",
            {"lamda": 1, "normalize": True},
            TypeError,
            r"Got lamda, normalize\. Did you mean 'lam'\? Did you mean 'normalise'\?$",
        ),
        ("vanilla", {"lam": 1}, TypeError, r"takes no hyper-parameters\. Got lam\.$"),
        (
            "mimo",
            {"f_star": "extrapolate"},
            ValueError,
            r"Got f_star='extrapolate'\. Did you mean 'extrapolation'\?$",
        ),
        ("cagrad", {"rescale": "pubished"}, ValueError, r"Got rescale='pubished'\."),
        ("smv", {"level": "modalities"}, ValueError, r"Did you mean 'modality'\?$"),
    ],
)
def test_methods_name_what_was_meant(
    name: str, hyper: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        methods.create(name, **hyper)


def test_constructors_name_what_was_meant() -> None:
    with pytest.raises(TypeError, match=r"'mimo' takes \('lam', .* Got lamda\. Did you mean 'lam'"):
        methods.MIMOLoss(lamda=2)  # type: ignore[call-arg]
    for name in methods.available():
        with pytest.raises(TypeError, match=f"method '{name}' takes .* Got colour\\."):
            methods.get(name)(colour=2)
