"""Hyper-parameters that are unknown or outside their range are refused by name."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest

from mimo_sim import methods
from mimo_sim.commands import _grammar as grammar
from tests.methods.helpers import fitted, images_and_vectors


@pytest.mark.parametrize(
    ("name", "hyper", "error", "message"),
    [
        ("mimo", {"lam": -1.0}, ValueError, "`lam` must be finite and >= 0"),
        ("mimo", {"mu": 0.0}, ValueError, "`mu` must be finite and > 0"),
        ("mimo", {"mu": "small"}, TypeError, "`mu` must be a number"),
        ("mimo", {"decay": 1.0}, ValueError, r"`decay` must be in \[0, 1\)"),
        ("mimo", {"heads": "unit"}, ValueError, "`heads` must be one of"),
        ("mimo", {"gap": "log"}, ValueError, "`gap` must be one of"),
        ("mimo", {"normalise": 2}, ValueError, "`normalise` must be one of"),
        ("mimo", {"adaptive_mu": -0.5}, ValueError, "`adaptive_mu` must be finite and >= 0"),
        (
            "mimo",
            {"f_star": "exact"},
            ValueError,
            "`f_star` must be one of .*running_minimum.* Got f_star='exact'",
        ),
        ("mimo", {"f_star": [0.1, math.nan]}, ValueError, "`f_star` must be finite"),
        ("mimo", {"f_star": ["a"]}, TypeError, "`f_star` must be one of"),
        ("mimo", {"f_star": True}, TypeError, "`f_star` must be one of"),
        ("mimo", {"f_star": []}, ValueError, "`f_star` must be finite"),
        (
            "linear_scalarization",
            {"weight": [1.0, -1.0]},
            ValueError,
            "`weight` must be finite and >= 0",
        ),
        ("ogm", {"alpha": -0.1}, ValueError, "`alpha` must be finite and >= 0"),
        ("ogm", {"window": (5, 2)}, ValueError, "`window` must have first <= last"),
        ("ogm", {"window": (-1, 2)}, ValueError, r"`window\[0\]` must be >= 0"),
        ("ogm", {"window": 5}, TypeError, "`window` must be None or"),
        ("ogm", {"window": (0.5, 2)}, TypeError, r"`window\[0\]` must be an integer"),
        ("ogm_ge", {"noise": -1.0}, ValueError, "`noise` must be finite and >= 0"),
        ("amco", {"sigma": 1.0}, ValueError, r"`sigma` must lie in \(0, 1\). Got sigma=1.0"),
        ("amco", {"ramp": 1.5}, ValueError, r"`ramp` must be in \[0, 1\]. Got ramp=1.5"),
        ("amco", {"p_max": -0.1}, ValueError, "`p_max` must be finite and >= 0"),
        ("amco", {"mask_on": "inputs"}, ValueError, "`mask_on` must be one of"),
        ("amss", {"temperature": 0.0}, ValueError, "`temperature` must be finite and > 0"),
        ("amss", {"importance": "l1"}, ValueError, "`importance` must be one of"),
        ("amss", {"entropy": "exact"}, ValueError, "`entropy` must be one of"),
        ("amss_plus", {"scale": "sum"}, ValueError, "`scale` must be one of"),
        ("arl", {"gamma": -1.0}, ValueError, "`gamma` must be finite and >= 0"),
        ("arl", {"temperature": -1.0}, ValueError, "`temperature` must be finite and >= 0"),
        ("arl", {"warm_up": 0.5}, TypeError, "`warm_up` must be an integer"),
        ("arl", {"clip": 0.0}, ValueError, "`clip` must be finite and > 0"),
        ("arl", {"factors": "equal"}, ValueError, "`factors` must be one of"),
        ("aug", {"width": 0}, ValueError, "`width` must be >= 1"),
        ("aug", {"mu": 1.5}, ValueError, r"`mu` must be in \[0, 1\]. Got mu=1.5"),
        ("aug", {"lam": 2.0}, ValueError, r"`lam` must be in \[0, 1\]"),
        ("aug", {"threshold": -1.0}, ValueError, "`threshold` must be finite and >= 0"),
        ("aug", {"every": 0}, ValueError, "`every` must be >= 1"),
        ("aug", {"train_new": "no"}, ValueError, "`train_new` must be one of"),
        ("cggm", {"rho": -1.0}, ValueError, "`rho` must be finite and >= 0"),
        ("cggm", {"memory": 1.0}, ValueError, r"`memory` must be in \[0, 1\). Got memory=1.0"),
        ("cggm", {"clip": math.inf}, ValueError, "`clip` must be finite and > 0"),
        ("cggm", {"direction": "cos"}, ValueError, "`direction` must be one of"),
        ("cggm", {"bounded": "yes"}, ValueError, "`bounded` must be one of"),
        ("data_remixing", {"weight": -1.0}, ValueError, "`weight` must be finite and >= 0"),
        ("data_remixing", {"gamma": math.nan}, ValueError, "`gamma` must be finite and >= 0"),
        ("data_remixing", {"warm_up": -1}, ValueError, "`warm_up` must be >= 0"),
        ("dgl", {"alpha": -1.0}, ValueError, "`alpha` must be finite and >= 0"),
        ("dgl", {"clip": 0.0}, ValueError, "`clip` must be finite and > 0"),
        ("di_mml", {"align": -1.0}, ValueError, "`align` must be finite and >= 0"),
        ("di_mml", {"contrast": "x"}, TypeError, "`contrast` must be a number"),
        ("di_mml", {"temperature": 0.0}, ValueError, "`temperature` must be finite and > 0"),
        ("di_mml", {"certainty": 0.0}, ValueError, "`certainty` must be finite and > 0"),
        ("di_mml", {"stage_two": -1}, ValueError, "`stage_two` must be >= 0"),
        ("agm", {"cap": 0.0}, ValueError, "`cap` must be finite and > 0"),
        ("agm", {"clip": math.inf}, ValueError, "`clip` must be finite and > 0"),
        ("g_blending", {"super_epoch": 0}, ValueError, "`super_epoch` must be >= 1"),
        (
            "g_blending",
            {"weights": [1.0, -1.0, 0.0]},
            ValueError,
            "`weights` must be finite and >= 0",
        ),
        ("mmcosine", {"scale": 0.0}, ValueError, "`scale` must be finite and > 0"),
        ("mmpareto", {"gamma": 0.0}, ValueError, "`gamma` must be finite and > 0"),
        (
            "mgda",
            {"scope": "local"},
            ValueError,
            "`scope` must be one of .*'encoder', 'global'.* Got scope='local'",
        ),
        ("mgda", {"normalisation": "l1"}, ValueError, "`normalisation` must be one of .*'loss\\+'"),
        ("pcgrad", {"scope": "all"}, ValueError, "`scope` must be one of"),
        ("cagrad", {"c": 1.0}, ValueError, r"`c` must be in \[0, 1\). Got c=1.0"),
        ("cagrad", {"rescale": "half"}, ValueError, "`rescale` must be one of"),
        ("opm", {"q_base": 1.5}, ValueError, r"`q_base` must be in \[0, 1\]"),
        ("opm", {"p_exe": -0.1}, ValueError, "`p_exe` must be finite and >= 0"),
        ("opm", {"warm_up": -1}, ValueError, "`warm_up` must be >= 0"),
        ("mla", {"projection": "on"}, ValueError, "`projection` must be one of"),
        ("mla", {"fusion": "max"}, ValueError, "`fusion` must be one of"),
        (
            "lfm",
            {"weight": "learned"},
            ValueError,
            "`weight` must be one of .*Got weight='learned'",
        ),
        ("lfm", {"weight": 1.5}, ValueError, r"`weight` must be in \[0, 1\]. Got weight=1.5"),
        ("lfm", {"weight": None}, TypeError, "`weight` must be a number"),
        ("lfm", {"match": "jsd"}, ValueError, "`match` must be one of"),
        ("lfm", {"temperature": 0.0}, ValueError, "`temperature` must be finite and > 0"),
        ("lfm", {"scale": 0.0}, ValueError, "`scale` must be finite and > 0"),
        ("mlb", {"alpha": -1.0}, ValueError, "`alpha` must be finite and >= 0"),
        ("mlb", {"beta": 0.5}, ValueError, "`beta` must be >= 1. Got beta=0.5"),
        ("smv", {"level": "batch"}, ValueError, "`level` must be one of"),
        ("smv", {"shape": "cube"}, ValueError, "`shape` must be one of"),
        ("smv", {"subset": 1.1}, ValueError, r"`subset` must be in \(0, 1\]"),
        ("relearning", {"lam": -1.0}, ValueError, "`lam` must be finite and >= 0"),
        ("relearning", {"every": 0}, ValueError, "`every` must be >= 1"),
        ("umt", {"lam": -1.0}, ValueError, "`lam` must be finite and >= 0"),
        ("umt", {"epochs": 0}, ValueError, "`epochs` must be >= 1"),
        ("pmr", {"momentum": 1.5}, ValueError, r"`momentum` must be in \[0, 1\]"),
        ("pmr", {"rule": "hard"}, ValueError, "`rule` must be one of"),
        ("cml", {"lam": math.nan}, ValueError, "`lam` must be finite"),
        ("inforeg", {"threshold": math.nan}, ValueError, "`threshold` must be a number"),
        ("mbsd", {"lam": -1.0}, ValueError, "`lam` must be finite"),
        ("reconboost", {"w1": 1.0, "w2": 2.0}, ValueError, "`w2` must be <= `w1`"),
        ("reconboost", {"rho": 0.0}, ValueError, "`rho` must be finite and > 0"),
        ("reconboost", {"own_epochs": 0}, ValueError, "`own_epochs` must be >= 1"),
    ],
)
def test_hyper_parameters_outside_their_range_are_refused(
    name: str, hyper: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        methods.create(name, **hyper)


@pytest.mark.parametrize("name", methods.available())
def test_unknown_hyper_parameters_are_refused(name: str) -> None:
    for wrong in ("hyper", "more", "alhpa"):
        for make in (methods.get(name), partial(methods.create, name)):
            with pytest.raises(TypeError, match=wrong):
                make(**{wrong: 1})


@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        ("linear_scalarization", {"weight": (1.0, 1.0)}),
        ("g_blending", {"weights": (1.0, 1.0)}),
        ("mimo", {"f_star": (1.0, 2.0)}),
    ],
)
def test_numbers_per_modality_must_fit_the_data(name: str, hyper: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"one number per modality|one per modality|K \+ 1"):
        fitted(name, images_and_vectors(3), **hyper)


def test_none_and_the_word_none_are_one_normalisation() -> None:
    (name, read) = grammar.read_value("--set", "normalisation=none")
    assert (name, read) == ("normalisation", None)
    typed = methods.create("mgda", normalisation=read)
    assert typed.hyper == methods.create("mgda", normalisation="none").hyper
    assert typed.hyper["normalisation"] == "none"  # records keep one word
