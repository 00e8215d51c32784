"""What each method does to a small network has not changed by mistake (:mod:`tests.pinned`)."""

from __future__ import annotations

import functools
import math
from typing import Any

import pytest

from mimo_sim import methods
from tests.methods.helpers import noisy_means, trained
from tests.pinned import Case, difference, kept, plain

RELATIVE = 1e-3  # float32, and kernels differ between machines
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("agm", {"alpha": 0.5, "cap": 1.2}),
    ("agm", {"clip": 0.01}),
    ("amco", {"mask_on": "logits", "sigma": 0.4, "p_max": 0.8}),
    ("cml", {"lam": 0.7}),
    ("g_blending", {"super_epoch": 2}),
    ("g_blending", {"weights": (0.2, 0.3, 0.5)}),
    ("g_blending", {"window": (1, 1), "super_epoch": 1}),
    ("greedy", {"rule": "random", "output": "joint"}),
    ("g2d", {"rest": "kernels", "temperature": 2.0, "epochs": 1}),
    ("inforeg", {"threshold": -math.inf}),
    ("lfm", {"weight": "fitted", "match": "posterior", "scale": 2.0}),
    ("mbsd", {}),
    ("mlb", {"beta": 1.5, "window": (1, 2)}),
    ("mgda", {"scope": "global"}),
    ("mgda", {"normalisation": "loss+"}),
    ("mla", {"projection": "run"}),
    ("ogm", {"alpha": 0.3, "window": (1, 2)}),
    ("opm", {"warm_up": 1}),
    ("pcgrad", {"scope": "global"}),
    ("pmr", {"rule": "clip"}),
    ("pmr", {"momentum": 0.2, "alpha": 2.0}),
    ("relearning", {"every": 1}),
    ("rollingq", {"rotations": 2, "rho": 2.0}),
    ("smv", {"warm_up": 1}),
    ("smv", {"warm_up": 1, "level": "modality", "subset": 0.5}),
    ("umt", {"lam": 1.0, "epochs": 1}),
    ("mimo", {"lam": 0.5, "mu": 0.4}),
    ("mimo", {"heads": "plain"}),
    ("mimo", {"gap": "relative"}),
    ("mimo", {"adaptive_mu": 0.5}),
    ("mimo", {"normalise": True}),
    ("mimo", {"decay": 0.0}),
    *(
        ("mimo", {"f_star": rule})
        for rule in ("zero", "epoch_minimum", "extrapolation", "validation", "reference")
    ),
]


def numbers(name: str, hyper: dict[str, Any], modalities: int) -> dict[str, Any]:
    """Losses, accuracies, norms and what the method reports, in the first and the last epoch."""
    of = methods.get(name)
    run = trained(methods.create(name, **hyper), noisy_means(modalities), epochs=3, lr=0.05)
    epochs = [
        {key: value for key, value in row.items() if "seconds" not in key}
        for row in (run.table[0], run.table[-1])
    ]
    takes = [of.family, of.uses_heads, of.needs_classes, of.min_modalities, of.max_modalities]
    return {"takes": takes, "hyper": run.method.hyper, "epochs": epochs}


CASES: dict[str, Case] = {
    " ".join([name, *(f"{key}={value}" for key, value in hyper.items()), f"K={k}"]): (
        functools.partial(numbers, name, hyper, k)
    )
    for name, hyper, k in [
        *((name, {}, methods.get(name).max_modalities or 3) for name in methods.available()),
        *((name, hyper, 2) for name, hyper in VARIANTS),
    ]
}
PINNED = kept("methods/pinned")


@pytest.mark.parametrize("case", PINNED)
def test_a_method_does_what_it_did(case: str) -> None:
    assert case in CASES, "renew the file: python -m tests.pinned"
    assert not difference(PINNED[case], plain(CASES[case]()), RELATIVE)


def test_a_difference_is_found() -> None:
    one = {"a": [1.0, {"b": 2.0}], "c": "x", "d": True}
    assert not difference(one, {"a": [1.0 + 1e-12, {"b": 2.0}], "c": "x", "d": True}, 1e-9)
    assert "a[1].b" in difference(one, {"a": [1.0, {"b": 2.1}], "c": "x", "d": True}, 1e-3)
    assert "c" in difference(one, {"a": [1.0, {"b": 2.0}], "c": "y", "d": True}, 1e-3)
    assert "d" in difference(one, {"a": [1.0, {"b": 2.0}], "c": "x", "d": False}, 1e-3)
    assert "entries" in difference([1], [1, 2], 1e-3)
    assert "names" in difference({"a": 1}, {"b": 1}, 1e-3)
