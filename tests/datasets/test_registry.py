"""Data sets are found by a scan; bad settings and broken files are named."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mimo_sim import datasets
from mimo_sim.commands.data import settings


def test_every_data_set_is_registered_with_what_is_known_of_it() -> None:
    assert {"avmnist", "cremad_ratings", "digits", "grid", "mfeat", "synthetic"} <= set(
        datasets.available()
    )
    for name in datasets.available():
        record = datasets.get(name)
        assert record.name == name
        assert record.about
        assert record.licence
        assert record.home.startswith("https://")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: datasets.load("mnist"),
            r"`dataset` must be one of .*'avmnist'.* Got 'mnist'\. Did you mean 'avmnist'\?$",
        ),
        (lambda: datasets.load([]), r"`dataset` must be one of .* Got \[\]\.$"),  # type: ignore[arg-type]
        (
            lambda: datasets.load("digits", root=range(3)),  # type: ignore[arg-type]
            r"^`root` must be a path or None\. Got root=range\(0, 3\)\.$",
        ),
        (lambda: datasets.load("digits", nois=1), r"Got nois\. Did you mean 'noise'\?$"),
        (
            lambda: datasets.get("digits").preset("ful"),
            r"`preset` must be one of \('cpu', 'full'\)\. Got preset='ful'\. Did you mean 'full'",
        ),
        (
            lambda: datasets.load("avmnist", components=2.5),
            "`components` must be an integer. Got components=2.5",
        ),
        (lambda: datasets.load("avmnist", snr="loud"), "`snr` must be a number of dB. Got snr='l"),
        (
            lambda: datasets.load("avmnist", train_size=55_001),
            "`train_size` must be at most 55000. Got train_size=55001",
        ),
        (
            lambda: datasets.load("digits", setting="A"),
            r"data set 'digits' takes \('noise',\). Got setting",
        ),
        (lambda: datasets.load("digits", seed=-1), "`seed` must be >= 0. Got seed=-1"),
        (lambda: datasets.load("digits", noise=-1.0), "`noise`"),
        (
            lambda: datasets.load("synthetic", train_size=0),
            "`train_size` must be >= 1. Got train_size=0",
        ),
        (
            lambda: datasets.load("synthetic", train_size="a"),
            "`train_size` must be an integer. Got train_size='a'",
        ),
        (lambda: datasets.load("synthetic", problem=3), "`problem` must be one of .*Got problem=3"),
        (
            lambda: datasets.load("avmnist", train_size=1.5),
            "`train_size` must be an integer. Got train_size=1.5",
        ),
        (
            lambda: datasets.load("avmnist", setting="E"),
            r"`setting` must be one of \('A', 'B', 'C', 'D'\). Got setting='E'",
        ),
        (
            lambda: datasets.load("grid", setting="loud"),
            r"`setting` must be 'clean' or a finite number of dB. Got setting='loud'",
        ),
        (lambda: datasets.load("grid", setting=float("inf")), "`setting` .* Got setting=inf"),
        (lambda: datasets.load("grid", setting=True), "`setting` .* Got setting=True"),
        (
            lambda: datasets.load("grid", train_sentences=701),
            "`train_sentences` must be at most 700. Got train_sentences=701",
        ),
        (
            lambda: datasets.load("avmnist", components=0),
            "`components` must lie in 1..784. Got components=0",
        ),
        (
            lambda: datasets.load("avmnist", snr=float("nan")),
            "`snr` must be a finite number of dB. Got snr=nan",
        ),
        (
            lambda: datasets.load("avmnist", test_size=0),
            "`test_size` must be >= 1. Got test_size=0",
        ),
        (
            lambda: settings(["noise"]),
            "`--option` must look like name=value with one number or word. Got 'noise'",
        ),
    ],
)
def test_refusals(call: Callable[[], Any], words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        call()


def test_settings_of_the_command_line_are_literals_or_words() -> None:
    assert settings(["train_size=10", "setting=B", "snr=-6.5", "components=None"]) == {
        "train_size": 10,
        "setting": "B",
        "snr": -6.5,
        "components": None,
    }


@pytest.mark.parametrize("source", ["1 / 0", "class Mine(:"])
def test_faults_of_a_new_file_are_named(
    source: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"mine_d{request.node.callspec.indices['source']}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(tmp_path)])
    datasets._registry.cache_clear()
    try:
        with pytest.raises(
            ImportError,
            match=rf"the data set in mimo_sim\.datasets\.{name} cannot be imported: "
            "(ZeroDivision|Syntax)Error",
        ):
            datasets.available()
    finally:
        sys.modules.pop(f"mimo_sim.datasets.{name}", None)
        datasets._registry.cache_clear()
